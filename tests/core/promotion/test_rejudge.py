"""Which stale decisions are made again, and which decision and approval then count."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from airflow_mlops.core.promotion import rejudge
from airflow_mlops.core.promotion.rejudge import approval_of, may_judge_again, required_decision
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.promotion import Approval
from airflow_mlops.spec.problems import Problem, ReasonCode
from tests.support.memory_registry import NOW, candidate_of, decision_of


def problem(code: ReasonCode) -> Problem:
    return Problem(code=code, field="decision", found="x", allowed="y", fix="z")


STALE, OTHER = problem(ReasonCode.DECISION_STALE), problem(ReasonCode.RECORD_CONFLICT)


@pytest.mark.parametrize(("has_rows", "asks", "served"), list(product([True, False], repeat=3)))
@pytest.mark.parametrize("problems", [(STALE,), (STALE, STALE), (STALE, OTHER), (OTHER,)])
def test_only_what_is_stale_alone_unseen_by_a_person_and_never_served_is_judged_again(
    problems: tuple[Problem, ...], has_rows: bool, asks: bool, served: bool
) -> None:
    allowed = set(problems) == {STALE} and has_rows and not asks and not served
    assert may_judge_again(problems, has_rows=has_rows, asks_a_person=asks, served=lambda: served) is allowed


def test_the_registry_is_asked_last() -> None:
    def served() -> bool:
        raise AssertionError("nobody needed to know")

    assert not may_judge_again([STALE], has_rows=False, asks_a_person=False, served=served)
    assert not may_judge_again([STALE], has_rows=True, asks_a_person=True, served=served)
    assert not may_judge_again([OTHER], has_rows=True, asks_a_person=False, served=served)


def test_the_handed_decision_must_stand_unless_this_task_replaced_it() -> None:
    handed = decision_of(candidate_of(1), None)
    other = decision_of(candidate_of(1), None, Verdict.REJECT)
    assert required_decision(handed, None) == handed
    assert required_decision(handed, other.digest) == handed
    assert required_decision(handed, handed.digest) is None


def test_an_answer_to_another_decision_is_none() -> None:
    decision = decision_of(candidate_of(1), None)
    answer = Approval(model="m", run_id="r", decision=decision.digest, approved=True, by="ada", at=NOW)
    assert approval_of(answer, decision) == answer
    assert approval_of(replace(answer, decision="0" * 64), decision) is None
    assert approval_of(None, decision) is None


def test_the_names_on_disk_stay() -> None:
    """A try of this task from before an upgrade wrote them."""
    assert (rejudge.REPLACED, rejudge.REPLACED_SEAL) == ("gate/replaced.json", "mlops.replaced_digest")
