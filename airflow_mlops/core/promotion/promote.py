"""From a decision to the champion: compare-and-set in effect, although an alias knows no such thing.

The audit trail decides (core/promotion/audit_chain.py), the registry follows (core/promotion/alias_log.py). In this
order:

1. the decision is about this candidate, is approved where it must be, and the champion that it names still serves;
2. the version is registered, with its decision and provenance as tags, in one request; once for a loop run;
3. `promoting` is written at the next number of the trail: of several, exactly one is first, the others decide anew;
4. aliases and status tags follow, then `promoted` is written.

A kill between any two leaves the champion that served before, or the new one whole; done again, it ends the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from airflow_mlops.core.errors import StaleDecisionError
from airflow_mlops.core.ports import AuditTrail, Registry
from airflow_mlops.core.promotion.alias_log import LEASE, AliasLog
from airflow_mlops.core.promotion.checks import declined_because, first_reason, require_answer, require_match
from airflow_mlops.core.promotion.registration import CandidateRegistration
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.ownership import SpecIdentity
from airflow_mlops.core.records.people import Person
from airflow_mlops.core.records.promotion import Approval, PromotionRecord
from airflow_mlops.spec.problems import Problem, ReasonCode

_NOT_SERVING = {Verdict.REJECT: "rejected", Verdict.INCONCLUSIVE: "inconclusive"}


def promote(
    decision: GateDecision,
    candidate: Candidate,
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    by: str,
    now: datetime,
    specification: SpecIdentity | None = None,
    people: tuple[Person, ...] = (),
    tags: Mapping[str, str] | None = None,
    approval: Approval | None = None,
    approval_needed: bool = False,
    note: str = "",
    lease: timedelta = LEASE,
    pause: Callable[[float], None] = time.sleep,
) -> PromotionRecord:
    """Register the candidate, and make it champion if the decision accepts it and still holds.

    Parameters
    ----------
    decision
        What the gate decided, as it stands in the system of record.
    candidate
        What was judged.
    registry, trail
        The model registry, and the model's audit trail.
    registered_model
        Name in the registry.
    by
        Who promotes: `airflow:<dag_id>/<run_id>`.
    now
        Time of the events that are written, with a time zone.
    specification
        For which specification; the registered model must be its own, or nobody's. None: for the one that the candidate
        names, whoever answers for it.
    people
        Who stands behind `by`; who approved is added.
    tags
        Of the version: DAG, run, task, try, commit.
    approval
        A person's answer to exactly this decision; one that declines counts also where none is needed.
    approval_needed
        Whether an accepting decision needs one. Of a refitted model it is the answer to the decision about what was
        judged.
    note
        What else is to be told of this promotion, after its reason.
    lease, pause
        So long the holder of an unfinished move is waited for, and how to wait.

    Returns
    -------
    PromotionRecord
        The same one when it is done again.

    Raises
    ------
    StaleDecisionError
        DECISION_MISMATCH: the decision is about another model. DECISION_STALE: another champion serves than the one
        judged against, or this version has served and was replaced. AS_OF_BACKWARDS: the champion knows later data.
        APPROVAL_MISSING: nobody approved this decision. MODEL_RETIRED. The champion is untouched.
    RecordError
        AUDIT_BROKEN, if the trail is not whole; CHAMPION_UNREADABLE, if the champion's own record cannot be read;
        OWNED_BY_ANOTHER, if the registered model belongs to another specification.
    """
    require_match(decision, candidate)
    require_answer(decision, candidate, approval, needed=approval_needed)
    alias_log = AliasLog(
        registry=registry, trail=trail, model=registered_model, by=by, now=now, people=people, lease=lease, pause=pause
    )
    task = CandidateRegistration(
        decision, candidate, alias_log, tags or {}, approval, specification=specification, note=note
    )
    if decision.verdict is not Verdict.ACCEPT:
        return task.keep("registered", _NOT_SERVING[decision.verdict], f"{decision.verdict}: {first_reason(decision)}")
    if approval is not None and not approval.approved:
        return task.keep("declined", "declined", declined_because(approval))
    return task.make_champion()


def challenge(
    decision: GateDecision,
    candidate: Candidate,
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    by: str,
    now: datetime,
    specification: SpecIdentity | None = None,
    people: tuple[Person, ...] = (),
    tags: Mapping[str, str] | None = None,
    lease: timedelta = LEASE,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Register an accepted candidate that waits for its approval, as challenger; return its version.

    There is one challenger: an older one becomes a plain candidate, and may still be promoted when it is approved. A
    version that serves or has served stays what it is.

    Raises
    ------
    StaleDecisionError
        As :func:`promote`, and DECISION_MISMATCH if the decision does not accept.
    """
    require_match(decision, candidate)
    _require_accepted(decision, candidate, "waits for approval")
    alias_log = AliasLog(
        registry=registry, trail=trail, model=registered_model, by=by, now=now, people=people, lease=lease, pause=pause
    )
    task = CandidateRegistration(decision, candidate, alias_log, tags or {}, None, specification=specification)
    return task.set_aside("challenger", "accept: waits for approval")


def keep_judged(
    decision: GateDecision,
    candidate: Candidate,
    registry: Registry,
    trail: AuditTrail,
    *,
    registered_model: str,
    by: str,
    now: datetime,
    specification: SpecIdentity | None = None,
    people: tuple[Person, ...] = (),
    tags: Mapping[str, str] | None = None,
    approval: Approval | None = None,
    approval_needed: bool = False,
    lease: timedelta = LEASE,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Register an accepted candidate that is refitted on all rows before anything serves, as `judged`; return it.

    It stays in the registry as what the refitted version's evidence is about. Where nothing comes of the refit, it is
    promoted itself. A version that serves or has served stays what it is.

    Raises
    ------
    StaleDecisionError
        As :func:`promote`, and DECISION_MISMATCH if the decision does not accept.
    """
    require_match(decision, candidate)
    _require_accepted(decision, candidate, "is refitted")
    require_answer(decision, candidate, approval, needed=approval_needed)
    alias_log = AliasLog(
        registry=registry, trail=trail, model=registered_model, by=by, now=now, people=people, lease=lease, pause=pause
    )
    task = CandidateRegistration(decision, candidate, alias_log, tags or {}, approval, specification=specification)
    return task.set_aside("judged", f"accept, to be refitted on all rows: {first_reason(decision)}")


def _require_accepted(decision: GateDecision, candidate: Candidate, what: str) -> None:
    if decision.verdict is not Verdict.ACCEPT:
        raise StaleDecisionError(
            Problem(
                code=ReasonCode.DECISION_MISMATCH,
                field="decision.verdict",
                found=str(decision.verdict),
                allowed="accept",
                fix=f"only what the gate accepted {what}",
            ),
            subject=candidate.model,
        )
