"""What files of every format are held to: how much a batch may take, and times that a calendar has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

SHARE = 8
"""Part of the memory, one in so many, that a batch may take: rows are copied on their way to a frame."""


def check_times(batch: pa.RecordBatch, path: str) -> None:
    """Refuse dates and times that no library after this one can say: they would be other ones there, or none.

    Raises
    ------
    DataError
        Naming file and column.
    """
    import pyarrow.types as t

    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if t.is_date(array.type) or t.is_timestamp(array.type):
            _check_years(name, array, path)
        elif t.is_time(array.type):
            _check_day(name, array, path)


def _check_years(name: str, array: Any, path: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if t.is_date32(array.type):
        values, per_day = array.cast(pa.int32()), 1
    else:
        unit = "ms" if t.is_date64(array.type) else array.type.unit
        values, per_day = array.cast(pa.int64()), 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    ends = pc.min_max(values).as_py()
    if ends["min"] is None:
        return
    first, last = _FIRST_DAY * per_day, (_LAST_DAY + 1) * per_day
    if ends["min"] < first or ends["max"] >= last:
        kind = "a date" if t.is_date(array.type) else "a time"
        raise refused(path, name, f"{kind} outside of the years 1 to 9999", "dates of a calendar", code="time_invalid")


def _check_day(name: str, array: Any, path: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    numbers = array.cast(pa.int32() if t.is_time32(array.type) else pa.int64())
    ends = pc.min_max(numbers).as_py()
    day = 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[array.type.unit]
    if ends["min"] is not None and not (ends["min"] >= 0 and ends["max"] < day):
        raise refused(path, name, "a time of day outside of the day", "times of a clock", code="time_invalid")


_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, in days since 1970-01-01."""


def refused(path: str, name: str, found: str, allowed: str, *, code: str = "source_unreadable") -> DataError:
    """Return the refusal of what a file says about itself, or of a value that it holds."""
    return DataError(
        Problem(
            code=ReasonCode(code),
            field=f"column {name}" if name else "data.source.path",
            found=f"{found}, in {path}",
            allowed=allowed,
            fix="write the file again, with ordinary pages and values, or leave the column out of it",
        )
    )
