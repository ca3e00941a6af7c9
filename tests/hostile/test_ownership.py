"""Another team's specification does not get at a model, whatever it names: by the real operators, in a real MLflow."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.cli.handover import handover
from airflow_mlops.cli.promote import promote
from airflow_mlops.cli.retire import retire
from airflow_mlops.cli.rollback import rollback
from airflow_mlops.cli.status import status
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.ownership import OWNER_TAG, SpecIdentity
from airflow_mlops.dags import load_models
from airflow_mlops.hooks.mlflow import MLflowHook
from airflow_mlops.operators import (
    ApproveOperator,
    PromoteOperator,
    RollbackOperator,
    ScoreOperator,
    SnapshotOperator,
    TrainOperator,
)
from airflow_mlops.sensors import DriftSensor
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.judged_runs import Judged, against
from tests.support.loop import Run, context_of, judge_loop, promote_run, run_loop


def stranger_of(judged: Judged, **changes: Any) -> ModelSpec:
    """A specification of another team that names the model of `judged`; its gate is off, and nobody is asked."""
    body = judged.spec.model_dump(mode="json", exclude_unset=True)
    return ModelSpec.model_validate({**body, "name": "stranger", "owner": "others", **changes})


@pytest.fixture
def owned(judged: Judged) -> Judged:
    """The first candidate of `judged` serves; its run has begun with its own storage folder and experiment."""
    SnapshotOperator(task_id="snapshot", spec=judged.spec).execute(judged.context())
    with MLflowHook().records(judged.spec) as records:
        records.runs.experiments.open(judged.spec.experiment)
    run = judged.decide()
    promote_run(judged.spec, run, judged.context())
    assert judged.store.registry.alias(judged.model, "champion") == 1
    return judged


@pytest.fixture
def foreign(judged: Judged) -> Run:
    """What the stranger has trained in an experiment of its own, judged against what serves in judged's model."""
    own = ModelSpec.model_validate(
        {**judged.spec.model_dump(mode="json", exclude_unset=True), "name": "stranger", "owner": "others",
         "promotion": {"registered_model": f"own_{judged.model}"[:200]}}
    )  # fmt: skip
    run = judge_loop(own)
    decision = GateDecision.from_json(run.reports["gate"])
    decision = against(decision, 1)
    judged.store.decisions.record_decision(decision.run_id, decision)
    run.reports["gate"] = decision.to_json()
    return run


def refused(attempt: Callable[[], object], *, owner: str = "specification 'judged' of tests") -> str:
    with pytest.raises(AirflowFailException) as failure:
        attempt()
    said = str(failure.value)
    assert "owned_by_another" in said
    assert owner in said
    return said


def state(judged: Judged) -> tuple[object, ...]:
    store = judged.store
    events = [event.digest for event in store.trail.events(judged.model)]
    aliases = [store.registry.alias(judged.model, name) for name in ("champion", "previous", "challenger")]
    return events, aliases, dict(store.registry.model_tags(judged.model))


def test_another_teams_loop_does_not_displace_a_champion(owned: Judged) -> None:
    """Case 04: a second file names the first one's registered model, with its gate off."""
    before = state(owned)
    said = refused(lambda: run_loop(stranger_of(owned)))
    assert "specification 'stranger' of others" in said
    assert f"airflow mlops handover {owned.model} --to stranger --owner others --reason WHY" in said
    assert state(owned) == before


def test_no_stage_that_is_composed_by_hand_gets_at_it_either(owned: Judged, foreign: Run) -> None:
    spec, before = stranger_of(owned), state(owned)
    seen = foreign.reports
    given = {"spec": spec, "candidate": seen["train"], "decision": seen["gate"]}
    context = context_of(foreign.run_id)
    attempts: dict[str, Callable[[], object]] = {
        "snapshot": lambda: SnapshotOperator(task_id="t", spec=spec).execute(context),
        "promote": lambda: PromoteOperator(task_id="t", **given).execute(context),
        "approve": lambda: ApproveOperator(task_id="t", **given).execute(context),
        "rollback": lambda: RollbackOperator(task_id="t", spec=spec, reason="ours").execute(context),
        "score": lambda: ScoreOperator(task_id="t", spec=spec).execute(context),
        "drift": lambda: DriftSensor(task_id="t", spec=spec, wait_for="window").execute(context),
    }
    for attempt in attempts.values():
        refused(attempt)
        assert state(owned) == before


