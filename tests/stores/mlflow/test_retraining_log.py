"""The retraining log in MLflow: numbered and written once, claims that one run holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
from mlflow import MlflowClient

from airflow_mlops.core.errors import RecordError, StoreUnavailableError
from airflow_mlops.core.ports import RetrainLog
from airflow_mlops.core.records.retraining import History, MonitoringInput, RetrainDecision
from airflow_mlops.core.retraining.log import ask_again, decide_and_log
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.retrain_cases import CHAMPION, DAY, NOW, drift, logged, performance, spec

LOOSE = {"drift": {"violations": 1}}


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return "log " + "".join(letter if letter.isalnum() else "_" for letter in str(request.node.name))


def decision(name: str, number: int, **changes: Any) -> RetrainDecision:
    return logged(number, number=number, model=name, **changes)


# the log -------------------------------------------------------------------------------------------------------------


def test_decisions_come_back_in_order_to_whoever_asks(store: MLflowStore, mlflow_uri: str, name: str) -> None:
    assert store.retraining_log.decisions(name) == ()
    made = [decision(name, number) for number in (1, 2, 3)]
    assert all(store.retraining_log.log_decision(name, one) for one in made)
    assert (
        store.retraining_log.decisions(name)
        == MLflowStore.connect(mlflow_uri).retraining_log.decisions(name)
        == tuple(made)
    )
    assert store.retraining_log.decisions(f"{name} other") == ()


def test_a_number_is_written_once_and_the_same_again_is_the_same(store: MLflowStore, name: str) -> None:
    assert store.retraining_log.log_decision(name, decision(name, 1))
    assert store.retraining_log.log_decision(name, decision(name, 1))
    assert not store.retraining_log.log_decision(name, decision(name, 1, rule="urgent"))
    assert store.retraining_log.decisions(name) == (decision(name, 1),)


def test_a_decision_without_a_number_or_too_long_is_refused(store: MLflowStore, name: str) -> None:
    with pytest.raises(RecordError, match="without a number"):
        store.retraining_log.log_decision(name, replace(decision(name, 1), number=None))
    with pytest.raises(RecordError, match="MLflow would cut"):
        store.retraining_log.log_decision(name, decision(name, 1, reasons=("x" * 6000,)))


def test_a_gap_or_a_changed_decision_is_found_out(store: MLflowStore, name: str) -> None:
    store.retraining_log.log_decision(name, decision(name, 1))
    store.retraining_log.log_decision(name, decision(name, 3))
    with pytest.raises(RecordError, match="decision 3 of .* where decision 2 should be"):
        store.retraining_log.decisions(name)


def test_a_deleted_log_is_a_refusal_and_not_an_empty_log(store: MLflowStore, mlflow_uri: str, name: str) -> None:
    """An empty one would spend the whole budget again."""
    store.retraining_log.log_decision(name, decision(name, 1))
    client = MlflowClient(mlflow_uri)
    experiment = client.get_experiment_by_name(f"mlops retraining: {name}")
    run_id = experiment.tags["mlops.retraining_log"]
    client.delete_run(run_id)
    for ask in (store.retraining_log.decisions, store.retraining_log.claims):
        with pytest.raises(RecordError, match="a deleted run"):
            ask(name)
    with pytest.raises(RecordError, match="a deleted run"):
        store.retraining_log.log_decision(name, decision(name, 2))
    client.restore_run(run_id)
    assert store.retraining_log.decisions(name) == (decision(name, 1),)
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(RecordError, match="a deleted experiment"):
        MLflowStore.connect(mlflow_uri).retraining_log.decisions(name)
    client.restore_experiment(experiment.experiment_id)
    client.set_experiment_tag(experiment.experiment_id, "mlops.retraining_log", "")
    with pytest.raises(RecordError):
        MLflowStore.connect(mlflow_uri).retraining_log.decisions(name)


def at_once(count: int, work: Any) -> list[Any]:
    """Do it in so many threads at the same moment; return what each got, or raised."""
    results: list[Any] = [None] * count
    ready = threading.Barrier(count)

    def one(number: int) -> None:
        ready.wait()
        try:
            results[number] = work(number)
        except Exception as error:  # noqa: BLE001 - the test shows it
            results[number] = error

    crowd = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return results


def test_of_many_first_decisions_at_once_one_is_the_first(mlflow_uri: str, name: str) -> None:
    def first(number: int) -> bool:
        return MLflowStore.connect(mlflow_uri).retraining_log.log_decision(name, decision(name, 1, owner=f"{number}"))

    won = at_once(12, first)
    assert sorted(won, key=str) == [False] * 11 + [True]
    (standing,) = MLflowStore.connect(mlflow_uri).retraining_log.decisions(name)
    assert standing.owner == str(won.index(True))
    runs = MlflowClient(mlflow_uri)
    home = runs.get_experiment_by_name("mlops retraining").experiment_id
    left = [run for run in runs.search_runs([home]) if run.data.tags["mlops.retraining_log_of"] == name]
    assert len(left) == 1


# claims --------------------------------------------------------------------------------------------------------------


def test_a_decision_is_claimed_by_one_run_for_ever(store: MLflowStore, name: str) -> None:
    key = f"{name}/v4/2013-06-02T00:00:00+00:00_2013-06-09T00:00:00+00:00"
    assert store.retraining_log.claims(name) == {}
    assert store.retraining_log.claim(name, key, "m.train/a") == "m.train/a"
    assert store.retraining_log.claim(name, key, "m.train/b") == "m.train/a"
    assert store.retraining_log.claim(name, key, "m.train/a") == "m.train/a"
    assert store.retraining_log.claim(name, "another", "m.train/b") == "m.train/b"
    assert store.retraining_log.claims(name) == {key: "m.train/a", "another": "m.train/b"}


def test_of_many_who_claim_at_once_one_holds_it_and_all_know_whom(mlflow_uri: str, name: str) -> None:
    holders = at_once(
        12, lambda number: MLflowStore.connect(mlflow_uri).retraining_log.claim(name, "k", f"m.train/{number}")
    )
    assert len(set(holders)) == 1
    assert MLflowStore.connect(mlflow_uri).retraining_log.claims(name) == {"k": holders[0]}


# decide and log ------------------------------------------------------------------------------------------------------


def on(log: RetrainLog, at: Any = NOW, history: History | None = None, **rules: Any) -> RetrainDecision:
    model = spec(**{"monitoring": LOOSE, **rules})
    return decide_and_log(log, model, CHAMPION, MonitoringInput(drift=drift(at=at)), history or History(), at)


class Log:
    """A retraining log in memory, for one model; what it is asked, it does as MLflow does."""

    def __init__(self) -> None:
        self.made: list[RetrainDecision] = []
        self.held: dict[str, str] = {}

    def decisions(self, model: str) -> tuple[RetrainDecision, ...]:
        return tuple(self.made)

    def log_decision(self, model: str, decision: RetrainDecision) -> bool:
        if decision.number == len(self.made) + 1:
            self.made.append(decision)
            return True
        return self.made[(decision.number or 0) - 1] == decision

    def claim(self, model: str, key: str, loop_run: str) -> str:
        return self.held.setdefault(key, loop_run)

    def claims(self, model: str) -> dict[str, str]:
        return dict(self.held)


def test_who_was_not_first_reads_again_and_decides_anew() -> None:
    """Between reading and writing, somebody else spends the last of the budget."""

    class Slow(Log):
        def log_decision(self, model: str, decision: RetrainDecision) -> bool:
            if not self.made:
                self.made.append(replace(logged(60), number=1))
            return super().log_decision(model, decision)

    log = Slow()
    decided = on(log, budget={"runs": 1, "per": "90d"})
    assert (decided.action, decided.rule) == ("wait", "budget")
    assert len(log.made) == 1


def test_who_is_never_first_gives_up_with_a_sentence() -> None:
    class Never(Log):
        def log_decision(self, model: str, decision: RetrainDecision) -> bool:
            return False

    with pytest.raises(RecordError, match="others were faster 200 times"):
        on(Never())


def test_a_lost_event_is_asked_for_once_more_by_one_run() -> None:
    log = Log()
    first = on(log)
    assert first.number == 1
    next_day = on(log, NOW + DAY)
    assert next_day.rule == "cooldown"
    asked = [ask_again(log, spec(), CHAMPION, History(), next_day, run) for run in ("a", "b", "a")]
    assert asked == [first, None, first]
    log.claim("m", first.key, "m.train/1")
    assert ask_again(log, spec(), CHAMPION, History(), next_day, "a") is None


# storms --------------------------------------------------------------------------------------------------------------


def storm(uri: str, name: str, moments: list[Any], workers: int, **rules: Any) -> list[RetrainDecision]:
    """Decide and log as of each moment, workers at once, each with its own connection; what each event came to."""
    body = spec(**{"monitoring": LOOSE, "cooldown": "0d", **rules}).model_dump(mode="json", exclude_unset=True)
    model, who = ModelSpec.model_validate({**body, "name": name}), replace(CHAMPION, model=name)
    queue, lock = iter(moments), threading.Lock()
    made: list[RetrainDecision] = []

    def worker(_: int) -> None:
        store = MLflowStore.connect(uri)
        while True:
            with lock:
                at = next(queue, None)
            if at is None:
                return
            seen = MonitoringInput(
                drift=drift(at=at, model=name), performance=performance(at=at, urgent=True, model=name)
            )
            decided = decide_and_log(store.retraining_log, model, who, seen, History(), at)
            with lock:
                made.append(decided)

    assert at_once(workers, worker) == [None] * workers
    return made


@pytest.mark.parametrize(
    ("count", "workers"), [pytest.param(64, 8, id="64"), pytest.param(1000, 16, id="1000", marks=pytest.mark.chaos)]
)
def test_events_of_one_minute_make_what_the_budget_allows(mlflow_uri: str, count: int, workers: int) -> None:
    """Each of another window; then all of them again, as if every event were repeated."""
    moments, name = [NOW + number * timedelta(minutes=1) / count for number in range(count)], f"minute_{count}"
    for _ in range(2):
        made = storm(mlflow_uri, name, moments, workers, budget={"runs": 4, "per": "30d"})
        decided = MLflowStore.connect(mlflow_uri).retraining_log.decisions(name)
        assert len(made) == count
        assert [one.action for one in decided] == ["retrain"] * 4 + ["escalate"]  # urgent, and the budget is spent
        assert {one.key for one in made if one.action == "retrain"} == {one.key for one in decided[:4]}


def test_a_month_of_drift_with_every_event_three_times_makes_what_the_budget_allows(mlflow_uri: str) -> None:
    """Thirty windows, the budget 2 in 10 days: the days 0 and 1, 10 and 11, 20 and 21; then the owner is told, once."""
    for day in range(30):
        storm(mlflow_uri, "month", [NOW + day * DAY] * 3, 3, budget={"runs": 2, "per": "10d"})
    decided = MLflowStore.connect(mlflow_uri).retraining_log.decisions("month")
    made = [one for one in decided if one.action == "retrain"]
    assert [(one.as_of - NOW).days for one in made] == [0, 1, 10, 11, 20, 21]
    assert len({one.key for one in made}) == 6
    told = [one for one in decided if one.action != "retrain"]
    assert [((one.as_of - NOW).days, one.action, one.rule) for one in told] == [
        (day, "escalate", "budget") for day in (2, 12, 22)
    ]


# dying on the way ----------------------------------------------------------------------------------------------------


@contextmanager
def cut(number: int, late: bool) -> Iterator[None]:
    """From the `number`-th writing request on, nothing reaches the server; or the answer to that one is lost."""
    send, count = requests.Session.send, 0

    def deadly(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        nonlocal count
        reads = request.method == "GET" or "/search" in str(request.url)
        if not reads:
            count += 1
            if count >= number:
                if late and count == number:
                    send(self, request, **options).close()
                raise KeyboardInterrupt
        return send(self, request, **options)

    requests.Session.send = deadly  # type: ignore[method-assign]
    try:
        yield
    finally:
        requests.Session.send = send  # type: ignore[method-assign]


@pytest.mark.parametrize("late", [False, True])
def test_killed_at_any_write_the_next_try_decides_once(mlflow_uri: str, late: bool) -> None:
    """The log's run, its experiment, the decision, the claim: whichever write is the last, or loses its answer."""
    died = 0
    for number in range(1, 8):
        model = f"killed_{late}_{number}"
        made = replace(logged(0), model=model, number=1)

        def work(model: str = model, made: RetrainDecision = made) -> None:
            store = MLflowStore.connect(mlflow_uri)
            assert store.retraining_log.log_decision(model, made)
            assert store.retraining_log.claim(model, made.key, "m.train/1") == "m.train/1"

        try:
            with cut(number, late):
                work()
        except KeyboardInterrupt:
            died += 1
        work()
        store = MLflowStore.connect(mlflow_uri)
        assert store.retraining_log.decisions(model) == (made,)
        assert store.retraining_log.claims(model) == {made.key: "m.train/1"}
    assert died >= 4


@pytest.mark.server
def test_a_server_that_is_away_is_no_decision() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        away = MLflowStore.connect("http://127.0.0.1:9")
        with pytest.raises(StoreUnavailableError):
            on(away.retraining_log)
        with pytest.raises(StoreUnavailableError):
            away.retraining_log.claim("m", "k", "r")
