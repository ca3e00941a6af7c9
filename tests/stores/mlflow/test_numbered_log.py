"""A numbered log on a real MLflow server: one run for each model, one winner for each entry, nothing lost unseen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from airflow_mlops.core.errors import RecordError
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.audit_trail import AUDIT
from airflow_mlops.stores.mlflow.client import GuardedClient, connect
from airflow_mlops.stores.mlflow.errors import Address
from airflow_mlops.stores.mlflow.numbered_log import LONGEST, LogKind, NumberedLog
from airflow_mlops.stores.mlflow.retraining_log import RETRAINING

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.usefixtures("quiet"),
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def problem(found: str, fix: str) -> Problem:
    return Problem(code=ReasonCode.RECORD_CONFLICT, field="book", found=found, allowed="a whole book", fix=fix)


BOOK = LogKind(
    title="log book",
    noun="book",
    experiment="test book: ",
    runs="test books",
    run_tag="test.book",
    model_tag="test.book_of",
    entry="line",
    resumes=True,
    problem=problem,
    restore="restore it",
    repair="repair it",
    retry="try again",
)
KINDS = pytest.mark.parametrize("kind", [BOOK, replace(BOOK, resumes=False)], ids=["resumes", "begins"])


@pytest.fixture
def guarded(mlflow_uri: str) -> GuardedClient:
    return connect(Address(uri=mlflow_uri))


@pytest.fixture
def log(guarded: GuardedClient) -> NumberedLog:
    return NumberedLog(guarded, BOOK)


def write(log: NumberedLog, model: str, number: int, text: str) -> bool:
    return log.write_once(model, log.run_of(model) or log.make_run(model), log.name_of(number), text)


def entries(log: NumberedLog, model: str) -> dict[int, str]:
    run_id = log.run_of(model)
    return {} if run_id is None else log.numbered(log.read(model, run_id))


def runs_of(client: Any, model: str) -> list[str]:
    home = client.get_experiment_by_name(BOOK.runs).experiment_id
    return [run.info.run_id for run in client.search_runs([home]) if run.data.tags[BOOK.model_tag] == model]


@contextmanager
def counted() -> Iterator[list[str]]:
    """The requests that are sent within, each as its last two words."""
    send, sent = requests.Session.send, []

    def counting(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        sent.append("/".join(urlsplit(str(request.url)).path.split("/")[-2:]))
        return send(self, request, **options)

    requests.Session.send = counting  # type: ignore[method-assign]
    try:
        yield sent
    finally:
        requests.Session.send = send  # type: ignore[method-assign]


def test_the_names_on_mlflow_are_those_for_ever() -> None:
    """Logs that stand somewhere are found by these."""
    names = [(kind.experiment, kind.runs, kind.run_tag, kind.model_tag, kind.entry) for kind in (AUDIT, RETRAINING)]
    assert names == [
        ("mlops audit: ", "mlops audit", "mlops.trail", "mlops.trail_of", "event"),
        ("mlops retraining: ", "mlops retraining", "mlops.retraining_log", "mlops.retraining_log_of", "decision"),
    ]


@KINDS
def test_entries_come_back_in_order_to_whoever_asks(guarded: GuardedClient, name: str, kind: LogKind) -> None:
    log = NumberedLog(guarded, kind)
    assert log.run_of(name) is None
    assert [write(log, name, number, f"text {number}") for number in (2, 1, 1_000_000)] == [True] * 3
    guarded.log_param(log.run_of(name), "line.7", "too short a number")
    guarded.log_param(log.run_of(name), "other.000007", "no entry")
    other = NumberedLog(guarded, kind)
    assert list(entries(other, name).items()) == [(1, "text 1"), (2, "text 2"), (1_000_000, "text 1000000")]
    assert other.read(name, str(other.run_of(name)))["other.000007"] == "no entry"


def test_an_entry_is_written_once_and_the_same_again_is_the_same(log: NumberedLog, name: str) -> None:
    assert write(log, name, 1, "ü 'q\" 😀 \\")
    assert write(log, name, 1, "ü 'q\" 😀 \\")
    assert not write(log, name, 1, "another")
    assert entries(log, name) == {1: "ü 'q\" 😀 \\"}


@pytest.mark.parametrize("verdict", [True, False])
def test_whoever_writes_may_say_what_is_the_same(log: NumberedLog, name: str, verdict: bool) -> None:
    assert write(log, name, 1, "first")
    run_id, seen = str(log.run_of(name)), []

    def is_same(parameters: Any) -> bool:
        seen.append(dict(parameters))
        return verdict

    assert log.write_once(name, run_id, log.name_of(1), "second", is_same=is_same) is verdict
    assert seen == [{"line.000001": "first"}]


def test_a_refusal_without_an_entry_that_stands_is_mlflows_own(log: NumberedLog, name: str) -> None:
    from mlflow.exceptions import MlflowException

    assert write(log, name, 1, "first")
    with pytest.raises(MlflowException, match="line.000001"):
        log.write_once(name, str(log.run_of(name)), log.name_of(1), "second", is_same=lambda _: None)


def test_what_mlflow_would_cut_is_refused(log: NumberedLog, name: str) -> None:
    assert write(log, name, 1, "x" * LONGEST)
    with pytest.raises(RecordError, match=r"an entry of 6001 characters, which MLflow would cut.*say it shorter"):
        write(log, name, 2, "x" * (LONGEST + 1))
    assert entries(log, name) == {1: "x" * LONGEST}


@KINDS
def test_of_many_at_once_one_writes_each_entry_and_one_run_is_left(
    mlflow_uri: str, client: Any, name: str, kind: LogKind
) -> None:
    won: list[tuple[int, str]] = []
    ready = threading.Barrier(8)

    def work(who: int) -> None:
        mine = NumberedLog(connect(Address(uri=mlflow_uri)), kind)
        ready.wait()
        won.extend((number, f"{who}") for number in (1, 2, 3) if write(mine, name, number, f"{who}"))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    standing = NumberedLog(connect(Address(uri=mlflow_uri)), kind)
    assert sorted(won) == list(entries(standing, name).items())
    assert len(won) == 3
    assert runs_of(client, name) == [standing.run_of(name)]


@KINDS
def test_a_run_that_a_killed_process_left_is_used_where_it_is_looked_for(
    guarded: GuardedClient, client: Any, name: str, kind: LogKind
) -> None:
    log = NumberedLog(guarded, kind)
    assert write(log, f"{name} first", 1, "so that the experiment of runs exists")
    home = client.get_experiment_by_name(BOOK.runs).experiment_id
    left = client.create_run(home, tags={BOOK.model_tag: name}).info.run_id
    assert write(log, name, 1, "text")
    assert (log.run_of(name) == left) is kind.resumes


def breaks(what: str) -> Callable[[Any, str, str], None]:
    return {
        "run deleted": lambda client, home, run_id: client.delete_run(run_id),
        "experiment deleted": lambda client, home, run_id: client.delete_experiment(home),
        "experiment untagged": lambda client, home, run_id: client.delete_experiment_tag(home, BOOK.run_tag),
        "experiment empty": lambda client, home, run_id: client.set_experiment_tag(home, BOOK.run_tag, ""),
        "experiment of another": lambda client, home, run_id: client.set_experiment_tag(home, BOOK.model_tag, "x"),
        "run of another": lambda client, home, run_id: client.set_tag(run_id, BOOK.model_tag, "x"),
        "run gone": lambda client, home, run_id: client.set_experiment_tag(home, BOOK.run_tag, "0" * 32),
    }[what]


@pytest.mark.parametrize(
    ("what", "words", "fix"),
    [
        ("run deleted", "a deleted run", "restore it"),
        ("experiment deleted", "a deleted experiment 'test book: ", "restore it"),
        ("experiment untagged", "does not name its run", "repair it"),
        ("experiment empty", "does not name its run", "repair it"),
        ("experiment of another", "does not name its run", "repair it"),
        ("run of another", "not marked as its book", "repair it"),
        ("run gone", "deleted for good", "repair it"),
    ],
)
def test_a_log_that_is_not_whole_is_a_refusal_and_not_an_empty_one(
    log: NumberedLog, guarded: GuardedClient, client: Any, name: str, what: str, words: str, fix: str
) -> None:
    assert write(log, name, 1, "text")
    home = client.get_experiment_by_name(f"{BOOK.experiment}{name}").experiment_id
    breaks(what)(client, home, str(log.run_of(name)))
    with pytest.raises(RecordError) as error:
        entries(NumberedLog(guarded, BOOK), name)
    assert words in str(error.value)
    assert fix in str(error.value)
    assert f"log book of {name}" in str(error.value)


def test_a_log_that_vanishes_while_it_is_made_is_a_refusal(guarded: GuardedClient, name: str) -> None:
    log = NumberedLog(guarded, BOOK, find=lambda _: None)
    with pytest.raises(RecordError, match=r"a book that vanished while it was made.*try again"):
        log.make_run(name)


def test_whoever_finds_a_run_in_another_way_is_asked_until_it_is_found(guarded: GuardedClient, name: str) -> None:
    answers: list[str | None] = [None, "a", "b"]
    log = NumberedLog(guarded, BOOK, find=lambda _: answers.pop(0))
    assert [log.run_of(name) for _ in range(4)] == [None, "a", "a", "a"]
    assert answers == ["b"]


def test_an_entry_costs_one_request_and_a_lost_race_two(log: NumberedLog, guarded: GuardedClient, name: str) -> None:
    assert write(log, f"{name} first", 1, "so that the experiment of runs exists")
    with counted() as sent:
        assert write(log, name, 1, "text")
    find = ["experiments/get-by-name"]
    made = ["experiments/get-by-name", "runs/search", "runs/create", "experiments/create", "experiments/get-by-name"]
    assert sent == [*find, *made, "runs/log-parameter"]
    with counted() as sent:
        assert write(log, name, 2, "text")
    assert sent == ["runs/log-parameter"]
    with counted() as sent:
        assert not write(log, name, 2, "other")
    assert sent == ["runs/log-parameter", "runs/get"]
    with counted() as sent:
        assert write(NumberedLog(guarded, replace(BOOK, resumes=False)), f"{name} last", 1, "text")
    assert "runs/search" not in sent
