"""RetrainOperator over a real MLflow server: what it decides is logged, recorded, told and emitted, once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import requests
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_mlops.core.promotion.retire import retire
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.drift import CauseHint, DriftReport
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.retraining import RetrainDecision
from airflow_mlops.operators import RetrainOperator, SnapshotOperator
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.queries import get_run, tag_run
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.chaos.driver import START
from tests.chaos.driver import Case as Race
from tests.support import retrain_cases
from tests.support.builders import make_spec
from tests.support.loop import context_of

DAY = timedelta(days=1)
NOW = START + 100 * DAY
FAULT = CauseHint(column="temp", cause="unit_change", pipeline=True, words="temp looks 1.8 times as large.")


class Watched:
    """A model with a champion that nobody trained, and the monitor runs of it."""

    def __init__(self, uri: str, name: str, **changes: Any) -> None:
        self.uri, self.name = uri, name
        self.store = MLflowStore.connect(uri)
        self.race = Race(uri, name)
        self.race.make(self.store, range(1))
        self.race.promote(self.store, 0, None)
        self.asset = Asset(name=f"{name}.retrain")
        self.spec = self.specified(**changes)

    def specified(self, **changes: Any) -> ModelSpec:
        monitoring = {"drift": {"violations": 1}, "performance": {"violations": 1}}
        named = {"name": self.name, "owner": "team", "data": {"source": {"path": "rows/"}}}
        return make_spec(**{**named, "monitoring": monitoring, **changes})

    def drift(self, verdict: str = "drift", at: datetime = NOW, **changes: Any) -> DriftReport:
        given = {"model": self.name, "champion_version": 1, **changes}
        return retrain_cases.drift(verdict, at, **given)

    def performance(self, verdict: str = "decay", at: datetime = NOW, **changes: Any) -> PerformanceReport:
        given = {"model": self.name, "champion_version": 1, **changes}
        return retrain_cases.performance(verdict, at, **given)

    def run(
        self,
        drift: DriftReport | None = None,
        performance: PerformanceReport | None = None,
        run_id: str = "",
        **params: Any,
    ) -> Ran:
        context = context_of(run_id or "r", NOW, dag_id=f"{self.name}.monitor", **params)
        return self.run_in(context, drift, performance)

    def run_in(self, context: Any, drift: DriftReport | None, performance: PerformanceReport | None = None) -> Ran:
        operator = RetrainOperator(
            task_id="retrain",
            spec=self.spec,
            drift=drift.to_json() if drift else None,
            performance=performance.to_json() if performance else None,
            outlets=[self.asset],
        )
        skipped = ""
        try:
            body = operator.execute(context)
        except AirflowSkipException as skip:
            body, skipped = context["ti"].pushed["return_value"], str(skip)
        assert body is not None
        return Ran(
            RetrainDecision.from_json(body), context["outlet_events"][self.asset].extra, skipped, operator.run_url
        )


class Ran:
    def __init__(self, decision: RetrainDecision, event: dict[str, Any] | None, skipped: str, url: str) -> None:
        self.decision, self.event, self.skipped, self.url = decision, event, skipped, url


@pytest.fixture
def watched(mlflow_uri: str, loop_home: Path, request: pytest.FixtureRequest) -> Watched:
    name = "w_" + "".join(letter if letter.isalnum() else "_" for letter in request.node.name.lower())[-50:]
    return Watched(mlflow_uri, name.strip("_"))


@contextmanager
def webhook(patch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A listener, the connection `hook` to it, and what arrived."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    place = {"conn_type": "http", "host": f"http://127.0.0.1:{server.server_address[1]}"}
    patch.setenv("AIRFLOW_CONN_HOOK", json.dumps(place))
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# one run -------------------------------------------------------------------------------------------------------------


def test_a_retraining_is_logged_recorded_told_and_emitted(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.spec = watched.specified(notifications=[{"conn_id": "hook", "events": ["retrain", "watch", "block"]}])
    with webhook(monkeypatch) as told:
        ran = watched.run(watched.drift())
    assert (ran.decision.action, ran.decision.number, ran.skipped) == ("retrain", 1, "")
    assert watched.store.retraining_log.decisions(watched.name) == (ran.decision,)
    assert ran.event == {
        "as_of": NOW.isoformat().replace("+00:00", "Z"),
        "key": ran.decision.key,
        "reasons": list(ran.decision.reasons),
        "evidence": dict(ran.decision.evidence),
    }
    run_id = ran.url.rpartition("/")[2]
    kept = RetrainDecision.from_json(watched.store.artifacts.read_text(run_id, "monitoring/retraining.json"))
    assert kept == ran.decision
    (message,) = told
    assert message["event"] == "retrain"
    assert message["owner"] == "team"
    assert "What to do: A retraining has been asked for." in message["text"]


def test_waiting_is_a_skip_with_every_reason_and_emits_nothing(watched: Watched) -> None:
    watched.spec = watched.specified(retraining={"cooldown": "2000d"})
    ran = watched.run(watched.drift("ok"), watched.performance("unknown"))
    assert (ran.decision.action, ran.decision.number, ran.event) == ("wait", None, None)
    assert ran.skipped.startswith("no retraining (none): Realised performance is unknown")
    assert "the cooldown of 2000d ends at" in ran.skipped
    assert watched.store.retraining_log.decisions(watched.name) == ()


def test_block_and_escalate_are_said_once_and_skip(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    events = ["retrain", "escalate", "block", "watch"]
    watched.spec = watched.specified(
        notifications=[{"conn_id": "hook", "events": events}], retraining={"cooldown": "0d"}
    )
    with webhook(monkeypatch) as told:
        for day, verdict in enumerate(["invalid", "invalid", "ok", "invalid"]):
            report = watched.drift(verdict, NOW + day * DAY)
            watched.store.windows.record_drift(watched.name, report)
            ran = watched.run(report, run_id=f"d{day}")
            assert ran.event is None
            assert "retraining is blocked (invalid_data)" in ran.skipped or day in (1, 2)
        fault = watched.drift(at=NOW + 4 * DAY, hints=(FAULT,))
        assert "a fault of the pipeline" in watched.run(fault).skipped
        fine = watched.performance("ok", NOW + 5 * DAY)
        assert watched.run(watched.drift(at=NOW + 5 * DAY), fine).decision.rule == "watch"
    assert [message["event"] for message in told] == ["block", "block", "block", "watch"]
    assert [one.number for one in watched.store.retraining_log.decisions(watched.name)] == [1, 2, 3]
    assert "Mend the data" in told[0]["text"]
    assert "Watch: the model still does" in told[-1]["text"]


def test_after_refused_challengers_the_owner_is_asked(watched: Watched) -> None:
    race, store = watched.race, watched.store
    race.make(store, range(1, 3))
    watched.spec = watched.specified(retraining={"escalate_after": 2})
    for number in (1, 2):
        asked = watched.run(None, watched.performance(urgent=True, at=NOW + 8 * (number - 1) * DAY)).decision
        assert asked.action == "retrain"
        run_id = race.candidates[number].run_id
        assert (
            store.retraining_log.claim(watched.name, asked.key, f"{watched.name}.train/{number}")
            == f"{watched.name}.train/{number}"
        )
        tag_run(store._client, run_id, {"mlops.as_of": asked.as_of.isoformat()})
        store.decisions.record_decision(run_id, race.decision(number, 1, Verdict.REJECT))
    for number in range(30):  # what a schedule trained beside that does not push them out of sight
        beside = {
            "mlops.model": watched.name,
            "mlops.loop_run": f"{watched.name}.train/scheduled{number}",
            "mlops.as_of": (NOW + 8 * DAY + (1 + number) * timedelta(minutes=1)).isoformat(),
            "mlops.verdict": "inconclusive",
        }
        store._client.create_run(get_run(store._client, run_id).info.experiment_id, tags=beside)
    ran = watched.run(None, watched.performance(urgent=True, at=NOW + 9 * DAY))
    assert (ran.decision.action, ran.decision.rule) == ("escalate", "escalate_after")
    tried = ", ".join(f"reject as of {NOW + day * DAY:%Y-%m-%d %H:%M}" for day in (8, 0))
    assert f"2 challengers in a row did not replace the champion: {tried}" in ran.skipped
    assert "no retraining: team is asked" in ran.skipped
    later = watched.run(None, watched.performance(urgent=True, at=NOW + 10 * DAY))
    assert (later.decision.action, later.decision.rule) == ("wait", "escalate_after")


def test_urgent_decay_waits_while_what_it_asked_for_trains(watched: Watched) -> None:
    hour = DAY / 24
    asked = watched.run(None, watched.performance(urgent=True)).decision
    assert asked.action == "retrain"
    watched.store.retraining_log.claim(watched.name, asked.key, f"{watched.name}.train/caused")
    ran = watched.run(None, watched.performance(urgent=True, at=NOW + hour))
    assert (ran.decision.action, ran.decision.rule) == ("wait", "under_way")
    assert "has no verdict yet" in ran.skipped


def test_a_person_and_an_event_ask(watched: Watched) -> None:
    ran = watched.run(watched.drift("ok"), retrain="the label was redefined")
    assert (ran.decision.action, ran.decision.signal) == ("retrain", "manual")
    assert ran.decision.reasons[0] == "A person asks: the label was redefined"
    watched.spec = watched.specified(retraining={"cooldown": "0d"})
    for extra, wanted in (
        ({"retrain": "A new route."}, "retrain"),
        ({"from_trigger": True, "payload": {"retrain": True}}, "retrain"),
        ({"rows": 3}, "wait"),
        (None, "wait"),
    ):
        number = len(decided := watched.store.retraining_log.decisions(watched.name))
        watched.store.retraining_log.claim(watched.name, decided[-1].key, f"m.train/{number}")
        context = context_of(f"e{number}", NOW, dag_id="m.monitor")
        event = SimpleNamespace(extra=extra)
        context["triggering_asset_events"] = {"orders.opened": [event]}
        report = watched.drift("ok", NOW + number * DAY)
        assert watched.run_in(context, report).decision.action == wanted


def test_new_rows_are_counted_only_where_a_rule_asks_for_them(watched: Watched, loop_home: Path) -> None:
    assert "new_rows" not in watched.run(watched.drift("ok")).decision.evidence
    (loop_home / "rows").mkdir()
    times = [START + day * DAY for day in range(120)]
    pd.DataFrame({"t": times, "y": 1}).to_parquet(loop_home / "rows" / "a.parquet")
    watched.spec = watched.specified(retraining={"on_volume": 100, "min_new_rows": 100})
    ran = watched.run(watched.drift("ok"))
    assert (ran.decision.action, ran.decision.signal, ran.decision.evidence["new_rows"]) == ("retrain", "volume", "100")


def test_a_model_retired_in_the_registry_waits(watched: Watched) -> None:
    retire(
        watched.store.registry,
        watched.store.trail,
        registered_model=watched.name,
        by="user:ada",
        reason="replaced",
        now=NOW,
    )
    assert watched.run(watched.drift(), retrain=True).decision.rule == "retired"


def test_without_a_champion_there_is_nothing_to_decide(mlflow_uri: str, watched: Watched) -> None:
    watched.spec = watched.specified(promotion={"registered_model": "nobody"})
    with pytest.raises(AirflowFailException, match="no_champion"):
        watched.run(watched.drift())


def test_what_the_sensor_returned_may_still_be_called_report(watched: Watched) -> None:
    operator = RetrainOperator(task_id="retrain", spec=watched.spec, report=watched.drift().to_json())
    body = operator.execute(context_of("r", NOW, dag_id="m.monitor"))
    assert body is not None
    assert body["action"] == "retrain"


# again, at once, and killed ------------------------------------------------------------------------------------------


def test_the_same_run_again_emits_the_same_event_and_decides_nothing_new(watched: Watched) -> None:
    first, again, other = (watched.run(watched.drift(), run_id=run) for run in ("r1", "r1", "r2"))
    assert first.event == again.event == other.event
    assert len(watched.store.retraining_log.decisions(watched.name)) == 1


@contextmanager
def dying_at(number: int) -> Iterator[None]:
    """The `number`-th writing request is answered, and nothing after it is sent."""
    send, count = requests.Session.send, 0

    def deadly(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        nonlocal count
        if request.method != "GET" and "/search" not in str(request.url):
            count += 1
            if count > number:
                raise KeyboardInterrupt
        return send(self, request, **options)

    requests.Session.send = deadly  # type: ignore[method-assign]
    try:
        yield
    finally:
        requests.Session.send = send  # type: ignore[method-assign]


def test_killed_anywhere_on_the_way_a_retry_emits_one_decision_for_the_window(watched: Watched) -> None:
    """Before the log, between log and record, within the record: at each write, tried again until it comes through."""
    watched.spec = watched.specified(retraining={"cooldown": "0d", "budget": {"runs": 50, "per": "300d"}})
    died = 0
    for number in range(40):
        report = watched.drift(at=NOW + number * DAY)
        try:
            with dying_at(number):
                watched.run(report, run_id=f"r{number}")
        except KeyboardInterrupt:
            died += 1
        ran = watched.run(report, run_id=f"r{number}")
        assert ran.event is not None
        assert ran.event["key"] == ran.decision.key
        decided = Counter(one.key for one in watched.store.retraining_log.decisions(watched.name))
        assert decided[ran.decision.key] == 1
        assert len(decided) == number + 1
        if died < number:
            return
    pytest.fail("it never came through")


def test_an_event_that_nobody_took_up_is_emitted_once_more(watched: Watched) -> None:
    first = watched.run(watched.drift())
    assert first.event is not None
    second = watched.run(watched.drift(at=NOW + DAY), run_id="r2")
    assert second.event == first.event
    run_id = watched.store.windows._window_run(watched.name, watched.name, NOW + DAY)
    kept = RetrainDecision.from_json(watched.store.artifacts.read_text(run_id, "monitoring/retraining.json"))
    assert (kept.action, kept.rule) == ("wait", "cooldown")
    assert watched.run(watched.drift(at=NOW + DAY), run_id="r2").event == first.event
    assert watched.run(watched.drift(at=NOW + 2 * DAY), run_id="r3").event is None
    assert len(watched.store.retraining_log.decisions(watched.name)) == 1


def test_an_event_that_was_taken_up_is_not_emitted_again(watched: Watched) -> None:
    first = watched.run(watched.drift())
    watched.store.retraining_log.claim(watched.name, first.decision.key, "m.train/1")
    assert watched.run(watched.drift(at=NOW + DAY), run_id="r2").event is None


# the claim -----------------------------------------------------------------------------------------------------------


def snapshot_of(watched: Watched, *extras: Any, run_id: str = "t1") -> Callable[[], Any]:
    context = context_of(run_id, NOW, dag_id="m.train")
    context["dag_run"].run_type = "asset_triggered"
    context["triggering_asset_events"] = {"m.retrain": [SimpleNamespace(extra=extra) for extra in extras]}
    operator = SnapshotOperator(task_id="snapshot", spec=watched.spec)
    return lambda: operator._claim(watched.spec, context)


def test_a_decision_is_trained_on_by_one_run(watched: Watched) -> None:
    event = {"as_of": NOW.isoformat(), "key": "m/v1/a"}
    seen = {"from_trigger": True, "payload": {"as_of": NOW.isoformat(), "key": "m/v1/a"}}
    snapshot_of(watched, event)()
    snapshot_of(watched, event)()
    for again in (event, seen):
        with pytest.raises(
            AirflowSkipException, match=r"already trained on by m\.train/t1: the event of m/v1/a came.+clear"
        ):
            snapshot_of(watched, again, run_id="t2")()
    assert watched.store.retraining_log.claims(watched.name) == {"m/v1/a": "m.train/t1"}


def test_a_run_of_several_events_goes_on_while_one_is_its_own(watched: Watched) -> None:
    one, two, bare = {"key": "m/v1/a"}, {"from_trigger": True, "payload": {"key": "m/v1/b"}}, {"as_of": "2026-01-01"}
    snapshot_of(watched, one)()
    snapshot_of(watched, one, one, two, run_id="t2")()
    assert watched.store.retraining_log.claims(watched.name) == {"m/v1/a": "m.train/t1", "m/v1/b": "m.train/t2"}
    with pytest.raises(AirflowSkipException, match=r"m\.train/t1, m\.train/t2"):
        snapshot_of(watched, one, two, run_id="t3")()
    snapshot_of(watched, one, bare, run_id="t3")()
    snapshot_of(watched, None, run_id="t4")()
    assert len(watched.store.retraining_log.claims(watched.name)) == 2


def test_the_claim_comes_before_any_work(watched: Watched) -> None:
    """The source does not exist: a run that goes on fails there, and one whose decision is taken is skipped before."""
    event = {"as_of": (START + DAY).isoformat(), "key": "m/v1/a"}
    outcomes = []
    for run_id in ("t1", "t2"):
        context = context_of(run_id, NOW, dag_id="m.train")
        context["triggering_asset_events"] = {"m.retrain": [SimpleNamespace(extra=event)]}
        try:
            SnapshotOperator(task_id="snapshot", spec=watched.spec).execute(context)
        except (AirflowSkipException, AirflowFailException) as error:
            outcomes.append(type(error))
    assert outcomes == [AirflowFailException, AirflowSkipException]


# a storm -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "runs"),
    [pytest.param(24, 3, id="24-events"), pytest.param(1000, 4, id="1000-events", marks=pytest.mark.chaos)],
)
def test_a_storm_of_events_makes_what_the_budget_allows(watched: Watched, count: int, runs: int) -> None:
    """All within a minute, each of another window, from 8 workers, by the real operator."""
    watched.spec = watched.specified(retraining={"cooldown": "0d", "budget": {"runs": runs, "per": "30d"}})
    at = iter(range(count))
    lock, ready = threading.Lock(), threading.Barrier(8)
    ran: list[Ran] = []
    errors: list[BaseException] = []

    def worker() -> None:
        ready.wait()
        try:
            while True:
                with lock:
                    number = next(at, None)
                if number is None:
                    return
                moment = NOW + number * timedelta(minutes=1) / count
                found = watched.run(watched.drift(at=moment), watched.performance(urgent=True, at=moment), f"r{number}")
                with lock:
                    ran.append(found)
        except BaseException as error:  # noqa: BLE001 - the test shows it
            errors.append(error)

    crowd = [threading.Thread(target=worker) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert errors == []
    assert len(ran) == count
    *decided, told = watched.store.retraining_log.decisions(watched.name)
    assert [one.action for one in decided] == ["retrain"] * runs
    assert (told.action, told.rule) == ("escalate", "budget")  # it is urgent, and the budget is spent: said once
    keys = Counter(one.event["key"] for one in ran if one.event)
    assert set(keys) == {one.key for one in decided}
    assert all(times <= 2 for times in keys.values())
