"""Look at a window of rows through the champion's eyes: read, validate, profile, compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_mlops.core.data import DataStore, Window
from airflow_mlops.core.drift import compare, invalid_report
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.model import Champion
from airflow_mlops.core.monitor import DriftReport, Profile
from airflow_mlops.core.profile import profile_batches
from airflow_mlops.core.validation import enforce, validate
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.validation import Expectation

if TYPE_CHECKING:
    import pyarrow as pa

_WHOLE_WINDOW = {"row_count", "freshness", "columns", "expect_table_row_count_to_be_between"}
"""Expectations about the size and age of a training window: a monitoring window is shorter by design."""


def observe(spec: ModelSpec, champion: Champion, reference: Profile, store: DataStore, as_of: datetime) -> DriftReport:
    """Compare the monitoring window before `as_of` with the champion's reference profile.

    Broken data is not drift: a window that lacks a column, has another type, or breaks an expectation of severity
    error gives the verdict ``invalid``, which never causes a retraining.

    Raises
    ------
    StoreUnavailableError
        If the source does not answer.
    """
    window = monitoring_window(spec, as_of)
    try:
        batches = list(_batches(spec, champion, store, window))
        _validated(spec, batches, {f.name for f in champion.candidate.features})
        current = profile_batches(reference, iter(batches), window)
    except DataError as error:
        return invalid_report(reference, window, error.problems, champion_version=champion.version, as_of=as_of)
    return compare(reference, current, spec.monitoring.drift, champion_version=champion.version, as_of=as_of)


def monitoring_window(spec: ModelSpec, as_of: datetime) -> Window:
    """Return the window that monitoring looks at: `monitoring.window` long, up to as-of."""
    return Window(start=as_of - spec.monitoring.window, end=as_of)


def _batches(spec: ModelSpec, champion: Champion, store: DataStore, window: Window) -> Iterator[pa.RecordBatch]:
    features = [feature.name for feature in champion.candidate.features]
    return store.read(window, spec.data.time, features)


def _validated(spec: ModelSpec, batches: Sequence[pa.RecordBatch], present: set[str]) -> None:
    """Raise DataError when the rows break an expectation about the columns that are here."""
    import pyarrow as pa

    expectations = [e for e in spec.validation if _applies(e, present)]
    if not expectations or not batches:
        return
    frame = pa.Table.from_batches(batches).to_pandas()
    enforce(validate(frame, expectations, subject=spec.name))


def _applies(expectation: Expectation, present: set[str]) -> bool:
    named = set(expectation.targets) | {
        str(value) for key, value in expectation.arguments.items() if key in {"left", "right", "column_A", "column_B"}
    }
    return expectation.expect not in _WHOLE_WINDOW and bool(named) and named <= present
