"""A run that is judged anew after its specification was mended: real operators, and a real MLflow."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_mlops.core.promotion import challenge, verify_trail
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.operators import DataValidationOperator, SnapshotOperator
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop import AS_OF, context_of, judge_loop, promote_run, rows, run_loop, specification

pytestmark = [
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
GATE = {"holdout": "14d", "min_rows": 100, "serving": {"mode": "off"}}
STRICT = {**GATE, "absolute": [{"metric": "roc_auc", "min": 0.999}]}
MENDED = {"estimator": "sklearn.linear_model.LogisticRegression", "parameters": {"C": 0.5}}


@pytest.fixture
def store(mlflow_uri: str) -> MLflowStore:
    return MLflowStore.connect(mlflow_uri)


@pytest.fixture
def plain(loop_home: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The specification of a model of its own for each test."""
    rows(1500).to_parquet(loop_home / "orders.parquet")
    name = "s_" + "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[-50:]
    return specification("orders.parquet", name=name)


def spec(plain: dict[str, Any], **parts: Any) -> ModelSpec:
    return ModelSpec.model_validate({**plain, **parts})


def told(store: MLflowStore, name: str) -> list[tuple[str, int | None, str | None]]:
    return [(event.kind, event.version, event.status) for event in store.trail.events(name)]


def test_the_mended_specification_makes_a_version_of_its_own_and_marks_the_old_one(
    plain: dict[str, Any], store: MLflowStore
) -> None:
    name = plain["name"]
    first = run_loop(spec(plain, gate=STRICT), run_id="march")
    assert (first.reports["promote"]["version"], first.reports["promote"]["promoted"]) == (1, False)
    old = Candidate.from_json(first.reports["train"]).run_id
    second = run_loop(spec(plain, training=MENDED), run_id="march")
    assert (second.reports["promote"]["version"], second.reports["promote"]["promoted"]) == (2, True)
    assert second.reports["promote"]["supersedes"] == [1]
    expected = [("registered", 1, "rejected"), ("superseded", 1, None), ("promoting", 2, None), ("promoted", 2, None)]
    assert told(store, name) == expected
    tags = store.registry.version_tags(name, 1)
    assert (tags["mlops.status"], tags["mlops.superseded_by"]) == ("superseded", "2")
    assert store._client.get_run(old).data.tags["mlops.superseded_by"] == "2"
    for file in ("model_card.md", "model_card.html"):
        assert "superseded by v2: the same run was judged anew; before: rejected" in store.artifacts.read_text(
            old, file
        )
    assert "Superseded by version 2" in store.artifacts.read_text(old, "gate/decision.html")
    assert "superseded by v2" in store._client.get_model_version(name, "1").description
    new = Candidate.from_json(second.reports["train"]).run_id
    assert "supersedes v1" in store.artifacts.read_text(new, "model_card.md")
    assert "uperseded by" not in store.artifacts.read_text(new, "gate/decision.html")
    assert verify_trail(store.registry, store.trail, name) == ()
    # Retried, it is the same; a loop run that was judged anew is one challenge.
    again = run_loop(spec(plain, training=MENDED), run_id="march")
    assert again.reports["promote"] == second.reports["promote"]
    assert told(store, name) == expected
    assert [one.run_id for one in store.challenges.newest(name, name)] == [new]


def test_a_gate_that_was_mended_judges_the_same_version_anew(plain: dict[str, Any], store: MLflowStore) -> None:
    run_loop(spec(plain, gate=STRICT), run_id="march")
    second = run_loop(spec(plain, gate=GATE), run_id="march")
    assert (second.reports["promote"]["version"], second.reports["promote"]["promoted"]) == (1, True)
    assert told(store, plain["name"])[0] == ("registered", 1, "rejected")
    assert store.registry.version_tags(plain["name"], 2) is None


