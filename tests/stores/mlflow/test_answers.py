"""What kept MLflow from answering is told apart, against servers that misbehave on real sockets."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops._loop_context import consequences
from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.hooks.mlflow import MLflowHook
from airflow_mlops.stores.mlflow import answers
from tests.support.misbehaving import misbehaving
from tests.support.servers import free_port

pytestmark = [
    pytest.mark.server,
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
Connect = Callable[..., MLflowHook]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def make(host: str, **extra: Any) -> MLflowHook:
        options = {"timeout": 1, "max_retries": 1, "backoff": 0, **extra}
        connection = {"conn_type": "mlflow", "host": host, "extra": options}
        monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(connection))
        return MLflowHook()

    return make


def asked(hook: MLflowHook) -> StoreUnavailableError:
    """Ask for a run's experiment; return the refusal."""
    with pytest.raises(StoreUnavailableError) as caught, hook.records() as records:
        records.runs.open_run("x", "d/r1", model="toy")
    return caught.value


KINDS = {
    "hang": (answers.SILENT, "2 tries", False),
    "drop": (answers.DROPPED, "2 tries", False),
    "garbage": (answers.DROPPED, "2 tries", False),
    "cut": (answers.CUT_OFF, "1 try", False),
    "half_json": (answers.CUT_OFF, "1 try", False),
    "html": (answers.NOT_MLFLOW, "1 try", False),
    "html_500": (answers.BROKEN, "2 tries", False),
    "500": (answers.BROKEN, "2 tries", False),
    "503": (answers.BUSY, "2 tries", False),
    "401": (answers.LOCKED, "1 try", True),
    "302": (answers.ELSEWHERE, "1 try", True),
}


@pytest.mark.parametrize("how", KINDS)
def test_each_way_of_not_answering_has_its_own_sentence(connect: Connect, how: str) -> None:
    away, tries, lasting = KINDS[how]
    begun = time.monotonic()
    with misbehaving(how) as server:
        refusal = asked(connect(server.address))
    (problem,) = refusal.problems
    assert away.what in problem.found
    assert f"{server.address} (connection 'mlflow_default') in {tries} and " in problem.found
    assert problem.fix == away.fix
    assert refusal.lasting is lasting
    assert time.monotonic() - begun < 60
    assert "<" not in problem.found  # of a page nothing is quoted


def test_the_sentences_differ() -> None:
    kinds = [value for value in vars(answers).values() if isinstance(value, answers.Away)]
    assert len(kinds) > 10
    assert len({kind.what for kind in kinds}) == len(kinds)


def test_nobody_there_and_no_such_name(connect: Connect) -> None:
    assert answers.REFUSED.what in str(asked(connect(f"http://127.0.0.1:{free_port()}")))
    assert answers.NO_NAME.what in str(asked(connect("http://no-such-host.invalid")))


def test_a_server_without_tls_is_told_from_one_that_is_away(connect: Connect) -> None:
    with misbehaving("html") as server:
        refusal = asked(connect(server.address.replace("http", "https")))
    assert answers.TLS.what in str(refusal)
    assert refusal.lasting


def test_an_error_500_of_one_request_is_told_from_a_broken_server(connect: Connect) -> None:
    def treats(path: str) -> str:
        return "500" if "get-by-name" in path else "200"

    with misbehaving(seen=treats) as server:
        refusal = asked(connect(server.address))
        assert any("experiments/search" in request for request in server.requests)
    assert answers.AT_THIS_REQUEST.what in str(refusal)
    assert refusal.lasting


def test_what_lasts_is_not_tried_again_by_airflow() -> None:
    lasting = StoreUnavailableError([])
    lasting.lasting = True
    with pytest.raises(AirflowFailException), consequences():
        raise lasting
    with pytest.raises(StoreUnavailableError), consequences():
        raise StoreUnavailableError([])


def test_a_hang_ends_when_the_time_out_says(connect: Connect) -> None:
    with socket.socket() as deaf:  # takes connections, and nobody reads them
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        begun = time.monotonic()
        refusal = asked(connect(f"http://127.0.0.1:{deaf.getsockname()[1]}", max_retries=0))
        assert 0.9 < time.monotonic() - begun < 30
    assert answers.SILENT.what in str(refusal)
    assert "in 1 try and 1." in str(refusal)


@pytest.mark.parametrize("how", ["html", "half_json", "302", "401", "drop"])
def test_the_connection_test_says_it_in_the_same_words(connect: Connect, how: str) -> None:
    with misbehaving(how) as server:
        works, said = connect(server.address).test_connection()
    assert not works
    assert KINDS[how][0].what in said
    assert "CANARY" not in said


def test_a_bug_on_this_side_is_no_answer_of_mlflows() -> None:
    assert answers.told_apart(KeyError("x")) is None
    assert answers.told_apart(ValueError("too many 500 error responses")) is None
