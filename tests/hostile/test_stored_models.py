"""Who may write to MLflow's artifacts changes a stored model: every reader compares its bytes with what was judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion import challenge, override, promote, rollback, verify_trail
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.ownership import SpecIdentity
from airflow_mlops.operators import EvaluateGateOperator, RollbackOperator, ScoreOperator
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from airflow_mlops.stores.model_files.digest import digest_folder
from tests.support.loop import AS_OF, context_of, judge_loop, promote_run, rows, run_loop, specification
from tests.support.loop_parts import decision_of, spec_of
from tests.support.mlflow_records import record
from tests.support.tampering import put_back, stored_files, swap_model

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GATE = {"holdout": "14d", "min_rows": 100}


@pytest.fixture
def store(mlflow_uri: str) -> MLflowStore:
    return MLflowStore.connect(mlflow_uri)


def specified(home: Path, request: pytest.FixtureRequest, serving: str = "off") -> ModelSpec:
    if not (home / "orders.parquet").exists():
        rows().to_parquet(home / "orders.parquet")
    name = "swap_" + str(request.node.name).replace("[", "_").replace("]", "")[-40:]
    gate = {**GATE, "serving": {"mode": serving}}
    return ModelSpec.model_validate({**specification("orders.parquet"), "name": name, "gate": gate})


@pytest.mark.parametrize("serving", ["off", "enforce"])
def test_a_model_that_was_swapped_after_the_gate_is_not_promoted(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, tmp_path: Path, serving: str
) -> None:
    spec = specified(loop_home, request, serving)
    run = judge_loop(spec)
    swap_model(store, Candidate.from_json(run.reports["train"]), tmp_path / "evil")
    with pytest.raises(AirflowFailException, match="recorded, with digest") as error:
        promote_run(spec, run, context_of(run.run_id))
    assert str(error.value).count("found") == 1
    assert store.registry.alias(spec.registered_model, "champion") is None


def test_a_champion_that_was_swapped_neither_scores_nor_is_judged_against_nor_returned_to(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, tmp_path: Path
) -> None:
    spec = specified(loop_home, request)
    first = run_loop(spec)
    model = spec.registered_model
    candidate = Candidate.from_json(first.reports["train"])
    assert store.registry.alias(model, "champion") == 1
    file, honest = swap_model(store, candidate, tmp_path / "evil")
    score = ScoreOperator(task_id="score", spec=spec)
    with pytest.raises(AirflowFailException, match="recorded, with digest"):
        score.execute(context_of("s1", dag_id=f"{model}.score"))
    assert not (loop_home / "storage" / "predictions").exists()
    problems = verify_trail(store.registry, store.trail, model)
    assert [problem.code for problem in problems] == [ReasonCode.MODEL_ALTERED]
    with pytest.raises(AirflowFailException, match="recorded, with digest"):
        judge_loop(spec, AS_OF + timedelta(hours=1))
    # It was put right: everything goes on.
    file.write_bytes(honest)
    put_back(store, candidate, file.parent)
    assert verify_trail(store.registry, store.trail, model) == ()
    assert score.execute(context_of("s2", dag_id=f"{model}.score"))["version"] == 1


def test_a_swapped_candidate_is_not_judged(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, tmp_path: Path
) -> None:
    spec = specified(loop_home, request)
    run = judge_loop(spec)
    swap_model(store, Candidate.from_json(run.reports["train"]), tmp_path / "evil")
    gate = EvaluateGateOperator(
        task_id="gate", spec=spec, snapshot=run.reports["snapshot"], candidate=run.reports["train"]
    )
    with pytest.raises(AirflowFailException, match="recorded, with digest"):
        gate.execute(context_of(run.run_id))


def as_challenger(store: MLflowStore, name: str, candidate: Candidate) -> Any:
    decision = decision_of(candidate, 2)
    return challenge(decision, candidate, store.registry, store.trail, registered_model=name, by="a", now=NOW)


def by_rollback(store: MLflowStore, name: str, _: Candidate) -> Any:
    return rollback(store.registry, store.trail, registered_model=name, by="a", reason="back", now=NOW, to=1)


def by_force(store: MLflowStore, name: str, _: Candidate) -> Any:
    given: dict[str, Any] = {"by": "a", "reason": "now", "now": NOW, "allow_older": True}
    return override(store.registry, store.trail, registered_model=name, version=3, **given)


WAYS: dict[str, tuple[int, Callable[..., Any]]] = {
    "challenger": (4, as_challenger),
    "rollback": (1, by_rollback),
    "force": (3, by_force),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_lets_a_changed_model_serve(store: MLflowStore, request: Any, tmp_path: Path, way: str) -> None:
    name = f"ways_{way}"
    candidates = {number: record(store, name, f"r{number}", days=number) for number in (1, 2, 3, 4)}
    given: dict[str, Any] = {"registered_model": name, "by": "a", "now": NOW}
    for number, against, verdict in ((1, None, "accept"), (2, 1, "accept"), (3, 2, "reject")):
        decision = decision_of(candidates[number], against, Verdict(verdict))
        promote(decision, candidates[number], store.registry, store.trail, **given)
    number, act = WAYS[way]
    events = store.trail.events(name)
    swap_model(store, candidates[number], tmp_path / "evil")
    with pytest.raises(RecordError) as error:
        act(store, name, candidates[number])
    assert [problem.code for problem in error.value.problems] == [ReasonCode.MODEL_ALTERED]
    assert store.registry.alias(name, "champion") == 2
    assert store.trail.events(name) == events


def test_the_operator_does_not_return_to_a_changed_model_whatever_serving_says(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, tmp_path: Path
) -> None:
    spec = specified(loop_home, request)
    run = run_loop(spec)
    candidate = Candidate.from_json(run.reports["train"])
    second = replace(record(store, f"{spec.name}_second", days=40), model=spec.name)
    how: dict[str, Any] = {"registered_model": spec.registered_model, "specification": SpecIdentity.of(spec)}
    promote(decision_of(second, 1), second, store.registry, store.trail, by="a", now=NOW, **how)
    swap_model(store, candidate, tmp_path / "evil")
    with pytest.raises(AirflowFailException, match="recorded, with digest"):
        RollbackOperator(task_id="back", spec=spec, reason="bad").execute(context_of("b", dag_id="back"))
    assert store.registry.alias(spec.registered_model, "champion") == 2


def test_a_decision_names_the_bytes_that_it_is_about(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, tmp_path: Path
) -> None:
    spec = specified(loop_home, request)
    run = run_loop(spec)
    candidate = Candidate.from_json(run.reports["train"])
    decision = GateDecision.from_json(run.reports["gate"])
    assert candidate.model_digest == decision.model_digest
    assert candidate.model_digest == digest_folder(stored_files(store, candidate, tmp_path / "as it is stored"))
    promoting = next(event for event in store.trail.events(spec.registered_model) if event.kind == "promoting")
    assert promoting.model_digest == candidate.model_digest


# mutation of a stored model, byte by byte ----------------------------------------------------------------------------


def mutations(folder: Path, chosen: Callable[[int], list[int]]) -> list[tuple[Path, int]]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [(file, place) for file in files for place in chosen(file.stat().st_size)]


def flipped(file: Path, place: int, bit: int) -> bytes:
    content = bytearray(file.read_bytes())
    content[place] ^= 1 << bit
    return bytes(content)


def assert_noticed(folder: Path, chosen: Callable[[int], list[int]], seed: int) -> int:
    """Flip a bit of each chosen byte, one at a time; return how many there were, all of which the digest tells."""
    rng, before = np.random.default_rng(seed), digest_folder(folder)
    tried = mutations(folder, chosen)
    for file, place in tried:
        honest = file.read_bytes()
        file.write_bytes(flipped(file, place, int(rng.integers(8))))
        assert digest_folder(folder) != before, (file, place)
        file.write_bytes(honest)
    assert digest_folder(folder) == before
    return len(tried)


def test_a_changed_byte_of_any_file_is_noticed(store: MLflowStore, tmp_path: Path) -> None:
    folder = stored_files(store, record(store, "bytes"), tmp_path / "model")
    rng = np.random.default_rng(7)
    assert assert_noticed(folder, lambda size: rng.choice(size, min(size, 20), replace=False).tolist(), seed=7) > 100


@pytest.mark.chaos
def test_a_changed_byte_of_any_file_is_noticed_every_one(store: MLflowStore, tmp_path: Path) -> None:
    folder = stored_files(store, record(store, "every_byte"), tmp_path / "model")
    assert assert_noticed(folder, lambda size: list(range(size)), seed=8) > 10_000


OTHER_CHANGES: dict[str, Callable[[Path], None]] = {
    "a file cut off": lambda folder: (folder / "model.skops").write_bytes((folder / "model.skops").read_bytes()[:-1]),
    "a byte more": lambda folder: (folder / "MLmodel").write_bytes((folder / "MLmodel").read_bytes() + b"\n"),
    "another requirement": lambda folder: (folder / "requirements.txt").write_text("evil==1.0\n"),
    "a file more": lambda folder: (folder / "sitecustomize.py").write_text("print(1)\n"),
    "a compiled step": lambda folder: next(folder.rglob("airflow_mlops_steps")).joinpath("x.pyc").write_bytes(b"\x00"),
}


@pytest.mark.parametrize("change", OTHER_CHANGES)
def test_whatever_else_is_changed_of_a_stored_model_is_refused(store: MLflowStore, tmp_path: Path, change: str) -> None:
    candidate = record(store, f"change_{list(OTHER_CHANGES).index(change)}")
    folder = stored_files(store, candidate, tmp_path / "model")
    OTHER_CHANGES[change](folder)
    put_back(store, candidate, folder)
    for how in (candidate, candidate.model_uri):
        with pytest.raises(RecordError) as error:
            store.load_pipeline(how, spec=spec_of())
        assert [problem.code for problem in error.value.problems] == [ReasonCode.MODEL_ALTERED]


def test_bytes_of_another_model_are_no_alibi(store: MLflowStore) -> None:
    mine, other = record(store, "mine"), record(store, "others", "r2")
    with pytest.raises(RecordError, match="recorded, with digest"):
        store.load_pipeline(replace(mine, model_uri=other.model_uri), spec=spec_of())
