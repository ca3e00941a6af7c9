"""Which event times a loop run may learn from, and how they are split."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray


HELD_OUT = 1 / 3
"""Of the span since a change, so much is judged on: what is learned from must be the larger part."""


def label_window(spec: ModelSpec, as_of: datetime) -> Window:
    """Event times of a training window as of `as_of`: only rows whose label is mature.

    A label is mature when ``event time + label delay <= as_of``. Windows are half-open, so the end lies one
    microsecond (the resolution of event times) after the last mature instant; without a label delay it is `as_of`
    itself, because nothing that happens at as-of is known yet.

    Raises
    ------
    DataError
        If `as_of` has no time zone.

    Examples
    --------
    >>> spec = ModelSpec.model_validate({
    ...     "name": "m", "owner": "o", "training": {"estimator": "sklearn.dummy.DummyClassifier"},
    ...     "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y",
    ...              "label_delay": "1d", "window": "60d"}})
    >>> print(label_window(spec, datetime(2013, 3, 2, tzinfo=UTC)))
    [2013-01-01T00:00:00+00:00, 2013-03-01T00:00:00.000001+00:00)
    """
    now = utc(as_of, "as-of")
    delay = spec.data.label_delay
    end = now - delay + timedelta(microseconds=1) if delay else now
    return Window(start=now - spec.data.window, end=end)


def split(spec: ModelSpec, as_of: datetime, changed: datetime | None = None) -> tuple[Window, Window]:
    """Return the training window's two parts: older to train on, newer to judge on, and a label delay between them.

    The holdout is the last ``gate.holdout`` of :func:`label_window`. The training part ends ``data.label_delay``
    before the holdout begins. Whoever trains at the instant that the holdout begins, to serve its rows, knows no
    younger label; a model judged with younger ones is judged on knowledge that it will never have when it serves.

    Parameters
    ----------
    changed
        Since when what was learned is known not to hold. What came before it says nothing of a model that has learned
        what came after: the holdout is then at most the newest `HELD_OUT` of the span since.

    Notes
    -----
    Purging and embargo: M. Lopez de Prado, Advances in Financial Machine Learning (Wiley 2018), section 7.4. Purging
    leaves out training rows whose label was not yet known when the tested rows began. His embargo is for training
    rows after the tested ones; here there are none.

    Examples
    --------
    >>> spec = ModelSpec.model_validate({
    ...     "name": "m", "owner": "o", "training": {"estimator": "sklearn.dummy.DummyClassifier"},
    ...     "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y",
    ...              "label_delay": "1d", "window": "60d"}, "gate": {"holdout": "14d"}})
    >>> train, holdout = split(spec, datetime(2013, 3, 2, tzinfo=UTC))
    >>> holdout.start - train.end == spec.data.label_delay, (holdout.end - holdout.start).days
    (True, 14)
    """
    whole = label_window(spec, as_of)
    held = spec.gate.holdout
    if changed is not None and whole.start < changed < whole.end:
        held = min(held, HELD_OUT * (whole.end - changed))
    cut = whole.end - held
    return Window(start=whole.start, end=cut - spec.data.label_delay), Window(start=cut, end=whole.end)


def utc(moment: datetime, name: str) -> datetime:
    """Return the same instant in UTC.

    Raises
    ------
    DataError
        If `moment` has no time zone: which instant it means would depend on the machine.
    """
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise DataError(
            Problem(
                code=ReasonCode.TIME_INVALID,
                field=name,
                found=f"{moment.isoformat()} without a time zone",
                allowed="a time with a time zone",
                fix=f"write it with its zone, such as {moment.isoformat()}+00:00",
            )
        )
    return moment.astimezone(UTC)


def rows_within(frame: pd.DataFrame, time: str, window: Window) -> pd.DataFrame:
    """Rows whose event time is in the window, sorted by it (stable)."""
    rows = frame[(frame[time] >= window.start) & (frame[time] < window.end)]
    return rows.sort_values(time, kind="stable")


def within_any(times: pa.Array, windows: Sequence[Window]) -> NDArray[np.bool_]:
    """Return which event times lie in any of the windows, shape (rows,); a missing time lies in none."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found = np.zeros(len(times), dtype=bool)
    for window in windows:
        start, end = (pa.scalar(moment, times.type) for moment in (window.start, window.end))
        inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
        found |= pc.fill_null(inside, False).to_numpy(zero_copy_only=False)
    return found


def rows_outside(batch: pa.RecordBatch, time: str, windows: Sequence[Window]) -> pa.RecordBatch:
    """Return the rows whose event time lies in none of the windows."""
    import pyarrow as pa

    return batch.filter(pa.array(~within_any(batch.column(time), windows))) if windows else batch
