"""Attempts of a loop run on a real MLflow server: judged anew, refused, or taken up again."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion import promote
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop_parts import AS_OF, decision_of, spec_of
from tests.support.mlflow_records import codes, inputs_of, record

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.usefixtures("quiet"),
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def spec(name: str) -> ModelSpec:
    places = {"tracking": {"experiment": name}, "promotion": {"registered_model": name}}
    return ModelSpec.model_validate({**spec_of().model_dump(mode="json"), **places})


def promoted(store: MLflowStore, name: str, candidate: Candidate, verdict: Verdict) -> int:
    decision = decision_of(candidate, None, verdict)
    who: dict[str, Any] = {"registered_model": name, "by": "airflow:t", "now": AS_OF}
    return promote(decision, candidate, store.registry, store.trail, **who).version


def opened(store: MLflowStore, name: str, loop_run: str, inputs: str) -> str:
    return store.attempts.open_attempt(spec(name), loop_run, inputs=inputs, tags={})


@pytest.mark.parametrize("loop", ["r1", "it's", "scheduled__2026-01-01T00:00:00+00:00"])
def test_what_a_loop_run_registered_is_found_whatever_its_name(store: MLflowStore, name: str, loop: str) -> None:
    candidate = record(store, name, loop)
    number = promoted(store, name, candidate, Verdict.REJECT)
    promoted(store, name, record(store, name, "other"), Verdict.REJECT)
    (found,) = store.registry.loop_versions(name, candidate.loop_run)
    assert (found.number, found.run_id, found.inputs) == (number, candidate.run_id, inputs_of())
    assert store.registry.loop_versions(name, candidate.loop_run.upper()) == ()
    assert store.registry.loop_versions("nothing", candidate.loop_run) == ()


def test_a_rejected_run_gets_an_attempt_for_each_of_its_inputs(store: MLflowStore, name: str) -> None:
    candidate = record(store, name)
    promoted(store, name, candidate, Verdict.REJECT)
    other = opened(store, name, candidate.loop_run, "other/spec")
    assert other != candidate.run_id
    assert opened(store, name, candidate.loop_run, "other/spec") == other
    assert opened(store, name, candidate.loop_run, inputs_of()) == candidate.run_id


def test_a_run_whose_version_serves_is_not_judged_anew(store: MLflowStore, client: Any, name: str) -> None:
    candidate = record(store, name)
    promoted(store, name, candidate, Verdict.ACCEPT)
    for inputs, words in (("other/spec", "other rows and another specification"), ("b/c", "trigger a new run")):
        with pytest.raises(RecordError, match=words) as error:
            opened(store, name, candidate.loop_run, inputs)
        assert codes(error) == {ReasonCode.VERSION_SERVED}
        assert f"{name} version 1, which serves or has served" in str(error.value)
    assert opened(store, name, candidate.loop_run, inputs_of()) == candidate.run_id
    client.delete_registered_model_alias(name, "champion")
    client.delete_model_version_tag(name, "1", "mlops.status")
    with pytest.raises(RecordError, match="serves or has served"):  # the trail knows it
        opened(store, name, candidate.loop_run, "other/spec")


@pytest.mark.parametrize("verdict", [Verdict.ACCEPT, Verdict.REJECT])
def test_a_run_that_was_deleted_and_cleared_makes_no_second_version(
    store: MLflowStore, client: Any, name: str, verdict: Verdict
) -> None:
    candidate = record(store, name)
    promoted(store, name, candidate, verdict)
    client.delete_run(candidate.run_id)
    with pytest.raises(RecordError, match=f"already registered {name} version 1") as error:
        opened(store, name, candidate.loop_run, inputs_of())
    assert codes(error) == {ReasonCode.RECORD_CONFLICT}
    assert f"MLflow run {candidate.run_id}, which is deleted" in str(error.value)
    assert f"mlflow runs restore --run-id {candidate.run_id}" in str(error.value)
    # Trained all the same, by hand or by an older release: registered it is not.
    again = record(store, name)
    assert again.run_id != candidate.run_id
    with pytest.raises(RecordError, match="one version of a loop run from the same inputs"):
        promoted(store, name, again, Verdict.REJECT)
    assert store.registry.version_tags(name, 2) is None
    client.delete_run(again.run_id)
    client.restore_run(candidate.run_id)
    assert opened(store, name, candidate.loop_run, inputs_of()) == candidate.run_id
