"""When a decision that became stale is made again: pure answers; whoever asks reads, judges and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.promotion import Approval
from airflow_mlops.spec.problems import Problem, ReasonCode

REPLACED = "gate/replaced.json"
"""Artifact of the candidate's run that says which decision may be replaced; written before it is judged again."""
REPLACED_SEAL = "mlops.replaced_digest"
"""Tag of that run, with the same digest."""


def may_judge_again(
    problems: Iterable[Problem], *, has_rows: bool, asks_a_person: bool, served: Callable[[], bool]
) -> bool:
    """Say whether a refused decision may be made again, against the champion that serves now.

    Parameters
    ----------
    problems
        Why it was refused: all of it must be that another champion serves now.
    has_rows
        Whether the snapshot is at hand, to judge on.
    asks_a_person
        Whether the promotion needs an approval: a person approved the stale decision, not one that they never saw.
    served
        Whether the candidate serves or has served; then its decision is history. Asked last, for it asks the registry.

    Examples
    --------
    >>> may_judge_again([], has_rows=False, asks_a_person=False, served=lambda: False)
    False
    """
    if not has_rows or asks_a_person:
        return False
    return all(problem.code is ReasonCode.DECISION_STALE for problem in problems) and not served()


def required_decision(handed: GateDecision, replaced: str | None) -> GateDecision | None:
    """Return the decision that must stand in the record: the one handed along; None when any may.

    Parameters
    ----------
    replaced
        Digest of the decision that an earlier try of the same task replaced, if it did: then what stands is the new
        one.
    """
    return None if replaced == handed.digest else handed


def approval_of(found: Approval | None, decision: GateDecision) -> Approval | None:
    """Return the answer to this decision; an answer to an earlier one is none."""
    return found if found is not None and found.decision == decision.digest else None
