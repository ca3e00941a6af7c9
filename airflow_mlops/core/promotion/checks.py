"""What stops a promotion before anything is written."""

from __future__ import annotations

from airflow_mlops.core.errors import StaleDecisionError
from airflow_mlops.core.promotion.audit_state import AuditState
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.promotion import Approval
from airflow_mlops.spec.problems import Problem, ReasonCode


def declined_because(approval: Approval) -> str:
    """Return a person's no in one sentence."""
    if approval.timed_out:
        return "declined: nobody answered in time"
    return f"declined by {approval.by or 'nobody'}" + (f": {approval.note}" if approval.note else "")


def require_not_older(candidate: Candidate, champion: Champion) -> None:
    """Refuse what would move the champion's as-of time backwards.

    Raises
    ------
    StaleDecisionError
        AS_OF_BACKWARDS.
    """
    if candidate.as_of < champion.candidate.as_of:
        raise StaleDecisionError(
            Problem(
                code=ReasonCode.AS_OF_BACKWARDS,
                field="as_of",
                found=f"a candidate as of {candidate.as_of.isoformat()}",
                allowed=f"not before the champion's, {champion.candidate.as_of.isoformat()} "
                f"(version {champion.version})",
                fix="only a rollback goes back in time",
            )
        )


def require_active(state: AuditState, model: str) -> None:
    """Refuse to promote in a retired model.

    Raises
    ------
    StaleDecisionError
        MODEL_RETIRED.
    """
    if state.retired is not None:
        raise StaleDecisionError(
            Problem(
                code=ReasonCode.MODEL_RETIRED,
                field=model,
                found=f"a model that was retired: {state.retired}",
                allowed="a model that is in use",
                fix="take it back into use first, if that is what you want",
            )
        )


def stale(found: str, allowed: str, fix: str) -> StaleDecisionError:
    """Return the refusal of a decision that the world has overtaken."""
    return StaleDecisionError(
        Problem(code=ReasonCode.DECISION_STALE, field="decision", found=found, allowed=allowed, fix=fix)
    )


def first_reason(decision: GateDecision) -> str:
    """Return why, in one sentence."""
    return decision.reasons[0] if decision.reasons else str(decision.verdict)


def require_match(decision: GateDecision, candidate: Candidate) -> None:
    """Refuse a decision about something else."""
    pairs = {
        name: (getattr(decision, name), getattr(candidate, name))
        for name in ("model", "run_id", "loop_run", "model_uri", "as_of", "model_digest")
    }
    if not decision.model_digest:  # decided before digests of models were recorded
        del pairs["model_digest"]
    problems = [
        Problem(
            code=ReasonCode.DECISION_MISMATCH,
            field=f"decision.{name}",
            found=str(decided),
            allowed=f"{given}, as the candidate has it",
            fix="give the decision that was made about this candidate",
        )
        for name, (decided, given) in pairs.items()
        if decided != given
    ]
    if problems:
        raise StaleDecisionError(problems, subject=candidate.model)


def require_answer(decision: GateDecision, candidate: Candidate, approval: Approval | None, *, needed: bool) -> None:
    """An accepting decision that needs an approval has one: of a person, for exactly this decision, or the judged's."""
    if decision.verdict is not Verdict.ACCEPT or (approval is None and not needed):
        return
    if approval is None:
        found = "no answer of a person"
    elif (approval.run_id, approval.decision) not in _answerable(decision, candidate):
        found = f"an answer to decision {approval.decision[:12]} of run {approval.run_id}, not to this one"
    elif approval.approved and (approval.timed_out or not approval.by):
        found = "an approval that nobody gave"
    else:
        return
    raise StaleDecisionError(
        Problem(
            code=ReasonCode.APPROVAL_MISSING,
            field="approval",
            found=found,
            allowed=f"an approval of decision {decision.digest[:12]}",
            fix="clear the approval task of this run together with the tasks after it",
        ),
        subject=candidate.model,
    )


def _answerable(decision: GateDecision, candidate: Candidate) -> list[tuple[str, str]]:
    """Run and digest of what a person may have answered to.

    Of a refitted model that is the decision that accepted its recipe: that one was put to them.
    """
    found, judged = [(candidate.run_id, decision.digest)], decision.refit_of
    return found if judged is None else [*found, (judged.run_id, judged.decision)]