def test_what_has_served_stays_a_backfill_passes_it_by_and_a_person_is_told(
    plain: dict[str, Any], store: MLflowStore
) -> None:
    name = plain["name"]
    run_loop(spec(plain), run_id="march")
    mended, before = spec(plain, training=MENDED), told(store, name)
    with pytest.raises(AirflowFailException, match=r"version 1, which serves or has served.+trigger a new run"):
        run_loop(mended, run_id="march")
    context = context_of("march")
    context["dag_run"] = SimpleNamespace(run_type="backfill", run_after=AS_OF, data_interval_end=AS_OF)
    snapshot = SnapshotOperator(task_id="snapshot", spec=mended).execute(context)
    with pytest.raises(AirflowSkipException, match="the run stays as it was: .+version 1, which serves"):
        DataValidationOperator(task_id="validate", spec=mended, snapshot=snapshot).execute(context)
    assert told(store, name) == before
    assert store.registry.version_tags(name, 2) is None
    same = run_loop(spec(plain), run_id="march")  # the inputs that it serves by
    assert same.reports["promote"]["version"] == 1


def test_corrected_rows_are_another_attempt_and_what_was_asked_before_is_not_answered_for_it(
    plain: dict[str, Any], store: MLflowStore, loop_home: Path
) -> None:
    model = spec(plain)
    first = judge_loop(model, run_id="march")
    candidate = Candidate.from_json(first.reports["train"])
    decision = GateDecision.from_json(first.reports["gate"])
    who: dict[str, Any] = {"registered_model": model.name, "by": "airflow:t", "now": AS_OF}
    assert challenge(decision, candidate, store.registry, store.trail, **who) == 1
    rows(1500, seed=7).to_parquet(loop_home / "orders.parquet")
    second = run_loop(model, run_id="march")
    assert (second.reports["promote"]["version"], second.reports["promote"]["promoted"]) == (2, True)
    assert store.registry.alias(model.name, "challenger") is None
    card = store.artifacts.read_text(candidate.run_id, "model_card.md")
    assert "superseded by v2: the same run was judged anew; before: accepted, not promoted" in card


def test_an_old_run_that_was_deleted_keeps_its_version_marked_in_the_registry(
    plain: dict[str, Any], store: MLflowStore
) -> None:
    first = run_loop(spec(plain, gate=STRICT), run_id="march")
    store._client.delete_run(Candidate.from_json(first.reports["train"]).run_id)
    second = run_loop(spec(plain, training=MENDED), run_id="march")
    assert second.reports["promote"]["version"] == 2
    assert store.registry.version_tags(plain["name"], 1)["mlops.superseded_by"] == "2"
    assert verify_trail(store.registry, store.trail, plain["name"]) == ()


def test_the_inputs_of_before_take_their_version_up_again(plain: dict[str, Any], store: MLflowStore) -> None:
    strict, mended = spec(plain, gate=STRICT), spec(plain, gate=STRICT, training=MENDED)
    old = Candidate.from_json(run_loop(strict, run_id="march").reports["train"]).run_id
    new = Candidate.from_json(run_loop(mended, run_id="march").reports["train"]).run_id
    third = run_loop(strict, run_id="march")
    assert (third.reports["promote"]["version"], third.reports["promote"]["supersedes"]) == (1, [2])
    tags = [store._client.get_run(run_id).data.tags.get("mlops.superseded_by") for run_id in (old, new)]
    assert tags == [None, "1"]
    assert "uperseded by" not in store.artifacts.read_text(old, "gate/decision.html")
    assert "superseded by v1" in store.artifacts.read_text(new, "model_card.md")
    assert verify_trail(store.registry, store.trail, plain["name"]) == ()


def test_a_run_that_serves_although_its_refit_was_refused_is_not_judged_anew(
    plain: dict[str, Any], store: MLflowStore
) -> None:
    refit = {"estimator": "sklearn.linear_model.LogisticRegression", "refit": True}
    first = spec(plain, training=refit)
    run = judge_loop(first, run_id="march")
    assert run.reports["gate"]["verdict"] == "accept"
    slow = type(first.gate.serving).model_validate({"mode": "enforce", "max_size_mb": 1e-9})
    slower = first.model_copy(update={"gate": first.gate.model_copy(update={"serving": slow})})
    promote_run(slower, run, context_of("march"))
    assert [kind for kind, *_ in told(store, first.name)] == ["registered", "registered", "promoting", "promoted"]
    with pytest.raises(AirflowFailException, match="version 1, which serves or has served"):
        run_loop(spec(plain, training=MENDED), run_id="march")
