"""The audit trail on a real MLflow server: one trail, one winner for each number, and nothing that is lost unseen."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion.audit_chain import following
from airflow_mlops.core.promotion.audit_state import AuditState, fold
from airflow_mlops.core.promotion.retire import retire, retirement_tag
from airflow_mlops.core.promotion.verify import verify_trail
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.audit_trail import RUNS, TRAIL, TRAIL_OF
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.memory_registry import NOW

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.usefixtures("quiet"),
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
WHO: dict[str, Any] = {"by": "user:ada", "now": NOW, "reason": "why not"}


@pytest.fixture
def name(request: pytest.FixtureRequest, client: Any) -> str:
    """A registered model of its own for each test."""
    made = str(request.node.name).replace("[", "_").replace("]", "_")[:80]
    client.create_registered_model(made)
    return made


def next_event(state: AuditState, model: str, **fields: Any) -> AuditEvent:
    return following(state, **{"model": model, "kind": "retired", "at": NOW, "by": "user:ada", "reason": "", **fields})


def filled(store: MLflowStore, name: str, count: int = 3) -> tuple[AuditEvent, ...]:
    for _ in range(count):
        assert store.trail.append(name, next_event(fold(store.trail.events(name)), name))
    return store.trail.events(name)


def broken(mlflow_uri: str, name: str) -> str:
    """The refusal of a store that looks for the first time."""
    with pytest.raises(RecordError) as error:
        MLflowStore.connect(mlflow_uri).trail.events(name)
    assert {problem.code for problem in error.value.problems} == {ReasonCode.AUDIT_BROKEN}
    return str(error.value)


def test_what_is_written_is_read_and_written_once(store: MLflowStore, mlflow_uri: str, name: str) -> None:
    assert store.trail.events(name) == ()
    assert store.trail.trail_run(name) is None
    first = next_event(AuditState(), name, reason="ü 'q\" 😀 \\ " * 200)
    assert store.trail.append(name, first)
    assert store.trail.append(name, first)
    other = MLflowStore.connect(mlflow_uri)
    assert not other.trail.append(name, next_event(AuditState(), name))
    assert other.trail.events(name) == (first,)
    assert name in other.trail.registered_models()
    assert other.registry.model_tags(name)[TRAIL] == other.trail.trail_run(name)


def test_of_many_at_once_one_writes_each_number_and_there_is_one_trail(mlflow_uri: str, client: Any, name: str) -> None:
    won: list[tuple[int, int]] = []
    ready = threading.Barrier(8)

    def write(who: int) -> None:
        mine = MLflowStore.connect(mlflow_uri)
        ready.wait()
        for number in range(1, 4):
            while len(events := mine.trail.events(name)) < number:
                if mine.trail.append(name, next_event(fold(events), name, by=f"user:{who}")):
                    won.append((number, who))

    threads = [threading.Thread(target=write, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in won) == [1, 2, 3]
    events = MLflowStore.connect(mlflow_uri).trail.events(name)
    assert [(event.number, event.by) for event in events] == [(n, f"user:{who}") for n, who in sorted(won)]
    home = client.get_experiment_by_name(RUNS).experiment_id
    assert len(client.search_runs([home], f"tags.`{TRAIL_OF}` = '{name}'")) == 1


def test_a_run_that_a_killed_process_left_is_used(store: MLflowStore, client: Any, name: str) -> None:
    other = f"{name}-other"
    client.create_registered_model(other)
    filled(store, other, 1)
    home = client.get_experiment_by_name(RUNS).experiment_id
    left = client.create_run(home, tags={TRAIL_OF: name}).info.run_id
    filled(store, name)
    assert store.trail.trail_run(name) == left


@pytest.mark.parametrize("what", ["run", "experiment", "pointer", "home"])
def test_a_deleted_or_cut_trail_is_found_out(
    store: MLflowStore, mlflow_uri: str, client: Any, name: str, what: str
) -> None:
    filled(store, name)
    run_id = store.trail.trail_run(name)
    pointer = client.get_experiment_by_name(f"mlops audit: {name}")
    if what == "run":
        client.delete_run(run_id)
        words = "a deleted run"
        with pytest.raises(RecordError):
            store.trail.append(name, next_event(AuditState(number=3), name))
    elif what == "experiment":
        client.delete_experiment(pointer.experiment_id)
        words = "a deleted experiment"
    elif what == "pointer":
        client.delete_experiment_tag(pointer.experiment_id, TRAIL)
        words = "does not name its run"
    else:
        client.set_tag(run_id, TRAIL_OF, "other")
        words = "not marked as its trail"
    assert words in broken(mlflow_uri, name)
    assert name in MLflowStore.connect(mlflow_uri).trail.registered_models()  # so that status says what is wrong


def test_a_trail_that_was_exchanged_is_found_out(store: MLflowStore, mlflow_uri: str, client: Any, name: str) -> None:
    filled(store, name)
    pointer = client.get_experiment_by_name(f"mlops audit: {name}")
    home = client.get_experiment_by_name(RUNS).experiment_id
    forged = client.create_run(home, tags={TRAIL_OF: name}).info.run_id
    client.set_experiment_tag(pointer.experiment_id, TRAIL, forged)
    assert "names run" in broken(mlflow_uri, name)


def test_a_trail_that_was_purged_is_found_out(mlflow_uri: str, client: Any, name: str) -> None:
    client.set_registered_model_tag(name, TRAIL, "0" * 32)
    assert "deleted for good" in broken(mlflow_uri, name)
    assert name in MLflowStore.connect(mlflow_uri).trail.registered_models()


def test_a_registered_model_that_was_made_again_is_found_out(
    store: MLflowStore, mlflow_uri: str, client: Any, name: str
) -> None:
    events = filled(store, name)
    client.delete_registered_model(name)
    assert MLflowStore.connect(mlflow_uri).trail.events(name) == events
    client.create_registered_model(name)
    assert "made again" in broken(mlflow_uri, name)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("event.000005", "{}", "cannot be read"),
        ("event.000004", "not JSON", "cannot be read"),
        ("event.000005", "next", "event 5 where event 4 should be"),
        ("event.000004", "next", "in the place of event 4"),
        ("event.000004", "unchained", "its hash is another one"),
    ],
)
def test_a_forged_event_is_found_out(
    store: MLflowStore, mlflow_uri: str, client: Any, name: str, key: str, value: str, words: str
) -> None:
    state = fold(filled(store, name))
    texts = {
        "next": next_event(AuditState(number=4, digest=state.digest), name).to_text(),
        "unchained": next_event(AuditState(number=3, digest="0" * 64), name).to_text(),
    }
    client.log_param(store.trail.trail_run(name), key, texts.get(value, value))
    assert words in broken(mlflow_uri, name)


def test_without_a_registered_model_there_is_no_trail(store: MLflowStore) -> None:
    with pytest.raises(RecordError) as error:
        retire(store.registry, store.trail, registered_model="nobody-made-this", **WHO)
    assert [problem.code for problem in error.value.problems] == [ReasonCode.NO_CHAMPION]
    assert store.trail.events("nobody-made-this") == ()
    assert verify_trail(store.registry, store.trail, "nobody-made-this") == ()


def test_retirement_on_the_real_registry(store: MLflowStore, name: str) -> None:
    retire(store.registry, store.trail, registered_model=name, **WHO)
    assert retirement_tag(store.registry, name) == "why not"
    assert verify_trail(store.registry, store.trail, name) == ()
    retire(store.registry, store.trail, registered_model=name, undo=True, **WHO)
    assert retirement_tag(store.registry, name) is None
    assert verify_trail(store.registry, store.trail, name) == ()
