"""What was decided about a candidate, in its run: the gate's decision, a person's answer, what promotion did."""

from __future__ import annotations

from airflow_mlops.core.errors import StaleDecisionError
from airflow_mlops.core.gate import require_consistent
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.promotion import Approval, PromotionRecord
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.artifacts import MLflowArtifacts
from airflow_mlops.stores.mlflow.errors import conflict

DECISION = "gate/decision.json"
DECISION_PAGE = "gate/decision.html"
DECISION_SEAL = "mlops.decision_digest"
APPROVAL = "approval/approval.json"
PROMOTION = "promotion"
APPROVAL_SEAL = "mlops.approval_digest"


class MLflowDecisions:
    """Decisions about candidates."""

    def __init__(self, artifacts: MLflowArtifacts) -> None:
        self._artifacts = artifacts

    def record_decision(self, run_id: str, decision: GateDecision, page_html: str | None = None) -> None:
        """Keep a decision as artifact `gate/decision.json` of its run, and its page beside it.

        A gate that runs again before promotion replaces the decision; promotion reads the one that stands then.
        """
        if page_html is not None:
            self._artifacts.write_text(run_id, DECISION_PAGE, page_html)
        tags = {"mlops.verdict": decision.verdict.value}
        self._artifacts.write_sealed(run_id, DECISION, decision.to_text(), DECISION_SEAL, tags)

    def find_decision(self, run_id: str) -> GateDecision | None:
        """Return the decision that stands in MLflow; None when the run was not judged.

        Raises
        ------
        RecordError
            If it was edited after the fact; DECISION_CONTRADICTORY, if its verdict does not follow from its rules.
        """
        text = self._artifacts.read_sealed(run_id, DECISION, DECISION_SEAL)
        return None if text is None else require_consistent(GateDecision.from_json(text))

    def decision(self, run_id: str, expected: GateDecision | None = None) -> GateDecision:
        """Return the decision that stands in MLflow.

        Parameters
        ----------
        expected
            The decision that was handed along; it must be the same.

        Raises
        ------
        RecordError
            If there is none, or it was edited after the fact, or contradicts itself.
        StaleDecisionError
            DECISION_MISMATCH, if `expected` is another one.
        """
        found = self.find_decision(run_id)
        if found is None:
            raise conflict(
                f"MLflow run {run_id} has no decision",
                "a run that the gate has judged",
                "let the gate task succeed first",
            )
        if expected is not None and expected.digest != found.digest:
            raise StaleDecisionError(
                Problem(
                    code=ReasonCode.DECISION_MISMATCH,
                    field="decision",
                    found=f"decision {expected.digest[:12]} was handed along, but {found.digest[:12]} stands in MLflow",
                    allowed="the decision that the gate recorded last",
                    fix="clear the gate task of this run together with the tasks after it",
                )
            )
        return found

    def record_approval(self, run_id: str, approval: Approval) -> None:
        """Keep a person's answer as artifact `approval/approval.json` of its run. A later answer replaces it."""
        said = "timed_out" if approval.timed_out else "approved" if approval.approved else "declined"
        self._artifacts.write_sealed(run_id, APPROVAL, approval.to_text(), APPROVAL_SEAL, {"mlops.approval": said})

    def approval(self, run_id: str) -> Approval | None:
        """Return the answer that stands in MLflow; None when nobody was asked, or nobody answered yet.

        Raises
        ------
        RecordError
            If it was edited after the fact.
        """
        text = self._artifacts.read_sealed(run_id, APPROVAL, APPROVAL_SEAL)
        return None if text is None else Approval.from_json(text)

    def find_promotion(self, run_id: str) -> PromotionRecord | None:
        """Return what promotion did with the run's version; None when it has not come to that."""
        text = self._artifacts.find_text(run_id, f"{PROMOTION}.json")
        return None if text is None else PromotionRecord.from_json(text)

    def record_promotion(self, run_id: str, record: PromotionRecord) -> None:
        """Keep what promotion did as artifact `promotion.json` of the run."""
        self._artifacts.write_record(run_id, PROMOTION, record)
