"""What every stage's adapter shares: the specification, the stores, and what a refusal means to Airflow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_mlops.spec import ModelSpec

if TYPE_CHECKING:
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.stores.mlflow.store import MLflowStore


@contextmanager
def consequences() -> Iterator[None]:
    """Turn a refusal into a task failure that is not retried; a store that is away is retried.

    Trying again cannot mend data, a specification or a decision, and would only hide the sentence that says what
    is wrong below three copies of it.
    """
    from airflow.sdk.exceptions import AirflowFailException

    from airflow_mlops.spec.problems import Refusal

    try:
        yield
    except ConnectionError:
        raise
    except Refusal as refusal:
        raise AirflowFailException(str(refusal)) from refusal


class LoopOperator(BaseOperator):
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
                skip_retired(self.model_spec(context).retired)
            return self.run_stage(context)

    def run_stage(self, context: Any) -> dict[str, Any] | None:
        """Do the stage's work: each operator's own."""
        raise TypeError(f"{type(self).__name__} must define run_stage, to be called with {sorted(context)}")

    def model_spec(self, context: Mapping[str, Any]) -> ModelSpec:
        """Return the specification with the run's overrides (the trigger form's `overrides`) applied."""
        return effective_spec(self.spec, context)

    def as_of(self, context: Mapping[str, Any]) -> datetime:
        """Return the run's as-of time."""
        from airflow_mlops.asof import resolve_as_of

        return resolve_as_of(context)

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

    def storage(self) -> Storage:
        """Open the storage of `[mlops] storage`."""
        return open_default_storage()

    def records(self, spec: ModelSpec | None) -> Any:
        """Open the system of record, as a context manager over an :class:`MLflowStore`."""
        return open_records(spec)

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


def form_url(ti: Any) -> str:
    """Return the page on which a waiting task is answered; empty where this worker does not know Airflow's address."""
    from urllib.parse import quote

    from airflow.sdk.configuration import conf

    base = str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
    where = f"dags/{quote(ti.dag_id)}/runs/{quote(ti.run_id)}/tasks/{quote(ti.task_id)}/required_actions"
    return f"{base}/{where}" if base else ""


def effective_spec(spec: ModelSpec | str | Path | None, context: Mapping[str, Any]) -> ModelSpec:
    """Return the specification, read if it is a path, with the run's overrides applied."""
    from airflow_mlops.spec import apply_overrides, load_spec

    if spec is None:
        raise ValueError("this task needs spec=, a ModelSpec or the path of its YAML file")
    model = spec if isinstance(spec, ModelSpec) else load_spec(Path(spec))
    overrides = (context.get("params") or {}).get("overrides")
    return apply_overrides(model, overrides) if overrides else model


def open_default_storage() -> Storage:
    """Open the storage of `[mlops] storage`."""
    from airflow_mlops.config import settings
    from airflow_mlops.stores.storage.storage import open_storage

    return open_storage(settings().storage)


@contextmanager
def open_records(spec: ModelSpec | None) -> Iterator[MLflowStore]:
    """Open the system of record through the specification's connection."""
    from airflow_mlops.hooks.mlflow import MLflowHook

    hook = MLflowHook(spec.tracking.conn_id) if spec else MLflowHook()
    with hook.records() as records:
        yield records
