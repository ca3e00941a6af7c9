"""Look at a window of rows through the champion's eyes: read, validate, profile, compare."""

from __future__ import annotations

from collections.abc import Iterator
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
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.validation import Expectation

if TYPE_CHECKING:
    import pyarrow as pa

_WHOLE_WINDOW = {"row_count", "freshness", "columns", "expect_table_row_count_to_be_between"}
"""Expectations about the size and age of a training window: a monitoring window is shorter by design."""
_NO_WINDOW = {ReasonCode.SOURCE_MISSING, ReasonCode.SOURCE_UNREADABLE, ReasonCode.QUERY_FAILED}


def observe(spec: ModelSpec, champion: Champion, reference: Profile, store: DataStore, as_of: datetime) -> DriftReport:
    """Compare the monitoring window before `as_of` with the champion's reference profile.

    Broken data is not drift: a window that lacks a column, has another type, or breaks an expectation of severity
    error gives the verdict ``invalid``, which never causes a retraining.

    Raises
    ------
    DataError
        If the source is missing or cannot be read at all: then there is no window to say anything about.
    StoreUnavailableError
        If the source does not answer.
    """
    window = monitoring_window(spec, as_of)
    try:
        current = profile_batches(reference, _validated(spec, champion, store, window), window)
    except DataError as error:
        if any(problem.code in _NO_WINDOW for problem in error.problems):
            raise
        return invalid_report(reference, window, error.problems, champion_version=champion.version, as_of=as_of)
    return compare(reference, current, spec.monitoring.drift, champion_version=champion.version, as_of=as_of)


def monitoring_window(spec: ModelSpec, as_of: datetime) -> Window:
    """Return the window that monitoring looks at: `monitoring.window` long, up to as-of."""
    return Window(start=as_of - spec.monitoring.window, end=as_of)


def _validated(spec: ModelSpec, champion: Champion, store: DataStore, window: Window) -> Iterator[pa.RecordBatch]:
    """Yield the window's rows; with expectations to check, all of them are held, for that needs the whole window."""
    import pyarrow as pa

    features = [feature.name for feature in champion.candidate.features]
    expectations = [expectation for expectation in spec.validation if _applies(expectation, spec.data.label)]
    if not expectations:
        yield from store.read(window, spec.data.time, features)
        return
    there = {column.name for column in store.schema()}
    named = (name for expectation in expectations for name in (*expectation.named, *spec.data.key))
    wanted = dict.fromkeys((*features, spec.data.time, *(name for name in named if name in there)))
    held = list(store.read(window, spec.data.time, list(wanted)))
    if held:
        enforce(validate(pa.Table.from_batches(held).to_pandas(), expectations, subject=spec.name))
    yield from held


def _applies(expectation: Expectation, label: str) -> bool:
    """Whether an expectation can be asked of a monitoring window: its labels may not be known yet."""
    return expectation.expect not in _WHOLE_WINDOW and label not in expectation.named
