"""Runs of the loop on a real MLflow server: found or made, resumed, ended, failed."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_mlops.core.errors import RecordError, TrainingError
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.mlflow_records import codes, inputs_of, record
from tests.support.servers import free_port

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.usefixtures("quiet"),
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def test_a_loop_run_has_one_run_however_often_it_is_opened(store: MLflowStore, client: Any, name: str) -> None:
    first = store.runs.open_run(name, "d/r1", model="toy", inputs="i", tags={"mlops.try_number": "1"})
    assert store.runs.open_run(name, "d/r1", model="toy", inputs="i", tags={"mlops.try_number": "2"}) == first
    assert store.runs.open_run(name, "d/r1", model="toy") == first
    assert store.runs.open_run(name, "d/it's", model="toy", inputs="i") not in (first, "")
    run = client.get_run(first)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == "r1"
    tags = {key: value for key, value in run.data.tags.items() if key.startswith("mlops.")}
    assert tags == {"mlops.loop_run": "d/r1", "mlops.model": "toy", "mlops.inputs": "i", "mlops.try_number": "2"}


def test_two_models_of_one_loop_run_in_one_experiment_have_a_run_each(
    store: MLflowStore, client: Any, name: str
) -> None:
    first = store.runs.open_run(name, "d/r1", model="late", inputs="i")
    second = store.runs.open_run(name, "d/r1", model="early", inputs="j")
    assert second != first
    assert store.runs.open_run(name, "d/r1", model="late", inputs="i") == first
    assert store.runs.open_run(name, "d/r1", model="early", inputs="j") == second
    stages = [client.get_run(run_id).info.lifecycle_stage for run_id in (first, second)]
    assert stages == ["active", "active"]


def test_inputs_may_be_known_later_and_then_hold(store: MLflowStore, client: Any, name: str) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    assert store.runs.open_run(name, "d/r1", model="toy", inputs="i") == run_id
    assert client.get_run(run_id).data.tags["mlops.inputs"] == "i"


def test_other_inputs_replace_a_run_that_registered_nothing(store: MLflowStore, client: Any, name: str) -> None:
    candidate = record(store, name)
    other = store.runs.open_run(name, candidate.loop_run, model="toy", inputs="other")
    assert other != candidate.run_id
    assert client.get_run(candidate.run_id).info.lifecycle_stage == "deleted"
    experiment = client.get_experiment_by_name(name).experiment_id
    assert client.search_logged_models([experiment]) == []
    assert store.candidates.find_candidate(other) is None


def test_other_inputs_are_another_attempt_once_a_version_is_registered(
    store: MLflowStore, client: Any, name: str
) -> None:
    candidate = record(store, name)
    store.registry.register(name, candidate, {})
    other = store.runs.open_run(name, candidate.loop_run, model="toy", inputs="other")
    assert other != candidate.run_id
    third = store.runs.open_run(name, candidate.loop_run, model="toy", inputs="third")
    stages = [client.get_run(run_id).info.lifecycle_stage for run_id in (candidate.run_id, other, third)]
    assert stages == ["active", "deleted", "active"]
    assert store.runs.open_run(name, candidate.loop_run, model="toy", inputs=inputs_of()) == candidate.run_id
    assert store.candidates.candidate(candidate.run_id) == candidate
    assert client.get_run(third).info.lifecycle_stage == "deleted"


def test_a_run_is_tagged_with_what_superseded_it_until_it_stands_again(
    store: MLflowStore, client: Any, name: str
) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy", inputs="i")
    for by, tagged in ((2, "2"), (2, "2"), (3, "3"), (None, None), (None, None)):
        store.runs.mark_superseded(run_id, by)
        assert client.get_run(run_id).data.tags.get("mlops.superseded_by") == tagged
    assert store.runs.is_live(run_id)
    client.delete_run(run_id)
    assert not store.runs.is_live(run_id)
    assert not store.runs.is_live("f" * 32)


def test_of_doubled_runs_the_earliest_stays(store: MLflowStore, client: Any, name: str) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    experiment = client.get_experiment_by_name(name).experiment_id
    late = client.create_run(experiment, tags={"mlops.loop_run": "d/r1", "mlops.model": "toy"}).info.run_id
    assert store.runs.open_run(name, "d/r1", model="toy") == run_id
    assert client.get_run(late).info.lifecycle_stage == "deleted"


def test_of_doubled_runs_the_one_with_a_version_stays(store: MLflowStore, client: Any, name: str) -> None:
    candidate = record(store, name)
    client.delete_run(candidate.run_id)
    late = record(store, name)
    store.registry.register(name, late, {})
    client.restore_run(candidate.run_id)
    inputs = inputs_of()
    assert store.runs.open_run(name, late.loop_run, model="toy", inputs=inputs) == late.run_id
    assert client.get_run(candidate.run_id).info.lifecycle_stage == "deleted"
    client.restore_run(candidate.run_id)
    store.registry.register(name, candidate, {})
    with pytest.raises(RecordError, match="each has a version") as error:
        store.runs.open_run(name, late.loop_run, model="toy", inputs=inputs)
    assert codes(error) == {ReasonCode.RECORD_CONFLICT}


def test_two_first_runs_at_once_share_the_experiment(mlflow_uri: str, client: Any, name: str) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda n=n: found.append(MLflowStore.connect(mlflow_uri).runs.open_run(name, f"d/{n}", model="toy"))
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 4
    assert len({client.get_run(run_id).info.experiment_id for run_id in found}) == 1


def test_a_deleted_experiment_is_a_clear_refusal(store: MLflowStore, client: Any, name: str) -> None:
    store.runs.open_run(name, "d/r1", model="toy")
    client.delete_experiment(client.get_experiment_by_name(name).experiment_id)
    with pytest.raises(RecordError, match="is deleted"):
        store.runs.open_run(name, "d/r2", model="toy")


def test_a_failure_ends_the_run_with_its_reason_and_a_retry_clears_it(
    store: MLflowStore, client: Any, name: str
) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    refusal = TrainingError(
        Problem(code=ReasonCode.TRAINING_FAILED, field="training", found="no luck", allowed="luck", fix="go on")
    )
    with pytest.raises(TrainingError, match="no luck"), store.runs.failing(run_id):
        raise refusal
    run = client.get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["mlops.failure"] == f"TrainingError: {refusal}"
    assert store.runs.open_run(name, "d/r1", model="toy") == run_id
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert "mlops.failure" not in run.data.tags


@pytest.mark.parametrize("kind", [ValueError, AirflowTaskTimeout, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_work_ends_the_run_and_its_words_are_not_kept(
    store: MLflowStore, client: Any, name: str, kind: type[BaseException]
) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    with pytest.raises(kind), store.runs.failing(run_id):
        raise kind("could not convert string to float: 'Ada Lovelace'")
    run = client.get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["mlops.failure"] == kind.__name__


def test_a_failure_stays_the_failure_when_mlflow_is_away_as_well() -> None:
    store = MLflowStore.connect(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ZeroDivisionError) as error, store.runs.failing("f" * 32):
        raise ZeroDivisionError
    (note,) = error.value.__notes__
    assert "could not be marked as FAILED" in note
