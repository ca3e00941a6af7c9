"""Telling people over real HTTP; what does not arrive is one sentence in the log, without the address or its keys."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest
from airflow.sdk import BaseNotifier

from airflow_mlops.notifications import LoopNotifier, loop_event, tell
from airflow_mlops.notifications.webhook import NotSentError
from airflow_mlops.spec import ModelSpec
from tests.support.loop import specification
from tests.support.servers import free_port

pytestmark = pytest.mark.server


class Webhook(BaseHTTPRequestHandler):
    status: ClassVar[int] = 200
    got: ClassVar[list[tuple[str, dict[str, str], Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.got.append((self.path, dict(self.headers), body))
        self.send_response(self.status)
        if self.status in (301, 302):
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""


@contextmanager
def listening(answer: int = 200) -> Iterator[tuple[int, list[tuple[str, dict[str, str], Any]]]]:
    handler = type("Handler", (Webhook,), {"status": answer, "got": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, handler.got
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def connection(port: int, **fields: Any) -> str:
    return json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{port}/services/T0/SECRET-PATH", **fields})


class Told(BaseNotifier):
    """A notifier of somebody else: one field that it renders itself, and one that it does not."""

    template_fields = ("subject",)
    said: ClassVar[list[tuple[str, str]]] = []

    def __init__(self, subject: str, footer: str = "") -> None:
        super().__init__()
        self.subject, self.footer = subject, footer

    def notify(self, context: Any) -> None:
        self.said.append((self.subject, self.footer))


class Broken(Told):
    def notify(self, context: Any) -> None:
        raise OSError("https://user:SECRET@mail.example refused")


def specified(*notifications: dict[str, Any]) -> ModelSpec:
    return ModelSpec.model_validate({**specification("orders.parquet"), "notifications": list(notifications)})


HOOK = {"events": ["promoted", "declined"], "conn_id": "ops"}


def test_a_webhook_gets_the_event_as_json_with_headers_and_token(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = specified(HOOK, {"events": ["rejected"], "conn_id": "nobody_listens"})
    event = loop_event(spec, "promoted", reasons=["0.02 better"], version=3, run="orders.train/r1")
    with listening() as (port, got):
        given = connection(port, password="SECRET-TOKEN", extra={"X-Team": "ops", "timeout": 3, "verify": True})
        monkeypatch.setenv("AIRFLOW_CONN_OPS", given)
        assert tell(spec, event, {}) == ("ops",)
    ((path, headers, body),) = got
    assert path == "/services/T0/SECRET-PATH"
    assert headers["Authorization"] == "Bearer SECRET-TOKEN"
    assert headers["X-Team"] == "ops"
    assert not {"timeout", "verify"} & {name.lower() for name in headers}
    assert body == event.payload()
    assert body["text"].startswith("orders: version 3 serves now")
    assert (body["kind"], body["event"], body["version"]) == ("LoopEvent", "promoted", 3)


def test_a_login_is_basic_authentication_and_host_port_and_schema_make_an_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with listening() as (port, got):
        parts = {
            "conn_type": "http",
            "host": "127.0.0.1",
            "port": port,
            "schema": "http",
            "login": "u",
            "password": "p",
        }
        monkeypatch.setenv("AIRFLOW_CONN_OPS", json.dumps(parts))
        LoopNotifier("ops", loop_event(specified(), "promoted")).notify({})
    assert got[0][1]["Authorization"] == "Basic dTpw"


@pytest.mark.parametrize("answer", [302, 403, 404, 500])
def test_an_answer_that_is_no_yes_is_said_and_stops_nothing(
    answer: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spec = specified(HOOK)
    with listening(answer) as (port, got), caplog.at_level(logging.ERROR):
        monkeypatch.setenv("AIRFLOW_CONN_OPS", connection(port, password="SECRET-TOKEN"))
        assert tell(spec, loop_event(spec, "declined", version=3), {}) == ()
    assert len(got) == 1
    (record,) = caplog.records
    assert f"the webhook of connection 'ops' answered {answer}" in record.getMessage()
    assert "look at the Airflow connection 'ops'" in record.getMessage()
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize(
    "given",
    [
        "http://127.0.0.1:{nobody}/SECRET",
        "http://127.0.0.1:99999/SECRET",
        "nonsense://SECRET/x",
        "http://:SECRET@[::1/x",
    ],
)
def test_an_address_that_leads_nowhere_is_said_without_the_address(
    given: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spec = specified(HOOK)
    address = given.replace("{nobody}", str(free_port()))  # here: every worker must collect the same tests
    monkeypatch.setenv("AIRFLOW_CONN_OPS", json.dumps({"conn_type": "http", "host": address}))
    with caplog.at_level(logging.ERROR):
        assert tell(spec, loop_event(spec, "promoted"), {}) == ()
    (record,) = caplog.records
    assert "could not be reached" in record.getMessage()
    assert "SECRET" not in caplog.text


def test_a_connection_that_does_not_exist_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    spec = specified(HOOK)
    with caplog.at_level(logging.ERROR):
        assert tell(spec, loop_event(spec, "promoted"), {}) == ()
    assert "AirflowNotFoundException" in caplog.text


def test_by_hand_a_message_that_does_not_arrive_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(500) as (port, _):
        monkeypatch.setenv("AIRFLOW_CONN_OPS", connection(port))
        with pytest.raises(NotSentError, match="answered 500"):
            LoopNotifier("ops", loop_event(specified(), "promoted"))({})


def named(notifier: type[Told], **arguments: Any) -> dict[str, Any]:
    return {"events": ["rejected"], "notifier": f"{__name__}.{notifier.__name__}", "arguments": arguments}


def test_any_notifier_is_given_the_event_in_its_templates_and_nothing_is_rendered_twice() -> None:
    Told.said.clear()
    spec = specified(named(Told, subject="{{ event.title }}: {{ event.reasons[0] }}", footer="{{ event.owner }}"))
    trap = "slice city = {{ 6 * 7 }} is worse"
    assert tell(spec, loop_event(spec, "rejected", reasons=[trap]), {"params": {}}) == (f"{__name__}.Told",)
    assert Told.said == [(f"orders: the gate rejected a candidate: {trap}", "tests")]


def test_one_that_fails_keeps_nobody_else_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    Told.said.clear()
    unknown = {"events": ["rejected"], "notifier": "no.such.Notifier"}
    wrong = named(Told, nonsense=1)
    spec = specified(named(Broken, subject="x"), unknown, wrong, named(Told, subject="y"))
    with caplog.at_level(logging.ERROR):
        assert tell(spec, loop_event(spec, "rejected"), {}) == (f"{__name__}.Told",)
    assert Told.said == [("y", "")]
    messages = [record.getMessage() for record in caplog.records]
    assert ["OSError" in messages[0], "there is no module 'no'" in messages[1], "TypeError" in messages[2]] == [
        True
    ] * 3
    assert all("nothing else is affected" in message for message in messages)
    assert "SECRET" not in caplog.text
