"""What every stage's operator shares: one way to run, links, and whom to tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_mlops._loop_context import LoopContext, consequences
from airflow_mlops.spec import ModelSpec

if TYPE_CHECKING:
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.stores.mlflow.store import MLflowStore


class LoopOperator(LoopContext, BaseOperator):
    """Base of the stages: assigns in ``__init__``, works in ``execute``.

    Parameters
    ----------
    spec
        The model's specification, or the path of its file.
    """

    ui_color = "#eef4fb"
    trains: ClassVar[bool] = False
    """Whether it is a stage of training: then it is skipped when the specification says that the model is retired."""

    def __init__(self, *, spec: ModelSpec | str | Path | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.run_url = self.report_url = self.version_url = self.card_url = ""
        self.version: int | None = None

    def execute(self, context: Any) -> dict[str, Any] | None:
        """Run the stage; return its report as plain JSON."""
        with consequences():
            if self.trains:
                from airflow_mlops.core.records.promotion import retired_because

                skip_retired(retired_because(self.model_spec(context)))
            return self.run_stage(context)

    def run_stage(self, context: Any) -> dict[str, Any] | None:
        """Do the stage's work: each operator's own."""
        raise TypeError(f"{type(self).__name__} must define run_stage, to be called with {sorted(context)}")

    def loop_run(self, context: Mapping[str, Any]) -> str:
        """Return `<dag_id>/<run_id>`: the idempotency key of everything that this loop run writes."""
        return f"{context['ti'].dag_id}/{context['ti'].run_id}"

    def actor(self, context: Mapping[str, Any]) -> str:
        """Return who acts, as the audit trail names it: `airflow:<dag_id>/<run_id>`."""
        return f"airflow:{self.loop_run(context)}"

    def tell(
        self,
        spec: ModelSpec,
        event: str,
        context: Mapping[str, Any],
        reasons: Iterable[str],
        *,
        as_of: datetime | None = None,
    ) -> None:
        """Tell those of `spec.notifications` who asked for this event; that nobody could be told is only logged."""
        from airflow_mlops.notifications import loop_event, tell

        if not spec.notifications:
            return
        links = {
            "Answer here": form_url(context["ti"]) if event == "waiting_for_approval" else "",
            "Report": self.report_url,
            "Model version": self.version_url,
            "Model card": self.card_url,
            "MLflow run": self.run_url,
        }
        run = self.loop_run(context)
        told = loop_event(spec, event, reasons=reasons, links=links, as_of=as_of, version=self.version, run=run)
        tell(spec, told, context)

    def remember_links(self, records: MLflowStore, candidate: Candidate, report: str = "") -> None:
        """Keep the addresses that the task page links to."""
        self.run_url = records.run_url(candidate.run_id)
        if report:
            self.report_url = records.artifact_url(candidate.run_id, report)


def skip_retired(reason: str | None) -> None:
    """Skip the task, and so those after it, when there is a reason why the model is retired.

    Raises
    ------
    AirflowSkipException
        With the reason.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    if reason:
        raise AirflowSkipException(f"the model is retired, and is not trained any more: {reason}")


@contextmanager
def leaving_served(context: Mapping[str, Any]) -> Iterator[None]:
    """In a backfill, skip a run whose version has served, instead of failing: nobody asked for this one.

    A backfill sweeps over all slots of a span. Who clears a single run gets the refusal: they mean this one.

    Raises
    ------
    AirflowSkipException
        With the refusal's words.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    from airflow_mlops.core.errors import RecordError
    from airflow_mlops.spec.problems import ReasonCode

    run = context.get("dag_run")
    try:
        yield
    except RecordError as refusal:
        is_backfill = str(getattr(run.run_type, "value", run.run_type)) == "backfill" if run else False
        if not is_backfill or any(problem.code is not ReasonCode.VERSION_SERVED for problem in refusal.problems):
            raise
        raise AirflowSkipException(f"the run stays as it was: {refusal}") from refusal


def form_url(ti: Any) -> str:
    """Return the page on which a waiting task is answered; empty where this worker does not know Airflow's address."""
    from urllib.parse import quote

    from airflow.sdk.configuration import conf

    base = str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
    where = f"dags/{quote(ti.dag_id)}/runs/{quote(ti.run_id)}/tasks/{quote(ti.task_id)}/required_actions"
    return f"{base}/{where}" if base else ""