def register_by_hand(judged: Judged, run: Run) -> int:
    candidate = Candidate.from_json(run.reports["train"])
    from mlflow import MlflowClient

    client = MlflowClient(judged.store.ui_url)
    model_id = candidate.model_uri.removeprefix("models:/")
    made = client.create_model_version(judged.model, candidate.model_uri, candidate.run_id, model_id=model_id)
    return int(made.version)


def ask(command: Callable[[Namespace], None], **given: object) -> int:
    try:
        command(Namespace(**{"conn_id": "mlflow_default", "json": False, **given}))
    except SystemExit as ended:
        return int(str(ended.code))
    return 0


@pytest.fixture
def _as_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")


@pytest.mark.usefixtures("_as_a_command")
def test_a_version_that_was_registered_by_hand_does_not_serve(
    owned: Judged, foreign: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    version = register_by_hand(owned, foreign)
    before = state(owned)
    forced = {"version": version, "force": True, "reason": "urgent", "allow_older": True}
    assert ask(promote, model=owned.model, **forced) == 1
    assert "a version that specification 'stranger' trained" in capsys.readouterr().err
    assert ask(rollback, model=owned.model, to=version, reason="urgent") == 1
    capsys.readouterr()
    for command, more in ((retire, {"undo": False}), (rollback, {"to": None})):
        assert ask(command, model=owned.model, reason="mine", specification="stranger", **more) == 1
        assert "belongs to specification 'judged' of tests" in capsys.readouterr().err
    assert state(owned) == before
    owned.store.registry.set_alias(owned.model, "champion", version)
    scoring = ScoreOperator(task_id="t", spec=owned.spec)
    with pytest.raises(AirflowFailException, match="a version that specification 'stranger' trained"):
        scoring.execute(owned.context())


def test_one_name_and_another_owner_is_another_specification(owned: Judged) -> None:
    """Two Airflows that share MLflow and storage may each have a specification of one name."""
    twin = owned.spec.model_copy(update={"owner": "others"})
    refused(lambda: SnapshotOperator(task_id="t", spec=twin).execute(owned.context()))
    # A model of its own does not help: folder and experiment are named by the specification.
    body = {**twin.model_dump(mode="json", exclude_unset=True), "promotion": {"registered_model": f"{owned.model}_2"}}
    apart = ModelSpec.model_validate(body)
    assert "storage folder" in refused(lambda: run_loop(apart))
    train = TrainOperator(task_id="t", spec=apart, snapshot=owned.runs[0].reports["snapshot"])
    assert "MLflow experiment 'judged'" in refused(lambda: train.execute(owned.context()))


def test_an_experiment_has_one_owner(owned: Judged) -> None:
    spec = stranger_of(
        owned, tracking={"experiment": "judged"}, promotion={"registered_model": f"{owned.model}_2"[:200]}
    )
    said = refused(lambda: run_loop(spec))
    assert "MLflow experiment 'judged'" in said
    assert "tracking.experiment" in said


@pytest.mark.usefixtures("_as_a_command")
def test_a_model_that_is_handed_over_goes_with_its_experiment_and_its_folder(
    loop_home: Path, mlflow_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.support.loop import rows, specification

    rows().to_parquet(loop_home / "orders.parquet")
    gate = {"holdout": "14d", "min_rows": 100, "mode": "off"}
    first = ModelSpec.model_validate(specification("orders.parquet", name="given_away", owner="team-a", gate=gate))
    run_loop(first)
    second = first.model_copy(update={"owner": "team-b"})
    refused(lambda: run_loop(second), owner="specification 'given_away' of team-a")
    capsys.readouterr()
    given = {"to": "given_away", "owner": "team-b", "reason": "the team was split"}
    assert ask(handover, model="given_away", **given) == 0
    assert "given_away belongs to specification 'given_away' of team-b" in capsys.readouterr().out
    run_loop(second)
    refused(lambda: run_loop(first), owner="specification 'given_away' of team-b")
    store = MLflowStore.connect(mlflow_uri)
    events = store.trail.events("given_away")
    handed = next(event for event in events if event.kind == "handed_over")
    assert handed.specification == SpecIdentity(name="given_away", owner="team-b")
    assert handed.people[0].host
    assert json.loads(store.registry.model_tags("given_away")[OWNER_TAG])["owner"] == "team-b"
    assert json.loads((loop_home / "storage" / "owners" / "given_away.json").read_text())["owner"] == "team-b"
    with MLflowHook().records(second) as records:
        records.runs.experiments.open("given_away")
    assert ask(status, models=["given_away"]) == 0
    assert "given_away belongs to specification 'given_away' of team-b" in capsys.readouterr().out


# while files are read --------------------------------------------------------------------------------------------

PLAIN = """\
name: {name}
owner: {name}-team
data: {{source: {{path: x/}}, time: t, key: k, label: y}}
training: {{estimator: sklearn.linear_model.LogisticRegression}}
"""
THEFT, THIRD = "promotion: {registered_model: alpha}", "promotion: {registered_model: Churn v2}"
SHARED: dict[str, tuple[dict[str, str], set[str]]] = {
    "one names the other's model": ({"alpha": "", "beta": THEFT}, {"b"}),
    "the thief's file is read first": ({"beta": THEFT, "alpha": ""}, {"a"}),
    "both name a third": ({"alpha": THIRD, "beta": THIRD, "gamma": THIRD}, {"b", "c"}),
    "one names the other's experiment": ({"alpha": "", "beta": "tracking: {experiment: alpha}"}, {"b"}),
    "who is refused holds nothing": (
        {"alpha": "", "beta": f"{THEFT}\ntracking: {{experiment: free}}", "gamma": "tracking: {experiment: free}"},
        {"b"},
    ),
    "who is wrong elsewhere keeps what has its name": (
        {"alpha": "tracking: {experiment: gamma}", "beta": THEFT, "gamma": ""},
        {"a", "b"},
    ),
    "two servers may each have a model of one name": (
        {"alpha": "", "beta": f"{THEFT}\ntracking: {{conn_id: other}}"},
        set(),
    ),
}
"""What each specification says beside its ten lines, in the order of the files a, b, c; and who is refused."""


@pytest.mark.parametrize("case", SHARED)
def test_of_two_files_that_share_a_place_the_later_one_is_refused(case: str, tmp_path: Path) -> None:
    said, wrong = SHARED[case]
    for file, (name, more) in zip("abc", said.items(), strict=False):
        (tmp_path / f"{file}.yaml").write_text(PLAIN.format(name=name) + more)
    loaded = load_models(tmp_path)
    pages = {dag_id.removesuffix(".invalid_spec"): dag for dag_id, dag in loaded.items() if "invalid_spec" in dag_id}
    assert set(pages) == wrong
    assert len(loaded) == len(wrong) + 3 * (len(said) - len(wrong))
    for page in pages.values():
        require_told(page)


def require_told(page: DAG) -> None:
    said = str(page.doc_md)
    assert "spec_duplicate" in said
    assert "names too" in said
    assert "airflow mlops handover" in said


@pytest.mark.parametrize("name", ["mlops audit", "MLOps Audit: alpha", " mlops retraining: alpha", "mlops retraining"])
def test_the_logs_of_this_package_are_no_experiments(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(PLAIN.format(name="alpha") + f"tracking: {{experiment: '{name}'}}")
    assert list(load_models(tmp_path)) == ["a.invalid_spec"]
