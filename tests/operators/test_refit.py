"""With `training.refit` what was accepted is trained again on all rows: real operators, and a real MLflow."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.cli.reproduce import reproduce
from airflow_mlops.cli.status import status
from airflow_mlops.core.errors import StoreUnavailableError, TrainingError
from airflow_mlops.core.promotion import verify_trail
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.operators import EvaluateGateOperator, PerformanceOperator, ScoreOperator
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.registry import MLflowRegistry
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop import AS_OF, Run, context_of, judge_loop, promote_run, rows, run_loop, specification

pytestmark = [
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
TRAINING = {"estimator": "sklearn.linear_model.LogisticRegression", "refit": True}


@pytest.fixture
def store(mlflow_uri: str) -> MLflowStore:
    return MLflowStore.connect(mlflow_uri)


def specified(home: Path, request: pytest.FixtureRequest, **changes: Any) -> ModelSpec:
    """A model of its own for each test, whose rows go on for a month after AS_OF."""
    frame = rows(4500, days=60)
    frame["ordered_at"] += timedelta(days=30) * (frame.index / len(frame))  # three rows in an hour all along
    frame.to_parquet(home / "orders.parquet")
    name = "r_" + "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[-50:]
    return ModelSpec.model_validate(specification("orders.parquet", **{"name": name, "training": TRAINING, **changes}))


@pytest.fixture
def spec(loop_home: Path, request: pytest.FixtureRequest) -> ModelSpec:
    return specified(loop_home, request)


def kinds(store: MLflowStore, spec: ModelSpec) -> list[tuple[str, int | None, str | None]]:
    return [(event.kind, event.version, event.status) for event in store.trail.events(spec.registered_model)]


SERVED = [("registered", 1, "judged"), ("promoting", 2, None), ("promoted", 2, None)]


def test_the_refitted_version_serves_by_the_evidence_of_the_judged_one(spec: ModelSpec, store: MLflowStore) -> None:
    run = run_loop(spec)
    judged = Candidate.from_json(run.reports["train"])
    assert run.reports["promote"]["promoted"] is True
    assert (run.reports["promote"]["version"], run.reports["promote"]["previous_version"]) == (2, None)
    assert kinds(store, spec) == SERVED
    champion = store.registry.champion(spec.name)
    assert champion is not None
    served, origin = champion.candidate, champion.candidate.refit_of
    assert origin is not None
    assert (origin.run_id, origin.model_uri, origin.train) == (judged.run_id, judged.model_uri, judged.train)
    assert (served.train.start, served.train.end) == (judged.train.start, judged.holdout.end)
    assert served.train_rows == judged.train_rows + judged.holdout_rows
    assert (served.holdout, served.metrics, served.loop_run) == (judged.holdout, {}, f"{judged.loop_run}/refit")
    before, now = (store.decisions.decision(run_id) for run_id in (judged.run_id, champion.run_id))
    assert now.refit_of is not None
    assert (now.refit_of.version, now.refit_of.run_id, now.refit_of.decision) == (1, judged.run_id, before.digest)
    assert now.evaluation.candidate_metrics == before.evaluation.candidate_metrics
    assert now.reasons[0] == f"refitted on all {served.train_rows:,} rows, judged as version 1: {before.reasons[0]}"
    assert "better by" in before.reasons[0]
    assert "% confidence" in before.reasons[0]
    tags = store.registry.version_tags(spec.name, 2)
    assert (tags["mlops.judged_version"], tags["mlops.status"]) == ("1", "champion")
    assert store.registry.version_tags(spec.name, 1)["mlops.status"] == "judged"
    assert verify_trail(store.registry, store.trail, spec.name) == ()
    parent = store._client.get_run(champion.run_id).data.tags["mlflow.parentRunId"]
    assert parent == judged.run_id


def test_status_history_page_and_cards_say_what_it_is(
    spec: ModelSpec, store: MLflowStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    run = run_loop(spec)
    judged = Candidate.from_json(run.reports["train"])
    champion = store.registry.champion(spec.name)
    assert champion is not None
    words = f"refitted on all {champion.candidate.train_rows:,} rows, judged as version 1"
    capsys.readouterr()
    status(Namespace(models=[spec.name], json=True, conn_id="mlflow_default"))
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["champion"], told["judged_as"]) == (2, 1)
    assert told["why"].startswith(f"{words}: log loss ")
    status(Namespace(models=[spec.name], json=False, conn_id="mlflow_default"))
    assert "v2 (judged as v1)" in capsys.readouterr().out
    assert store.trail.events(spec.name)[-1].reason == told["why"]
    for file in ("model_card.md", "model_card.html", "gate/decision.html"):
        assert words in store.artifacts.read_text(champion.run_id, file), file
    page = store.artifacts.read_text(champion.run_id, "gate/decision.html")
    assert "Of version 1, which was judged" in page
    card = store.artifacts.read_text(judged.run_id, "model_card.md")
    assert "accepted, and refitted on all rows as v2, which serves by its evidence" in card


def test_the_same_run_again_changes_nothing(spec: ModelSpec, store: MLflowStore) -> None:
    first = run_loop(spec, run_id="again")
    second = run_loop(spec, run_id="again")
    assert second.reports["gate"] == first.reports["gate"]
    assert second.reports["promote"] == first.reports["promote"]
    assert kinds(store, spec) == SERVED
    assert store.registry.version_tags(spec.name, 3) is None


def test_a_try_that_ended_after_the_promotion_is_finished_by_the_next(
    spec: ModelSpec, store: MLflowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = judge_loop(spec)

    def away(self: MLflowRegistry, model: str, version: int, text: str) -> None:
        raise StoreUnavailableError([])

    with monkeypatch.context() as broken:
        broken.setattr(MLflowRegistry, "describe_version", away)
        with pytest.raises(StoreUnavailableError):
            promote_run(spec, run, context_of(run.run_id))
    assert kinds(store, spec) == SERVED
    promote_run(spec, run, context_of(run.run_id))
    assert (run.reports["promote"]["promoted"], run.reports["promote"]["version"]) == (True, 2)
    assert kinds(store, spec) == SERVED
    assert all(store._client.get_model_version(spec.name, number).description for number in ("1", "2"))


def test_a_refit_that_fails_leaves_the_judged_version_and_says_why(
    spec: ModelSpec, store: MLflowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = judge_loop(spec)
    problem = Problem(code=ReasonCode.TRAINING_FAILED, field="training.refit", found="a fire", allowed="none", fix="-")

    def broken(*_: Any, **__: Any) -> Any:
        raise TrainingError(problem)

    monkeypatch.setattr("airflow_mlops.core.training.refit", broken)
    promote_run(spec, run, context_of(run.run_id))
    assert (run.reports["promote"]["promoted"], run.reports["promote"]["version"]) == (True, 1)
    assert kinds(store, spec) == [("registered", 1, "judged"), ("promoting", 1, None), ("promoted", 1, None)]
    said = store.trail.events(spec.name)[-1].reason
    assert said.startswith("log loss ")
    assert "not refitted on all rows" in said
    assert "a fire" in said
    assert "a fire" in run.reports["promote"]["reasons"][-1]
    before = kinds(store, spec)
    promote_run(spec, run, context_of(run.run_id))  # what serves already is not refitted behind its back
    assert kinds(store, spec) == before


def test_a_refit_that_serves_too_slowly_is_a_refused_version_and_the_judged_one_serves(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore
) -> None:
    spec = specified(loop_home, request, gate={"holdout": "14d", "min_rows": 100})
    run = judge_loop(spec)
    assert run.reports["gate"]["verdict"] == "accept"
    slow = {"mode": "enforce", "max_size_mb": 1e-9}
    slower = spec.model_copy(
        update={"gate": spec.gate.model_copy(update={"serving": type(spec.gate.serving).model_validate(slow)})}
    )
    promote_run(slower, run, context_of(run.run_id))
    assert (run.reports["promote"]["promoted"], run.reports["promote"]["version"]) == (True, 1)
    assert kinds(store, spec)[1] == ("registered", 2, "rejected")
    assert "version 2 was refused: the stored model has" in run.reports["promote"]["reasons"][-1]
    assert all(store._client.get_model_version(spec.name, number).description for number in ("1", "2"))


def test_the_gate_task_that_is_cleared_after_it_finds_the_decision_that_stands(
    spec: ModelSpec, store: MLflowStore
) -> None:
    run = run_loop(spec)
    seen = run.reports
    again = EvaluateGateOperator(task_id="gate", spec=spec, snapshot=seen["snapshot"], candidate=seen["train"]).execute(
        context_of(run.run_id)
    )
    assert again == seen["gate"]


def test_the_next_candidate_is_judged_on_rows_that_the_refitted_champion_has_not_seen(
    spec: ModelSpec, store: MLflowStore
) -> None:
    run_loop(spec)
    later = AS_OF + timedelta(days=7)
    second = run_loop(spec, later)
    rules = {
        rule["metric"]: rule for rule in second.reports["gate"]["evaluation"]["rules"] if rule["rule"] == "holdout"
    }
    assert rules["rows_unseen_by_champion"]["verdict"] == "accept"
    window = second.reports["gate"]["evaluation"]["window"]
    assert window["start"][:10] == AS_OF.date().isoformat()
    at_once = run_loop(spec, AS_OF + timedelta(days=1))
    assert at_once.reports["gate"]["verdict"] == "inconclusive"
    assert "new to both models" in at_once.skipped


def test_a_stale_decision_is_made_again_and_the_refit_with_it(spec: ModelSpec, store: MLflowStore) -> None:
    first, second = judge_loop(spec), judge_loop(spec, AS_OF + timedelta(days=14))
    promote_run(spec, first, context_of(first.run_id))
    promote_run(spec, second, context_of(second.run_id, AS_OF + timedelta(days=14)))
    standing = store.decisions.decision(Candidate.from_json(second.reports["train"]).run_id)
    assert standing.champion_version == 2
    assert second.reports["promote"]["verdict"] == standing.verdict


def test_it_is_no_second_challenge_and_its_promotion_is_that_of_the_training(
    spec: ModelSpec, store: MLflowStore
) -> None:
    run = run_loop(spec)
    (challenge,) = store.challenges.newest(spec.experiment, spec.name)
    assert (challenge.run_id, challenge.promoted) == (run.reports["train"]["run_id"], True)


def test_both_versions_are_reproduced(
    spec: ModelSpec, store: MLflowStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    run_loop(spec)
    capsys.readouterr()
    for version, compared in ((1, 2), (2, 4)):
        reproduce(Namespace(model=spec.name, version=version, conn_id="mlflow_default", json=True))
        found = json.loads(capsys.readouterr().out)
        assert (found["verdict"], len(found["comparisons"])) == ("identical", compared)
        assert {change["what"] for change in found["differences"]} <= {"commit of the DAG folder"}  # here there is none


def test_the_promise_is_that_of_what_was_judged(spec: ModelSpec, store: MLflowStore) -> None:
    run = run_loop(spec)
    later = AS_OF + timedelta(days=1)
    for day in range(1, 15):
        ScoreOperator(task_id="score", spec=spec).execute(context_of(f"score-{day}", AS_OF + timedelta(days=day)))
    later = AS_OF + timedelta(days=14)
    report = PerformanceOperator(task_id="performance", spec=spec).execute(context_of("look", later))
    assert report["champion_version"] == 2
    assert report["promised"] == run.reports["gate"]["evaluation"]["candidate_metrics"]["log_loss"]
    assert not [reason for reason in report["reasons"] if "its holdout rows give" in reason or "cannot be" in reason]
    assert report["realised"]["rows"] > 100


def test_a_person_approves_the_recipe_and_the_refit_serves_by_that(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore
) -> None:
    from tests.support.loop import answer, ask

    spec = specified(loop_home, request, risk_tier="high", promotion={"approval": {"tiers": ["high"]}})
    run = judge_loop(spec)
    form, _ = ask(spec, run, context_of(run.run_id))
    assert "trained again on all rows" in form.body
    with pytest.raises(AirflowFailException, match="no answer of a person"):
        promote_run(spec, run, context_of(run.run_id), approval={"needed": True})
    assert store.registry.alias(spec.name, "champion") is None
    answer(spec, run, context_of(run.run_id), "Approve")
    promote_run(spec, run, context_of(run.run_id), approval=run.reports["approve"])
    assert run.reports["promote"]["version"] == 2
    assert [kind for kind, _, _ in kinds(store, spec)] == ["registered", "registered", "promoting", "promoted"]
    assert store.trail.events(spec.name)[-1].approval is not None
    assert store.registry.alias(spec.name, "challenger") is None


def declined(run: Run) -> bool:
    return bool(run.reports["promote"]["declined"])


def test_what_a_person_declines_is_not_refitted(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore
) -> None:
    from tests.support.loop import answer, ask

    spec = specified(loop_home, request, risk_tier="high", promotion={"approval": {"tiers": ["high"]}})
    run = judge_loop(spec)
    ask(spec, run, context_of(run.run_id))
    answer(spec, run, context_of(run.run_id), "Reject", note="no")
    promote_run(spec, run, context_of(run.run_id), approval=run.reports["approve"])
    assert declined(run)
    assert store.registry.version_tags(spec.name, 2) is None
