"""Decide whether what monitoring saw calls for a retraining."""

from __future__ import annotations

from typing import Any

from airflow_mlops.links import MLflowRunLink
from airflow_mlops.operators._base import LoopOperator


class RetrainOperator(LoopOperator):
    """Turn a DriftReport into a RetrainDecision, and emit the retrain event when the answer is yes.

    Returns the :class:`~airflow_mlops.core.monitor.RetrainDecision` as JSON. When the answer is to wait, the task ends
    as skipped, with every reason in its log: then its outlets emit nothing.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    report
        What DriftSensor returned.
    """

    template_fields = ("report",)
    operator_extra_links = (MLflowRunLink(),)

    def __init__(self, *, report: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.report = report

    def run_stage(self, context: Any) -> dict[str, Any]:
        """Decide; raise a skip when the answer is to wait."""
        from airflow.sdk.exceptions import AirflowSkipException

        from airflow_mlops.config import settings
        from airflow_mlops.core.monitor import DriftReport
        from airflow_mlops.core.retrain import count_new_rows, decide_retraining
        from airflow_mlops.stores.sources import open_source

        spec, report = self.model_spec(context), DriftReport.from_json(self.report)
        store = open_source(spec.data.source, data_root=settings().data_root)
        with self.records(spec) as records:
            champion = records.require_champion(spec)
            self.run_url = records.run_url(champion.run_id)
        new_rows = count_new_rows(spec, champion, store, report.as_of)
        decision = decide_retraining(spec, report, champion, new_rows, report.as_of)
        if decision.action != "retrain":
            context["ti"].xcom_push(key="return_value", value=decision.to_json())
            raise AirflowSkipException("no retraining: " + "; ".join(decision.reasons))
        self.log.info("retrain: %s", "; ".join(decision.reasons))
        body = decision.to_json()
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {key: body[key] for key in ("as_of", "reasons", "evidence")}
        return body
