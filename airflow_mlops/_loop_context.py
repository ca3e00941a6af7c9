"""What operators and sensors share: a run's specification and time, the stores, and what a refusal means to Airflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.redaction.raised import logging_no_secrets, raising_no_secrets
from airflow_mlops.spec import ModelSpec

if TYPE_CHECKING:
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.core.records.people import Person
    from airflow_mlops.stores.mlflow.store import MLflowStore


@contextmanager
def consequences() -> Iterator[None]:
    """Turn a refusal into a task failure that is not retried; a store that is away is retried.

    Trying again cannot mend data, a specification or a decision, and would only hide the sentence that says what
    is wrong below three copies of it. Nor does it help with a store that answers, but wants another password.

    Whatever is raised or logged within has lost its secrets when it reaches Airflow, which logs the whole chain.
    """
    from airflow.sdk.exceptions import AirflowFailException

    from airflow_mlops.spec.problems import Refusal

    with logging_no_secrets(), raising_no_secrets():
        try:
            yield
        except ConnectionError as away:
            if getattr(away, "lasting", False):
                raise AirflowFailException(str(away)) from away
            raise
        except Refusal as refusal:
            raise AirflowFailException(str(refusal)) from refusal


class LoopContext:
    """Of an operator or a sensor with a specification: what its run's context makes of it, and its stores."""

    spec: ModelSpec | str | Path | None

    def model_spec(self, context: Mapping[str, Any]) -> ModelSpec:
        """Return the specification with the run's overrides (the trigger form's `overrides`) applied."""
        return effective_spec(self.spec, context)

    def own_spec(self) -> ModelSpec:
        """Return the specification as its file has it, without the run's overrides."""
        return effective_spec(self.spec, {})

    def as_of(self, context: Mapping[str, Any]) -> datetime:
        """Return the run's as-of time."""
        from airflow_mlops.asof import resolve_as_of

        return resolve_as_of(context)

    def storage(self) -> Storage:
        """Open the storage of `[mlops] storage`."""
        from airflow_mlops.config import open_configured_storage

        return open_configured_storage()

    def people(self, context: Mapping[str, Any]) -> tuple[Person, ...]:
        """Return who stands behind the run, as far as Airflow tells."""
        from airflow_mlops.provenance import people_behind

        return people_behind(context)

    def records(self, spec: ModelSpec | None) -> Any:
        """Open the system of record, as a context manager over an :class:`MLflowStore`."""
        return open_records(spec)


def effective_spec(spec: ModelSpec | str | Path | None, context: Mapping[str, Any]) -> ModelSpec:
    """Return the specification, read if it is a path, with the run's overrides applied."""
    from airflow_mlops.spec import apply_overrides, load_spec

    if spec is None:
        raise ValueError("this task needs spec=, a ModelSpec or the path of its YAML file")
    model = spec if isinstance(spec, ModelSpec) else load_spec(Path(spec))
    overrides = (context.get("params") or {}).get("overrides")
    return apply_overrides(model, overrides) if overrides else model


@contextmanager
def open_records(spec: ModelSpec | None) -> Iterator[MLflowStore]:
    """Open the system of record through the specification's connection."""
    from airflow_mlops.hooks.mlflow import MLflowHook

    hook = MLflowHook(spec.tracking.conn_id) if spec else MLflowHook()
    with hook.records(spec) as records:
        yield records
