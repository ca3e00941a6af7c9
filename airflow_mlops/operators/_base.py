"""What every stage's adapter shares: the specification, the stores, and what a refusal means to Airflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import Refusal

if TYPE_CHECKING:
    from airflow_mlops.core.data import Storage
    from airflow_mlops.core.model import Candidate
    from airflow_mlops.stores.mlflow_store import MLflowStore


@contextmanager
def consequences() -> Iterator[None]:
    """Turn a refusal into a task failure that is not retried; a store that is away is retried.

    Trying again cannot mend data, a specification or a decision, and would only hide the sentence that says what
    is wrong below three copies of it.
    """
    from airflow.sdk.exceptions import AirflowFailException

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

    def __init__(self, *, spec: ModelSpec | str | Path | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.run_url = self.report_url = self.version_url = ""

    def execute(self, context: Any) -> dict[str, Any] | None:
        """Run the stage; return its report as plain JSON."""
        with consequences():
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
    from airflow_mlops.stores.storage import open_storage

    return open_storage(settings().storage)


@contextmanager
def open_records(spec: ModelSpec | None) -> Iterator[MLflowStore]:
    """Open the system of record through the specification's connection."""
    from airflow_mlops.hooks.mlflow import MLflowHook

    hook = MLflowHook(spec.tracking.conn_id) if spec else MLflowHook()
    with hook.records() as records:
        yield records
