"""Promote an accepted candidate, and only that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops.links import MLflowRunLink, ModelCardLink, ModelVersionLink, ReportLink
from airflow_mlops.operators._base import LoopOperator

if TYPE_CHECKING:
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.core.records.promotion import Approval, PromotionRecord
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore


class PromoteOperator(LoopOperator):
    """Register the candidate, and make it champion if the gate accepted it against the champion that still serves.

    Returns the :class:`~airflow_mlops.core.records.promotion.PromotionRecord` as JSON and emits the `Model` asset
    event. For a candidate that was not accepted, or not approved, the version is registered with its decision, the task
    log says why and where to look, and the task ends as skipped: no event, and no failure. Every registered version
    gets its model card, `model_card.md` and `model_card.html` in its MLflow run. A card that cannot be written fails
    this task after the promotion, which stands; trying again writes the card.

    With `training.refit`, an accepted candidate is trained again on all rows first, and that version is registered and
    serves, by the evidence of the one that was judged, which is registered too. Where nothing comes of the refit, what
    was judged serves, and reason and card say so.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    candidate
        What TrainOperator returned.
    decision
        What EvaluateGateOperator returned. The decision that counts is the one in MLflow; this one must be the same.
    snapshot
        What SnapshotOperator returned. With it, a decision that is stale because another champion serves now is made
        again once, against that one, unless a person approved the stale one.
    approval
        What ApproveOperator returned. The approval that counts is the one in MLflow. When this is given, or the
        model's risk tier is one of `promotion.approval.tiers`, nothing is promoted without it.
    """

    template_fields = ("candidate", "decision", "snapshot", "approval")
    operator_extra_links = (
        MLflowRunLink(),
        ReportLink(),
        ModelVersionLink(),
        ModelCardLink(),
    )
    trains = True

    def __init__(
        self, *, candidate: Any, decision: Any, snapshot: Any = None, approval: Any = None, **kwargs: Any
    ) -> None:
        # Of two promotions at once one is refused as stale: they would only be in each other's way.
        kwargs.setdefault("max_active_tis_per_dag", 1)
        super().__init__(**kwargs)
        self.candidate = candidate
        self.decision = decision
        self.snapshot = snapshot
        self.approval = approval

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Promote; raise a skip when the answer was no."""
        from airflow.sdk.exceptions import AirflowSkipException

        from airflow_mlops.core.records.candidate import Candidate
        from airflow_mlops.operators._superseded import mark_superseded

        spec, candidate = self.model_spec(context), Candidate.from_json(self.candidate)
        with self.records(spec) as records:
            decision = self._decision(records, spec, candidate)
            self.remember_links(records, candidate, "gate/decision.html")
            done = self._promote(context, records, spec, candidate, decision)
            record = done.record
            self.remember_links(records, done.candidate, "gate/decision.html")
            for one in (*done.beside, done):
                records.decisions.record_promotion(one.record.run_id, one.record)
            self.version, self.version_url = record.version, records.version_url(spec.registered_model, record.version)
            if record.promoted:
                self.log.info("version %s serves now, before it %s", record.version, record.previous_version)
                self.tell(spec, "promoted", context, record.reasons, as_of=record.as_of)
            for one in (*done.beside, done):
                self._write_card(records, spec, one)
            mark_superseded(self, records, spec, [one.record for one in (*done.beside, done)])
        if not record.promoted:
            context["ti"].xcom_push(key="return_value", value=record.to_json())
            what = "declined" if record.declined else str(record.verdict)
            message = "\n  ".join((f"{what}: version {record.version} does not serve", *record.reasons))
            self.log.warning("%s\n  the whole decision: %s", message, self.report_url)
            raise AirflowSkipException(record.reasons[0] if record.reasons else what)
        self._announce(context, record.to_json())
        return record.to_json()

    def _decision(self, records: MLflowStore, spec: ModelSpec, candidate: Candidate) -> GateDecision:
        """Return the decision that stands: the one handed along, or what an earlier try of this task replaced it by."""
        from airflow_mlops.core.promotion import REPLACED, REPLACED_SEAL, required_decision
        from airflow_mlops.core.records.decision import GateDecision
        from airflow_mlops.operators._evaluate import standing_decision

        replaced = records.artifacts.read_sealed(candidate.run_id, REPLACED, REPLACED_SEAL)
        expected = required_decision(GateDecision.from_json(self.decision), replaced)
        return standing_decision(records, spec, candidate, expected)

    def _promote(
        self, context: Any, records: MLflowStore, spec: ModelSpec, candidate: Candidate, decision: GateDecision
    ) -> RegisteredVersion:
        """Promote by the decision; when it is stale and may be made again, by the new one."""
        from airflow_mlops.core.errors import StaleDecisionError

        try:
            return self._promote_by(decision, context, records, spec, candidate)
        except StaleDecisionError as stale:
            if not self._may_judge_again(stale, records, spec, candidate):
                raise
            self.log.warning("%s\n  the candidate is judged again, against the champion of now", stale)
        again = self._judge_again(context, records, spec, candidate)
        return self._promote_by(again, context, records, spec, candidate)

    def _promote_by(
        self, decision: GateDecision, context: Any, records: MLflowStore, spec: ModelSpec, candidate: Candidate
    ) -> RegisteredVersion:
        """Promote what was judged; where `training.refit` asks for it, the same recipe refitted on all rows."""
        from airflow_mlops.core.promotion import keep_judged, promote
        from airflow_mlops.core.records.ownership import SpecIdentity
        from airflow_mlops.operators._refit import refit_accepted
        from airflow_mlops.provenance import provenance

        approval = self._standing_approval(records, candidate, decision)
        given: dict[str, Any] = {
            "registered_model": spec.registered_model,
            "by": self.actor(context),
            "now": datetime.now(UTC),
            "specification": SpecIdentity.of(spec),
            "people": self.people(context),
            "tags": provenance(context),
            "approval": approval,
            "approval_needed": self._asks(spec),
        }
        stores = (records.registry, records.trail)
        note, beside = "", tuple[RegisteredVersion, ...]()
        if self._is_refitted(records, spec, candidate, decision, approval):
            version = keep_judged(decision, candidate, *stores, **given)
            made = refit_accepted(self, context, records, spec, candidate, decision, version)
            if isinstance(made, str):
                note = made
            else:
                record = promote(made.decision, made.candidate, *stores, **given)
                refitted = RegisteredVersion(made.candidate, made.decision, record, approval)
                if record.promoted:
                    judged = _judged_record(record, decision, version)
                    return replace(refitted, beside=(RegisteredVersion(candidate, decision, judged, approval),))
                note = f"not refitted on all rows: version {record.version} was refused: {record.reasons[0]}"
                beside = (refitted,)
        record = promote(decision, candidate, *stores, **given, note=note)
        return RegisteredVersion(candidate, decision, record, approval, beside)

    def _is_refitted(
        self,
        records: MLflowStore,
        spec: ModelSpec,
        candidate: Candidate,
        decision: GateDecision,
        approval: Approval | None,
    ) -> bool:
        """Whether the model is refitted before it serves; one that serves already, by an earlier try, stays."""
        from airflow_mlops.core.promotion import has_served
        from airflow_mlops.core.records.decision import Verdict

        declined = approval is not None and not approval.approved
        if not spec.training.refit or decision.verdict is not Verdict.ACCEPT or declined:
            return False
        version = records.registry.version_of(spec.registered_model, candidate.run_id)
        return version is None or not has_served(records.registry, spec.registered_model, version)

    def _asks(self, spec: ModelSpec) -> bool:
        return self.approval is not None or spec.risk_tier in spec.promotion.approval.tiers

    def _standing_approval(self, records: MLflowStore, candidate: Candidate, decision: GateDecision) -> Approval | None:
        """Return the answer to this decision that stands in MLflow."""
        from airflow_mlops.core.promotion import approval_of

        return approval_of(records.decisions.approval(candidate.run_id), decision)

    def _may_judge_again(self, stale: Any, records: MLflowStore, spec: ModelSpec, candidate: Candidate) -> bool:
        from airflow_mlops.core.promotion import may_judge_again
        from airflow_mlops.operators._refit import run_has_served

        def served() -> bool:
            return run_has_served(records, spec, candidate)

        return may_judge_again(
            stale.problems, has_rows=self.snapshot is not None, asks_a_person=self._asks(spec), served=served
        )

    def _judge_again(self, context: Any, records: MLflowStore, spec: ModelSpec, candidate: Candidate) -> GateDecision:
        """Judge against the champion of now; first write down which decision may be replaced, for a later try."""
        from airflow_mlops.core.promotion import REPLACED, REPLACED_SEAL
        from airflow_mlops.core.records.decision import GateDecision
        from airflow_mlops.core.records.snapshot import Snapshot
        from airflow_mlops.operators._evaluate import judge

        handed = GateDecision.from_json(self.decision).digest
        records.artifacts.write_sealed(candidate.run_id, REPLACED, handed, REPLACED_SEAL, {})
        return judge(self, context, records, spec, Snapshot.from_json(self.snapshot), candidate)

    def _write_card(self, records: MLflowStore, spec: ModelSpec, one: RegisteredVersion) -> None:
        """Write the version's model card into its run, and its summary into the registry."""
        from airflow_mlops.operators._card import version_links, write_card

        links = version_links(records, spec.registered_model, one.candidate.run_id, one.record.version)
        self.card_url = write_card(
            records, spec, one.candidate, one.decision, one.record, approval=one.approval, links=links
        )

    def _announce(self, context: Any, record: dict[str, Any]) -> None:
        extra = {name: record[name] for name in ("model", "version", "run_id", "as_of", "previous_version")}
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = extra


@dataclass(frozen=True)
class RegisteredVersion:
    """A version and the records behind it."""

    candidate: Candidate
    decision: GateDecision
    record: PromotionRecord
    approval: Approval | None
    beside: tuple[RegisteredVersion, ...] = ()
    """Registered with it: what was judged, of a refitted one; a refit that was refused, of a judged one."""


def _judged_record(refitted: PromotionRecord, decision: GateDecision, version: int) -> PromotionRecord:
    """Return what became of a judged version: another one serves that repeats it."""
    why = f"refitted on all rows as version {refitted.version}, which serves by this evidence"
    return replace(
        refitted,
        version=version,
        run_id=decision.run_id,
        promoted=False,
        verdict=decision.verdict,
        reasons=(why, *decision.reasons),
        refitted_as=refitted.version,
    )
