"""What stops a promotion: each check lets pass exactly what it is for, and its refusal has a code and a field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_mlops.core.errors import StaleDecisionError
from airflow_mlops.core.promotion.audit_state import AuditState
from airflow_mlops.core.promotion.checks import (
    declined_because,
    first_reason,
    require_active,
    require_answer,
    require_match,
    require_not_older,
)
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.promotion import Approval
from airflow_mlops.spec.problems import Problem, ReasonCode
from tests.support.builders import AS_OF, make_candidate, make_champion, make_decision

CANDIDATE = make_candidate(metrics={"log_loss": 0.4})
DECISION = make_decision(CANDIDATE)


def approval(**changes: Any) -> Approval:
    given = {"model": "m", "run_id": "r", "decision": DECISION.digest, "approved": True, "by": "ada", "at": AS_OF}
    return Approval(**{**given, **changes})


def refusal(act: Callable[[], None]) -> tuple[Problem, ...]:
    with pytest.raises(StaleDecisionError) as caught:
        act()
    return tuple(caught.value.problems)


@pytest.mark.parametrize("days", [0, 1, 400])
def test_the_same_as_of_and_a_later_one_may_follow_the_champion(days: int) -> None:
    require_not_older(make_candidate(AS_OF + timedelta(days=days)), make_champion())


def test_an_as_of_before_the_champions_is_refused_by_a_microsecond() -> None:
    older = make_candidate(AS_OF - timedelta(microseconds=1))
    (problem,) = refusal(lambda: require_not_older(older, make_champion(version=7)))
    assert (problem.code, problem.field) == (ReasonCode.AS_OF_BACKWARDS, "as_of")
    assert "version 7" in problem.allowed


def test_a_retired_model_is_refused_with_the_reason_and_one_in_use_is_not() -> None:
    require_active(AuditState(), "orders")
    (problem,) = refusal(lambda: require_active(replace(AuditState(), retired="replaced by late2"), "orders"))
    assert (problem.code, problem.field) == (ReasonCode.MODEL_RETIRED, "orders")
    assert "replaced by late2" in problem.found


def test_a_decision_about_this_candidate_matches_it() -> None:
    require_match(DECISION, CANDIDATE)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("model", "n"),
        ("run_id", "r2"),
        ("loop_run", "m.train/2"),
        ("model_uri", "models:/m-2"),
        ("as_of", AS_OF + timedelta(days=1)),
    ],
)
def test_each_difference_between_decision_and_candidate_is_refused_by_name(name: str, other: Any) -> None:
    (problem,) = refusal(lambda: require_match(replace(DECISION, **{name: other}), CANDIDATE))
    assert (problem.code, problem.field) == (ReasonCode.DECISION_MISMATCH, f"decision.{name}")


def test_every_difference_is_told_at_once() -> None:
    found = refusal(lambda: require_match(replace(DECISION, run_id="r2", model="n"), CANDIDATE))
    assert [problem.field for problem in found] == ["decision.model", "decision.run_id"]


@pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.INCONCLUSIVE])
def test_only_what_is_accepted_waits_for_an_answer(verdict: Verdict) -> None:
    require_answer(replace(DECISION, verdict=verdict), CANDIDATE, None, needed=True)
    require_answer(DECISION, CANDIDATE, None, needed=False)


@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.parametrize("answer", [approval(), approval(approved=False), approval(approved=False, timed_out=True)])
def test_an_answer_to_this_decision_is_one_whatever_it_says(answer: Approval, needed: bool) -> None:
    require_answer(DECISION, CANDIDATE, answer, needed=needed)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (None, "no answer of a person"),
        (approval(decision="0" * 64), "not to this one"),
        (approval(run_id="r2"), "of run r2"),
        (approval(timed_out=True), "that nobody gave"),
        (approval(by=""), "that nobody gave"),
    ],
)
def test_what_is_no_approval_of_this_decision_is_refused(answer: Approval | None, found: str) -> None:
    (problem,) = refusal(lambda: require_answer(DECISION, CANDIDATE, answer, needed=True))
    assert (problem.code, problem.field) == (ReasonCode.APPROVAL_MISSING, "approval")
    assert found in problem.found
    assert DECISION.digest[:12] in problem.allowed


def test_an_answer_that_is_wrong_is_refused_where_none_is_needed() -> None:
    found = refusal(lambda: require_answer(DECISION, CANDIDATE, approval(decision="0" * 64), needed=False))
    assert [problem.code for problem in found] == [ReasonCode.APPROVAL_MISSING]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"by": "ada", "note": "too risky"}, "declined by ada: too risky"),
        ({"by": "ada", "note": ""}, "declined by ada"),
        ({"by": ""}, "declined by nobody"),
        ({"timed_out": True, "by": ""}, "declined: nobody answered in time"),
    ],
)
def test_a_no_is_one_sentence(changes: dict[str, Any], words: str) -> None:
    assert declined_because(approval(approved=False, **changes)) == words


def test_the_first_reason_is_a_sentence_or_the_verdict() -> None:
    assert first_reason(replace(DECISION, reasons=("better by 0.02", "and fair"))) == "better by 0.02"
    assert first_reason(replace(DECISION, reasons=(), verdict=Verdict.REJECT)) == str(Verdict.REJECT)
