"""Event times as the sources write them, as instants in UTC with microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_INT64 = 2**63 - 1
_ZONE = r"\d(Z|z|[+-]\d{2}(:?\d{2})?)$"
ALLOWED = "timestamps, dates, or ISO 8601 text such as 2013-03-01T05:00:00Z, all with or all without a zone"


def utc_microseconds() -> pa.DataType:
    """Return the type of every event-time column: ``timestamp[us, tz=UTC]``."""
    import pyarrow as pa

    return pa.timestamp("us", tz="UTC")


def micros(moment: datetime) -> int:
    """Microseconds since 1970 in UTC; exact, unlike ``datetime.timestamp``."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def bounds_in(type_: pa.DataType, window: Window) -> tuple[pa.Scalar, pa.Scalar] | None:
    """Return the window's ends as values of a column's own type, so that a filter can use the file's statistics.

    Both ends are rounded up to the column's resolution: for whole t, ``start <= t < end`` is the same as
    ``ceil(start) <= t < ceil(end)``. None where the type has no order in time (text).
    """
    import pyarrow as pa
    import pyarrow.types as t

    def end_in(moment: datetime) -> pa.Scalar:
        exact = micros(moment)
        if t.is_date32(type_):
            return pa.scalar(-(-exact // (86_400 * 10**6)), type_)
        value = -(-exact * _PER_SECOND[type_.unit] // 10**6)
        return pa.scalar(min(max(value, -_INT64), _INT64), type_)

    if not (t.is_timestamp(type_) or t.is_date32(type_)):
        return None
    return end_in(window.start), end_in(window.end)


class TimeReader:
    """Converts one event-time column of one source, batch by batch.

    Times without a zone are read as UTC, and any zone or offset is converted. A column in which some texts carry a
    zone and others do not is refused: what the others mean is a guess.
    """

    def __init__(self, column: str, subject: str) -> None:
        self.column = column
        self.subject = subject
        self._kinds: set[bool] = set()

    def convert(self, array: pa.Array) -> pa.Array:
        """Return the times as ``timestamp[us, tz=UTC]``; finer times are rounded down.

        Raises
        ------
        DataError
            If the column holds no times, or mixes times with and without a zone.
        """
        import pyarrow as pa
        import pyarrow.types as t

        type_ = array.type
        if t.is_null(type_):
            return pa.nulls(len(array), utc_microseconds())
        if t.is_dictionary(type_):
            array, type_ = array.dictionary_decode(), type_.value_type
        if t.is_timestamp(type_):
            return _to_microseconds(array)
        if t.is_date(type_):
            return array.cast(pa.timestamp("us")).cast(utc_microseconds())
        if t.is_string(type_) or t.is_large_string(type_):
            return self._parse(array)
        raise self.refuse(f"column '{self.column}' of type {type_}")

    def _parse(self, texts: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = pc.utf8_trim_whitespace(texts)
        zoned = pc.match_substring_regex(pc.utf8_slice_codeunits(texts, 10), _ZONE)
        self._kinds.update(value for value in pc.unique(zoned).to_pylist() if value is not None)
        if len(self._kinds) == 2:  # noqa: PLR2004 -- with a zone and without
            raise self.refuse(f"column '{self.column}' with times that carry a zone and times that do not")
        tz = "UTC" if True in self._kinds else None
        try:
            return texts.cast(pa.timestamp("us", tz=tz)).cast(utc_microseconds())
        except pa.ArrowInvalid:
            pass  # More than six decimals, or no time at all: the finer cast tells.
        try:
            return _to_microseconds(texts.cast(pa.timestamp("ns", tz=tz)))
        except pa.ArrowInvalid as error:
            raise self.refuse(f"column '{self.column}' of text that is not all times") from error

    def refuse(self, found: str) -> DataError:
        """Return the error for a column that is no event time."""
        return DataError(
            Problem(
                code=ReasonCode.TIME_INVALID,
                field="data.time",
                found=found,
                allowed=ALLOWED,
                fix="name another column as data.time, or write its times in one of these forms",
            ),
            subject=self.subject,
        )


def _to_microseconds(array: pa.Array) -> Any:
    import pyarrow.compute as pc

    if array.type.unit == "ns":
        # A cast alone would round times before 1970 up, perhaps out of their window.
        array = pc.floor_temporal(array, unit="microsecond")
    return array.cast(utc_microseconds(), safe=False)


def inside(times: pa.Array, window: Window) -> pa.Array:
    """Return which times lie in the window; nulls do not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    start, end = (pa.scalar(micros(moment), utc_microseconds()) for moment in (window.start, window.end))
    return pc.fill_null(pc.and_(pc.greater_equal(times, start), pc.less(times, end)), False)
