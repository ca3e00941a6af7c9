"""Ask a person whether an accepted candidate may serve."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param

from airflow_mlops._loop_context import consequences
from airflow_mlops.links import MLflowRunLink, ModelVersionLink, ReportLink
from airflow_mlops.operators._base import LoopOperator

if TYPE_CHECKING:
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.core.records.promotion import Approval
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore

APPROVE, REJECT = "Approve", "Reject"
_UNREAD = timedelta(days=7)
"""Until the specification is read, which may be a file: its own `promotion.approval.timeout` counts then."""

_LATER = timedelta(minutes=1)
"""From an answer that MLflow could not take to the next attempt."""


class ApproveOperator(LoopOperator, HITLOperator):
    """Put an accepting decision to a person, and record the answer; the task waits without a worker or the triggerer.

    The form under Required Actions shows the decision's summary and asks Approve or Reject, with a note. The answer
    is about exactly this decision and is written to MLflow before this task returns it as an
    :class:`~airflow_mlops.core.records.promotion.Approval`. A rejection, and no answer within
    `promotion.approval.timeout`, are answers, not failures: this task succeeds, those who asked for `declined` are
    told, and PromoteOperator ends as skipped. A decision that was not accepting is not asked about:
    ``{"needed": False}``.

    Airflow refuses answers of others than `promotion.approval.approvers`, where the specification names some.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    candidate
        What TrainOperator returned.
    decision
        What EvaluateGateOperator returned.

    Examples
    --------
    >>> ApproveOperator(task_id="approve", spec="models/flight_delay.yaml", candidate={}, decision={}).options
    ['Approve', 'Reject']
    """

    # Not `subject` and `body`: they are made while the task runs, of texts that are no templates.
    template_fields = ("candidate", "decision")
    operator_extra_links = (MLflowRunLink(), ReportLink(), ModelVersionLink())
    trains = True

    def __init__(self, *, candidate: Any, decision: Any, **kwargs: Any) -> None:
        form = {
            "options": [APPROVE, REJECT],
            "defaults": REJECT,  # without defaults, Airflow fails the task that nobody answered
            "response_timeout": _UNREAD,
            "params": {
                "note": Param(None, type=["null", "string"], title="Note", description="Why; kept with your answer.")
            },
        }
        super().__init__(subject="May this candidate serve?", **{**form, **kwargs})
        self.candidate = candidate
        self.decision = decision

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Ask, unless there is nothing to ask or the answer is there: asking leaves by an exception."""
        from airflow_mlops.core.records.candidate import Candidate
        from airflow_mlops.core.records.decision import GateDecision, Verdict
        from airflow_mlops.notifications.task_event import answer_words
        from airflow_mlops.operators._evaluate import standing_decision

        spec, candidate = self.model_spec(context), Candidate.from_json(self.candidate)
        with self.records(spec) as records:
            decision = standing_decision(records, spec, candidate, GateDecision.from_json(self.decision))
            self.remember_links(records, candidate, "gate/decision.html")
            if decision.verdict is not Verdict.ACCEPT:
                self.log.info("the gate did not accept this candidate: there is nothing to approve")
                return {"needed": False}
            standing = records.decisions.approval(candidate.run_id)
            if standing is not None and standing.decision == decision.digest:
                # Cleared alone, this task cannot ask again about a decision that somebody has answered.
                again = "to be asked again, clear the gate task too: its new decision is put to a person anew"
                self.log.info("%s: answered at %s; %s", answer_words(standing), standing.at, again)
                report: dict[str, Any] = standing.to_json()
                return report
            self._write_form(records, spec, candidate, decision, context)
        return self._ask(context, spec, decision)

    def execute_complete(self, context: Any, event: dict[str, Any], decision: str = "") -> dict[str, Any]:
        """Take the answer to the question about the decision with this digest; runs in a new process."""
        try:
            with consequences():
                return self._take(context, event, decision)
        except ConnectionError as away:
            # Another try would ask the person again: Airflow forgets an answer when a task starts anew.
            self.log.warning("the answer waits, because it cannot be recorded yet: %s", away)
            return self._keep(event, decision)

    def record_again(self, context: Any, event: Any, answer: dict[str, Any], decision: str) -> dict[str, Any]:
        """Record an answer that could not be recorded before."""
        del event  # of the clock
        return self.execute_complete(context, answer, decision)

    def _keep(self, answer: dict[str, Any], decision: str) -> NoReturn:
        """Look again later, with the answer in the task's own keeping: this leaves the task by an exception."""
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        kept = {"answer": answer, "decision": decision}
        self.defer(trigger=TimeDeltaTrigger(_LATER), method_name="record_again", kwargs=kept)

    def _write_form(
        self, records: MLflowStore, spec: ModelSpec, candidate: Candidate, decision: GateDecision, context: Any
    ) -> None:
        """Register the version as challenger, and make the form of it."""
        from airflow_mlops.core.gate import sections_of
        from airflow_mlops.core.promotion import challenge
        from airflow_mlops.core.records.ownership import SpecIdentity
        from airflow_mlops.provenance import provenance
        from airflow_mlops.reports import approval_form

        version = challenge(
            decision,
            candidate,
            records.registry,
            records.trail,
            registered_model=spec.registered_model,
            by=self.actor(context),
            now=datetime.now(UTC),
            specification=SpecIdentity.of(spec),
            people=self.people(context),
            tags=provenance(context),
        )
        self.version, self.version_url = version, records.version_url(spec.registered_model, version)
        asked = spec.promotion.approval
        self.assigned_users = [{"id": user, "name": user} for user in asked.approvers] or None
        self.response_timeout = asked.timeout
        self.subject = approval_form.subject(spec, decision, version)
        links = {"Report": self.report_url, "Model version": self.version_url, "MLflow run": self.run_url}
        seen = sections_of(spec, candidate, decision)
        self.body = approval_form.body(spec, candidate, decision, version, links=links, evidence=seen)

    def _ask(self, context: Any, spec: ModelSpec, decision: GateDecision) -> dict[str, Any]:
        from airflow.sdk.exceptions import TaskAwaitingInput

        try:
            answer: dict[str, Any] = HITLOperator.execute(self, context)
        except TaskAwaitingInput as parked:
            self.tell(spec, "waiting_for_approval", context, decision.reasons, as_of=decision.as_of)
            # The answer will be about what was asked, not about what the gate may decide meanwhile.
            raise TaskAwaitingInput(
                method_name=parked.method_name, kwargs={"decision": decision.digest}, timeout=parked.timeout
            ) from None
        return answer

    def _take(self, context: Any, event: dict[str, Any], decision: str) -> dict[str, Any]:
        from airflow_mlops.core.records.candidate import Candidate
        from airflow_mlops.core.records.decision import GateDecision
        from airflow_mlops.notifications.task_event import answer_words

        spec, candidate = self.model_spec(context), Candidate.from_json(self.candidate)
        asked = decision or GateDecision.from_json(self.decision).digest
        approval = self._read(context, event, candidate, asked)
        with self.records(spec) as records:
            self.remember_links(records, candidate, "gate/decision.html")
            self.version = records.registry.version_of(spec.registered_model, candidate.run_id)
            if self.version is not None:
                self.version_url = records.version_url(spec.registered_model, self.version)
            records.decisions.record_approval(candidate.run_id, approval)
        words = answer_words(approval)
        self.log.info("%s", words)
        if not approval.approved:
            self.tell(spec, "declined", context, [words], as_of=candidate.as_of)
        return approval.to_json()

    def _read(self, context: Any, event: dict[str, Any], candidate: Candidate, decision: str) -> Approval:
        """Turn Airflow's event into the record: only a person's Approve approves."""
        from airflow_mlops.core.records.promotion import Approval

        if event.get("error_type") == "timeout":
            event = {
                "chosen_options": [REJECT],
                "params_input": {},
                "responded_at": datetime.now(UTC),
                "timedout": True,
            }
            event["responded_by_user"] = None
        answer = HITLOperator.execute_complete(self, context, event)  # refuses options and fields that were not asked
        person = answer["responded_by_user"]
        # The scheduler answers with the default when the time is over, and names nobody.
        timed_out = bool(event.get("timedout")) or not person
        return Approval(
            model=candidate.model,
            run_id=candidate.run_id,
            decision=decision,
            approved=list(answer["chosen_options"]) == [APPROVE] and not timed_out,
            by="" if timed_out else str(person["name"] or person["id"]),
            at=answer["responded_at"],
            note=str(answer["params_input"].get("note") or "").strip(),
            timed_out=timed_out,
        )
