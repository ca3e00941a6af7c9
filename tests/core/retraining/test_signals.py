"""Signals: every kind, in rank, on, off or unknown; windows are counted once, and only those of this champion."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.retraining import RANK, History, MonitoringInput, Signal
from airflow_mlops.core.retraining.signals import impatient, signals_of
from tests.support.retrain_cases import CHAMPION, DAY, NOW, ask, drift, performance, spec

LOOSE = {"drift": {"violations": 2, "of": 3}, "performance": {"violations": 2, "of": 3}}


def state(kind: str, seen: MonitoringInput, history: History | None = None, **rules) -> Signal:
    model = spec(**{"monitoring": LOOSE, **rules})
    found = {signal.kind: signal for signal in signals_of(model, CHAMPION, seen, history or History())}
    return found[kind]  # type: ignore[index]


def test_there_is_one_signal_of_each_kind_in_order_of_rank():
    for seen in (
        MonitoringInput(),
        MonitoringInput(drift=drift(), performance=performance(), new_rows=3, asked=(ask(), ask("event"))),
    ):
        assert tuple(signal.kind for signal in signals_of(spec(), CHAMPION, seen, History())) == RANK
        assert all(signal.reason for signal in signals_of(spec(), CHAMPION, seen, History()))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("manual", "off"),
        ("event", "off"),
        ("decay", "unknown"),
        ("estimated_decay", "unknown"),
        ("prediction_drift", "unknown"),
        ("input_drift", "unknown"),
        ("volume", "off"),
    ],
)
def test_what_was_not_measured_is_unknown_and_what_nobody_asked_for_is_off(kind, wanted):
    assert state(kind, MonitoringInput()).state == wanted


@pytest.mark.parametrize(
    ("kind", "of"),
    [("decay", performance), ("input_drift", drift)],
)
@pytest.mark.parametrize("verdicts", list(product(["bad", "ok", "unknown", "invalid"], repeat=3)))
def test_n_of_m_windows_with_the_newest_among_them(kind, of, verdicts):
    words = {"bad": "decay" if kind == "decay" else "drift"}
    made = [of(words.get(verdict, verdict), NOW - n * DAY) for n, verdict in enumerate(verdicts)]
    field = "performance" if kind == "decay" else "drift"
    found = state(kind, MonitoringInput(**{field: made[0]}), History(**{field: tuple(made[1:])}))
    if verdicts[0] in ("unknown", "invalid"):
        assert found.state == "unknown"
    else:
        assert (found.state == "on") == (verdicts[0] == "bad" and verdicts.count("bad") >= 2)
        assert found.state != "unknown"


@given(
    verdicts=st.lists(st.sampled_from(["drift", "ok", "unknown", "invalid"]), min_size=1, max_size=9),
    needed=st.integers(1, 5),
    of=st.integers(1, 7),
    repeats=st.integers(1, 3),
)
def test_a_window_that_is_seen_again_counts_once(verdicts, needed, of, repeats):
    bounds = {"drift": {"violations": min(needed, of), "of": of}}
    made = [drift(verdict, NOW - n * DAY) for n, verdict in enumerate(verdicts)]
    once = state("input_drift", MonitoringInput(drift=made[0]), History(drift=tuple(made[1:])), monitoring=bounds)
    again = state(
        "input_drift", MonitoringInput(drift=made[0]), History(drift=tuple(made * repeats)), monitoring=bounds
    )
    assert once == again
    brute = verdicts[0] == "drift" and verdicts[:of].count("drift") >= min(needed, of)
    assert (once.state == "on") == brute


def test_another_look_at_a_window_replaces_the_earlier_one():
    """The newest look counts: a window that was in drift before its rows were complete, and is not any more."""
    early = replace(drift("drift", NOW - DAY), as_of=NOW - DAY)
    late = replace(drift("ok", NOW - DAY), as_of=NOW - DAY / 2)
    for earlier in ((early, late), (late, early)):
        assert state("input_drift", MonitoringInput(drift=drift()), History(drift=earlier)).state == "off"


def test_reports_about_another_champion_count_for_nothing():
    old = replace(drift(at=NOW - DAY), champion_version=3)
    assert state("input_drift", MonitoringInput(drift=drift()), History(drift=(old,))).state == "off"
    assert state("input_drift", MonitoringInput(drift=old)).state == "unknown"
    old_outcomes = replace(performance(at=NOW - DAY), champion_version=3)
    assert (
        state("decay", MonitoringInput(performance=performance()), History(performance=(old_outcomes,))).state == "off"
    )


def test_reports_from_after_the_newest_window_are_not_its_history():
    """A backfill of an earlier day, or a clock that was wrong."""
    later = drift(at=NOW + DAY)
    assert state("input_drift", MonitoringInput(drift=drift()), History(drift=(later,))).state == "off"


def test_urgent_decay_is_on_at_once():
    found = state("decay", MonitoringInput(performance=performance(urgent=True)))
    assert found.state == "on"
    assert found.urgent
    assert not state(
        "decay", MonitoringInput(performance=performance()), History(performance=(performance(at=NOW - DAY),))
    ).urgent


@pytest.mark.parametrize(
    ("verdict", "estimated", "wanted"),
    [
        ("unknown", "decay", "on"),
        ("unknown", "ok", "off"),
        ("unknown", "unknown", "unknown"),
        ("unknown", "", "unknown"),
        ("ok", "decay", "off"),
        ("decay", "decay", "off"),
        ("invalid", "decay", "unknown"),
    ],
)
def test_an_estimate_counts_only_while_outcomes_are_unknown(verdict, estimated, wanted):
    before = History(performance=(performance("unknown", NOW - DAY, "decay"),))
    found = state("estimated_decay", MonitoringInput(performance=performance(verdict, estimated=estimated)), before)
    assert found.state == wanted


def test_predictions_drift_apart_from_inputs():
    seen = MonitoringInput(drift=drift("ok", prediction="drift"))
    before = History(drift=(drift("ok", NOW - DAY, prediction="drift"),))
    assert state("prediction_drift", seen, before).state == "on"
    assert state("input_drift", seen, before).state == "off"
    broken = MonitoringInput(drift=drift("invalid", prediction="drift"))
    assert state("prediction_drift", broken, before).state == "unknown"


@pytest.mark.parametrize(
    ("rule", "kind", "seen"),
    [
        ("on_decay", "decay", MonitoringInput(performance=performance(urgent=True))),
        ("on_estimate", "estimated_decay", MonitoringInput(performance=performance("unknown", estimated="decay"))),
        ("on_drift", "input_drift", MonitoringInput(drift=drift())),
        ("on_drift", "prediction_drift", MonitoringInput(drift=drift(prediction="drift"))),
    ],
)
def test_a_signal_that_the_specification_turns_off_is_off_and_says_so(rule, kind, seen):
    one = {"drift": {"violations": 1}, "performance": {"violations": 1}}
    assert state(kind, seen, monitoring=one).state == "on"
    found = state(kind, seen, monitoring=one, **{rule: False})
    assert found.state == "off"
    assert f"{rule}: false" in found.reason


def test_without_estimation_the_estimate_is_off():
    seen = MonitoringInput(performance=performance("unknown", estimated="decay"))
    bounds = {"performance": {"violations": 1, "estimate": False}}
    assert state("estimated_decay", seen, monitoring=bounds).state == "off"


@pytest.mark.parametrize(
    ("needed", "rows", "wanted"),
    [(None, 10**6, "off"), (100, None, "unknown"), (100, 99, "off"), (100, 100, "on")],
)
def test_volume(needed, rows, wanted):
    assert state("volume", MonitoringInput(new_rows=rows), on_volume=needed).state == wanted


def test_what_is_asked_from_outside_keeps_its_reasons_once():
    asked = (ask("event", reason="A new route."), ask("event", reason="A new route."), ask("event", reason="A strike."))
    assert state("event", MonitoringInput(asked=asked)).reason == "A new route. A strike."
    assert state("event", MonitoringInput(asked=(ask("event", "unknown", "Nobody knows."),))).state == "unknown"
    assert state("manual", MonitoringInput(asked=(ask("manual", "off", "No."),))).state == "off"


def test_only_people_and_events_ask_from_outside():
    with pytest.raises(RecordError, match="kind decay"):
        signals_of(spec(), CHAMPION, MonitoringInput(asked=(ask("decay"),)), History())


def test_what_only_the_newest_window_shows_is_told_apart_from_nothing():
    assert impatient(spec(), CHAMPION, MonitoringInput(drift=drift()), History())
    two = spec(monitoring={"performance": {"violations": 2}})
    assert impatient(two, CHAMPION, MonitoringInput(performance=performance()), History())
    assert not impatient(spec(), CHAMPION, MonitoringInput(performance=performance()), History())
    assert not impatient(spec(), CHAMPION, MonitoringInput(drift=drift("ok")), History())
    assert not impatient(spec(on_drift=False), CHAMPION, MonitoringInput(drift=drift()), History())
    assert not impatient(spec(), CHAMPION, MonitoringInput(drift=drift()), History(drift=(drift(at=NOW - DAY),)))


@pytest.mark.parametrize("verdict", ["ok", "decay", "unknown"])
def test_what_a_report_says_is_told_apart_from_what_follows(verdict):
    said = ("rmse 9.03: up to 7.54 is no decay", "the estimate without outcomes says nothing")
    found = state("decay", MonitoringInput(performance=replace(performance(verdict), reasons=said)))
    assert found.reason.endswith("up to 7.54 is no decay; the estimate without outcomes says nothing.")


def test_what_a_report_says_in_sentences_stays_as_it_is():
    said = ("2 of 6 feature columns are in drift.", "temp: PSI 0.7.")
    found = state("input_drift", MonitoringInput(drift=replace(drift("drift"), reasons=said)))
    assert found.reason.endswith("2 of 6 feature columns are in drift. temp: PSI 0.7.")
