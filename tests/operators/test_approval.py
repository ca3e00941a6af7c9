"""A person is asked about what the gate accepted, and the answer is kept: a real MLflow, Airflow's own events."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.sdk.serde import deserialize, serialize

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.core.gate import sections_of
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.evidence import Change, Disparity, Evidence, Interval, SliceResult
from airflow_mlops.notifications import LoopEvent
from airflow_mlops.operators import ApproveOperator
from airflow_mlops.reports import approval_form
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.decisions import MLflowDecisions
from tests.support.builders import make_rule_result
from tests.support.judged_runs import Judged
from tests.support.loop import answer, ask, promote_run


@pytest.fixture
def high(judged: Judged) -> Judged:
    """A model of a tier that asks ada or bob, who have two days."""
    asks = {"tiers": ["high"], "approvers": ["ada", "bob"], "timeout": "2d"}
    notice = {"events": ["waiting_for_approval", "declined", "promoted"], "conn_id": "nobody"}
    promotion = {"registered_model": judged.model, "approval": asks}
    gate = {"mode": "dry_run"}  # a model of this tier has no gate that is off
    changed = {"risk_tier": "high", "notifications": [notice], "promotion": promotion, "gate": gate}
    return replace(judged, spec=judged.spec.model_copy(update=changed))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[LoopEvent]:
    """What would have been posted."""
    posted: list[LoopEvent] = []

    def keep(notifier: Any, context: Any) -> None:
        posted.append(notifier.event)

    monkeypatch.setattr("airflow_mlops.notifications.webhook.LoopNotifier.notify", keep)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example:8080/")
    return posted


def digest(run: Any) -> str:
    return GateDecision.from_json(run.reports["gate"]).digest


def test_an_accepted_candidate_waits_as_challenger_with_a_form_that_says_what_is_asked(
    high: Judged, heard: list[LoopEvent]
) -> None:
    run = high.decide()
    form, parked = ask(high.spec, run, high.context())
    assert form.options == ["Approve", "Reject"]
    assert form.defaults == ["Reject"]
    assert [(user.id, user.name) for user in form.assigned_users] == [("ada", "ada"), ("bob", "bob")]
    assert list(form.params) == ["note"]
    assert parked == {"decision": digest(run), "timeout": timedelta(days=2)}
    assert form.subject == "May version 1 of judged serve, as its first model?"
    for part in (
        "owner **tests**",
        "risk tier **high**",
        "log_loss (primary)",
        "2 days",
        high.store.version_url(high.model, 1),
    ):
        assert part in form.body
    assert high.store.registry.alias(high.model, "challenger") == 1
    assert high.store.registry.alias(high.model, "champion") is None
    assert high.kinds() == ["registered"]
    (event,) = heard
    assert (event.event, event.version) == ("waiting_for_approval", 1)
    assert event.links["Answer here"].startswith("http://airflow.example:8080/dags/orders.train/runs/run-")


def test_asked_again_there_is_still_one_version_and_one_event(high: Judged, heard: list[LoopEvent]) -> None:
    run = high.decide()
    ask(high.spec, run, high.context())
    ask(high.spec, run, high.context())
    assert high.kinds() == ["registered"]
    assert high.store.registry.version_tags(high.model, 2) is None


def test_approved_it_is_promoted_and_who_when_and_note_are_kept(high: Judged, heard: list[LoopEvent]) -> None:
    run = high.decide()
    _, parked = ask(high.spec, run, high.context())
    said = answer(high.spec, run, high.context(), "Approve", note="  slices are fine ", decision=parked["decision"])
    assert (said["approved"], said["by"], said["note"]) == (True, "ada", "slices are fine")
    promote_run(high.spec, run, high.context(), approval=said)
    assert run.reports["promote"]["promoted"] is True
    standing = high.store.decisions.approval(high.candidate().run_id)
    assert standing is not None
    assert (standing.to_json(), standing.decision) == (said, digest(run))
    promoted = high.store.trail.events(high.model)[-1]
    assert (promoted.kind, promoted.approval, promoted.decision) == ("promoted", standing.digest, digest(run))
    assert promoted.by == f"airflow:orders.train/{run.run_id}"
    assert high.store.registry.alias(high.model, "champion") == 1
    assert high.store.registry.alias(high.model, "challenger") is None
    assert [event.event for event in heard] == ["waiting_for_approval", "promoted"]
    assert "ada" in high.store.artifacts.read_text(high.candidate().run_id, "model_card.md")


def test_rejected_the_champion_stays_the_owner_is_told_and_the_run_says_why(
    high: Judged, heard: list[LoopEvent]
) -> None:
    run = high.decide()
    ask(high.spec, run, high.context())
    said = answer(high.spec, run, high.context(), "Reject", by="bob", note="not in December", decision=digest(run))
    assert (said["approved"], said["by"], said["timed_out"]) == (False, "bob", False)
    promote_run(high.spec, run, high.context(), approval=said)
    assert run.skipped == "declined by bob: not in December"
    assert (run.reports["promote"]["promoted"], run.reports["promote"]["declined"]) == (False, True)
    assert high.kinds() == ["registered", "declined"]
    assert high.store.registry.alias(high.model, "champion") is None
    assert high.store.registry.alias(high.model, "challenger") is None
    assert high.store.registry.version_tags(high.model, 1)["mlops.status"] == "declined"  # type: ignore[index]
    assert [event.event for event in heard] == ["waiting_for_approval", "declined"]
    assert heard[1].reasons == ("declined by bob: not in December",)


EVENT_OF_SWEEP: list[dict[str, Any]] = [
    {"timedout": True},
    {"timedout": False},  # an older Airflow's: nobody is named, and that is enough
    {"error": "The response timeout has passed", "error_type": "timeout"},
]


@pytest.mark.parametrize("sweep", EVENT_OF_SWEEP)
def test_without_an_answer_in_time_it_is_not_promoted_and_is_told_from_a_persons_no(
    high: Judged, heard: list[LoopEvent], sweep: dict[str, Any]
) -> None:
    run = high.decide()
    ask(high.spec, run, high.context())
    said = answer(high.spec, run, high.context(), "Reject", by=None, decision=digest(run), **sweep)
    assert (said["approved"], said["by"], said["timed_out"]) == (False, "", True)
    promote_run(high.spec, run, high.context(), approval=said)
    assert run.skipped == "declined: nobody answered in time"
    assert high.store.registry.alias(high.model, "champion") is None
    assert heard[-1].event == "declined"


def test_an_approval_that_nobody_gave_approves_nothing(high: Judged, heard: list[LoopEvent]) -> None:
    run = high.decide()
    said = answer(high.spec, run, high.context(), "Approve", by=None, timedout=False, decision=digest(run))
    assert said["approved"] is False


def test_an_answer_that_was_not_offered_is_refused(high: Judged, heard: list[LoopEvent]) -> None:
    run = high.decide()
    with pytest.raises(ValueError, match="Perhaps"):
        answer(high.spec, run, high.context(), "Perhaps", decision=digest(run))
    for both in (["Approve", "Reject"], []):
        said = answer(high.spec, run, high.context(), "", chosen_options=both, decision=digest(run))
        assert said["approved"] is False


def test_the_answer_is_about_what_was_asked_also_when_the_gate_decided_again_meanwhile(
    high: Judged, heard: list[LoopEvent]
) -> None:
    asked = high.decide()
    _, parked = ask(high.spec, asked, high.context())
    again = high.decide()
    said = answer(high.spec, again, high.context(), "Approve", decision=parked["decision"])
    assert said["decision"] == digest(asked) != digest(again)
    with pytest.raises(AirflowFailException, match="APPROVAL_MISSING|approval_missing"):
        promote_run(high.spec, again, high.context(), approval=said)
    assert high.store.registry.alias(high.model, "champion") is None


def test_a_decision_that_was_answered_is_not_asked_about_again(high: Judged, heard: list[LoopEvent]) -> None:
    run = high.decide()
    said = answer(high.spec, run, high.context(), "Reject", note="no", decision=digest(run))
    assert ask(high.spec, run, high.context()) == (said, {})


@pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.INCONCLUSIVE])
def test_what_the_gate_did_not_accept_is_nobodys_question(
    high: Judged, heard: list[LoopEvent], verdict: Verdict
) -> None:
    run = high.decide(verdict=verdict, reasons=("worse",))
    report, _ = ask(high.spec, run, high.context())
    assert report == {"needed": False}
    promote_run(high.spec, run, high.context(), approval=report)
    assert run.skipped == "worse"
    assert high.store.registry.version_tags(high.model, 1)["mlops.verdict"] == verdict  # type: ignore[index]
    assert heard == []


@pytest.mark.parametrize("approval", [None, {"needed": False}])
def test_without_an_answer_in_mlflow_nothing_is_promoted_whatever_was_handed_along(
    high: Judged, heard: list[LoopEvent], approval: Any
) -> None:
    run = high.decide()
    with pytest.raises(AirflowFailException, match="no answer of a person"):
        promote_run(high.spec, run, high.context(), approval=approval)
    assert high.kinds() == []
    assert heard == []


def test_in_a_hand_made_dag_asking_means_that_the_answer_is_needed_in_any_tier(judged: Judged) -> None:
    run = judged.decide()
    with pytest.raises(AirflowFailException, match="no answer of a person"):
        promote_run(judged.spec, run, judged.context(), approval={"needed": False})


def test_a_retired_model_is_not_asked_about(high: Judged) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    retired = high.spec.model_copy(update={"retired": "replaced"})
    with pytest.raises(AirflowSkipException, match="retired, .*: replaced"):
        ask(retired, high.decide(), high.context())


def test_the_form_shows_what_matters_and_its_values_are_no_markup(judged: Judged) -> None:
    run = judged.decide()
    decision = GateDecision.from_json(run.reports["gate"])
    slices = tuple(
        SliceResult(column="city", value=f"[c{n}](http://x)", rows=100 * n, judged=n != 1, candidate=0.4, champion=0.3,
                    drop=Interval(value=0.01 * n, lower=0.0, upper=0.1), drop_p=0.5, gap=None, gap_p=None)
        for n in range(8)
    )  # fmt: skip
    evidence = Evidence(
        slices=slices,
        disparities=(Disparity(column="sex", measure="demographic_parity_difference", bound=0.1, rows=9,
                               difference=Interval(value=0.05, lower=0.01, upper=0.09)),),
        changes=tuple(Change(what=f"training.parameters.p{n}", candidate="2", champion="1") for n in range(20)),
    )  # fmt: skip
    rules = (
        make_rule_result("champion", Verdict.ACCEPT, lower=0.01, upper=0.03),
        make_rule_result(
            "calibration", Verdict.REJECT, enforced=False, code=ReasonCode.NOT_CALIBRATED, reason="is off by <0.2>"
        ),
    )
    shown = replace(
        decision,
        champion_version=4,
        mode="dry_run",
        would=Verdict.REJECT,
        evaluation=replace(
            decision.evaluation, evidence=evidence, rules=rules, champion_metrics={decision.evaluation.primary: 0.42}
        ),
    )
    text = approval_form.body(
        judged.spec,
        judged.candidate(),
        shown,
        5,
        links={"Report": "http://r", "Nothing": ""},
        evidence=sections_of(judged.spec, judged.candidate(), shown),
    )
    assert approval_form.subject(judged.spec, shown, 5) == "May version 5 of judged serve instead of version 4?"
    assert text.startswith("[Report](http://r)\n\n")
    for part in (
        "| 0.4200 |",
        "| pass | the champion | log loss | 0.0200 (0.0100 to 0.0300) | lower bound \\> 0 |",
        "is off by \\<0.2\\>; recorded only: it did not count; not_calibrated",
        "| city = \\[c7\\](http\\://x) | 700 |",
        "| sex | demographic parity difference | 0.0500 (0.0100 to 0.0900) | 0.1000 | 9 |",
        "| training.parameters.p0 | 2 | 1 |",
        "8 more are in the decision's JSON",
        "mode is **dry run**; all rules together would say **reject**",
        "Without an answer within 7 days, the champion stays.",
    ):
        assert part in text, part
    assert "c1\\]" not in text  # too few rows to be judged
    assert "c2\\]" not in text  # the five worst are shown


def test_an_answer_is_not_lost_while_mlflow_is_away(
    high: Judged, heard: list[LoopEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = high.decide()

    def away(*_: Any) -> None:
        raise StoreUnavailableError([])

    with monkeypatch.context() as broken:
        broken.setattr(MLflowDecisions, "record_approval", away)
        with pytest.raises(TaskDeferred) as waits:
            answer(high.spec, run, high.context(), "Approve", note="yes", decision=digest(run))
    assert waits.value.method_name == "record_again"
    kept = deserialize(json.loads(json.dumps(serialize(waits.value.kwargs))))  # as Airflow keeps it
    seen = run.reports
    again = ApproveOperator(task_id="approve", spec=high.spec, candidate=seen["train"], decision=seen["gate"])
    said = again.record_again(high.context(), event=None, **kept)
    assert (said["approved"], said["by"], said["note"], said["decision"]) == (True, "ada", "yes", digest(run))
    assert heard == []


def test_a_time_of_an_answer_that_comes_back_from_the_database_is_kept_to_the_instant(
    high: Judged, heard: list[LoopEvent]
) -> None:
    at = datetime(2026, 3, 2, 8, 30, 15, 123456, tzinfo=UTC)
    run = high.decide()
    said = answer(high.spec, run, high.context(), "Approve", responded_at=at, decision=digest(run))
    standing = high.store.decisions.approval(high.candidate().run_id)
    assert standing is not None
    assert standing.at == at
    assert said["at"].startswith("2026-03-02T08:30:15.123456")
