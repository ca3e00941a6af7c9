"""The decision to retrain: its record, one decision for one event, and an event that nobody took up."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.records.retraining import LONGEST, History, MonitoringInput, RetrainDecision, as_line
from airflow_mlops.core.retraining.decide import unanswered
from airflow_mlops.spec.retraining import PLAYBOOK
from tests.support.retrain_cases import (
    CHAMPION,
    DAY,
    FAULT,
    NOW,
    ask,
    challenge,
    champion,
    drift,
    logged,
    performance,
    spec,
)
from tests.support.retraining_decisions import answers, decide


def test_a_decision_says_everything_and_comes_back_from_json():
    seen = MonitoringInput(drift=drift(), performance=performance(), new_rows=50)
    decision = decide(seen, answers(challenge(50)), budget={"runs": 3}, min_new_rows=50)
    assert decision.action == "retrain"
    assert decision.reasons[0].startswith("Realised decay in 1 of the last 1 windows")
    assert decision.signal == "decay"
    assert [signal.kind for signal in decision.signals if signal.state == "on"] == ["decay", "input_drift"]
    assert (decision.owner, decision.number, decision.urgent) == ("team", None, False)
    assert decision.key == "m/v4/2013-06-02T00:00:00+00:00_2013-06-09T00:00:00+00:00"
    assert decision.evidence == {
        "champion_version": "4",
        "champion_run_id": "r4",
        "window_start": "2013-06-02T00:00:00+00:00",
        "window_end": "2013-06-09T00:00:00+00:00",
        "drift_verdict": "drift",
        "drift_digest": seen.drift.digest,
        "performance_verdict": "decay",
        "performance_digest": seen.performance.digest,
        "new_rows": "50",
        "refused": "1",
        "budget": "0 of 3 spent",
    }
    assert RetrainDecision.from_json(decision.to_text()) == decision


def test_the_playbook_of_the_specification_comes_before_ours():
    own = {"escalate": "Call Ada.", "decay": "Look at the slices."}
    assert decide(playbook=own).plan == "Look at the slices."
    assert decide(history=answers(challenge(50)), playbook=own, escalate_after=1).plan == "Call Ada."


@given(
    text=st.text(min_size=1, max_size=3000),
    plan=st.text(min_size=1, max_size=9000).filter(str.strip),
    count=st.integers(0, 40),
)
@settings(max_examples=60, deadline=None)
def test_however_long_the_texts_a_decision_fits_into_one_value(text, plan, count):
    hints = tuple(replace(FAULT, words=text) for _ in range(3))
    seen = MonitoringInput(
        drift=drift(reasons=(text,) * count, hints=hints),
        performance=performance("unknown", reasons=(text,) * count),
        asked=tuple(ask("event", reason=text + str(n)) for n in range(count)),
        retired=text,
    )
    decision = decide(seen, playbook=dict.fromkeys(PLAYBOOK, plan), escalate_after=1)
    line = as_line(decision)
    assert len(line) <= LONGEST
    assert line.isprintable()
    assert RetrainDecision.from_json(json.loads(line)) == decision


def test_the_same_window_is_the_same_decision_with_its_number():
    first = replace(decide(), number=7)
    history = History(decisions=(first,))
    assert decide(history=history) == first
    assert decide(MonitoringInput(drift=drift(hints=(FAULT,))), history) == first
    assert decide(MonitoringInput(drift=drift("invalid")), history) == first
    assert decide(MonitoringInput(drift=drift(), retired="replaced"), history).rule == "retired"
    assert decide(history=history, who=champion(5)).rule == "out_of_date"


def test_another_window_another_champion_and_another_request_are_other_events():
    keys = [
        decide().key,
        decide(MonitoringInput(drift=drift(at=NOW - DAY)), as_of=NOW - DAY).key,
        decide(MonitoringInput(drift=replace(drift(), champion_version=5)), who=champion(5)).key,
        decide(MonitoringInput(drift=drift(), asked=(ask(),))).key,
        decide(MonitoringInput(drift=drift(), asked=(ask("event"),))).key,
        decide(MonitoringInput(asked=(ask(),))).key,
        decide(MonitoringInput(asked=(ask(),)), as_of=NOW + DAY).key,
        decide(MonitoringInput(performance=performance())).key,
    ]
    assert len(set(keys)) == len(keys)


def test_a_window_that_was_blocked_and_then_mended_is_decided_anew():
    blocked = replace(decide(MonitoringInput(drift=drift("invalid"))), number=1)
    assert blocked.action == "block"
    assert decide(history=History(decisions=(blocked,))).action == "retrain"


def test_what_was_blocked_is_the_same_decision_when_it_is_asked_again():
    for seen in (MonitoringInput(drift=drift("invalid")), MonitoringInput(drift=drift(hints=(FAULT,)))):
        blocked = replace(decide(seen), number=1)
        assert decide(seen, History(decisions=(blocked,))) == blocked


def test_records_of_another_model_are_refused():
    for seen, history, who in (
        (MonitoringInput(drift=drift(model="n")), History(), CHAMPION),
        (MonitoringInput(performance=performance(model="n")), History(), CHAMPION),
        (MonitoringInput(), History(drift=(drift(model="n"),)), CHAMPION),
        (MonitoringInput(), History(decisions=(logged(1, model="n"),)), CHAMPION),
        (MonitoringInput(), History(), replace(CHAMPION, model="n")),
    ):
        with pytest.raises(RecordError, match="all of one model"):
            decide(seen, history, who=who)


def test_an_instant_without_zone_is_refused():
    with pytest.raises(DataError):
        decide(as_of=datetime(2013, 6, 9))


def test_a_decision_that_nobody_took_up_is_found_again():
    lost = logged(3)
    known = History(decisions=(lost,), claimed=frozenset())
    now = decide(history=known)
    assert now.rule == "cooldown"
    assert unanswered(spec(), CHAMPION, known, now) == lost
    for other in (
        replace(known, claimed=None),
        replace(known, claimed=frozenset({lost.key})),
        replace(known, challenges=(challenge(2, None),)),
        replace(known, decisions=(replace(lost, as_of=NOW - 31 * DAY),)),
        replace(known, decisions=(replace(lost, as_of=NOW),)),
        replace(known, decisions=(replace(lost, evidence={"champion_version": "3"}),)),
        replace(known, decisions=(logged(3, "block", "invalid_data"),)),
    ):
        assert unanswered(spec(), CHAMPION, other, now) is None
    for seen in (
        MonitoringInput(drift=drift("invalid")),
        MonitoringInput(drift=drift(hints=(FAULT,))),
        MonitoringInput(retired="replaced"),
    ):
        assert unanswered(spec(), CHAMPION, known, decide(seen, known)) is None
