"""Event times as the sources write them, as instants in UTC with microseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.data import Source
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_INT64 = 2**63 - 1
_DAY = len("2013-03-01")
_ZONE = r"\d(Z|z|[+-]\d{2}(:?\d{2})?)$"
_APART = timedelta(days=1)
"""No clock of the world is further from UTC."""
ALLOWED = "timestamps, dates, or ISO 8601 text such as 2013-03-01T05:00:00Z, all with or all without a zone"


@dataclass(frozen=True, kw_only=True)
class TimeRules:
    """How a source writes its event times, where the times themselves do not say it."""

    zone: str | None = None
    """Zone of times that carry none. Where its clock shows an hour twice, the later instant is meant: a row must not
    come before what was known then. What its clock never shows is the first instant after the gap. Both are counted."""
    unit: str | None = None
    """Unit of numbers since 1970."""
    format: str | None = None
    """As `strptime` takes it, of texts that are no ISO 8601."""

    @classmethod
    def of(cls, source: Source) -> TimeRules:
        """Return what a specification's source says."""
        return cls(zone=source.time_zone, unit=source.time_unit, format=getattr(source, "time_format", None))


AS_WRITTEN = TimeRules()
"""Nothing but the times themselves tells."""


def utc_microseconds() -> pa.DataType:
    """Return the type of every event-time column: ``timestamp[us, tz=UTC]``."""
    import pyarrow as pa

    return pa.timestamp("us", tz="UTC")


def micros(moment: datetime) -> int:
    """Microseconds since 1970 in UTC; exact, unlike ``datetime.timestamp``."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def bounds_in(
    type_: pa.DataType,
    window: Window,
    rules: TimeRules = AS_WRITTEN,
) -> tuple[pa.Scalar, pa.Scalar] | None:
    """Return the window's ends as values of a column's own type, so that a filter can use the file's statistics.

    Both ends are rounded up to the column's resolution: for whole t, ``start <= t < end`` is the same as
    ``ceil(start) <= t < ceil(end)``. Of times without a zone that are not in UTC, and of fractions, the ends are
    further apart than the window. None where the type has no order in time (text).
    """
    import pyarrow as pa
    import pyarrow.types as t

    naive = t.is_date32(type_) or (t.is_timestamp(type_) and type_.tz is None)
    apart = _APART if rules.zone is not None and naive else timedelta(0)

    def end_in(moment: datetime, further: timedelta) -> pa.Scalar:
        exact = micros(moment) + further // timedelta(microseconds=1)
        if t.is_date32(type_):
            return pa.scalar(-(-exact // (86_400 * 10**6)), type_)
        if not t.is_timestamp(type_):
            per = _PER_SECOND[str(rules.unit)]
            return pa.scalar(exact * per / 10**6 if t.is_floating(type_) else -(-exact * per // 10**6), _wide(type_))
        value = -(-exact * _PER_SECOND[type_.unit] // 10**6)
        return pa.scalar(min(max(value, -_INT64), _INT64), type_)

    is_number = rules.unit is not None and (t.is_integer(type_) or t.is_floating(type_))
    if not (t.is_timestamp(type_) or t.is_date32(type_) or is_number):
        return None
    if t.is_floating(type_):
        apart = timedelta(seconds=1)
    return end_in(window.start, -apart), end_in(window.end, apart)


def _wide(type_: pa.DataType) -> pa.DataType:
    import pyarrow as pa
    import pyarrow.types as t

    return pa.float64() if t.is_floating(type_) else pa.int64()


class TimeReader:
    """Converts one event-time column of one source, batch by batch.

    Times without a zone are read in the zone of the rules, else as UTC, and any zone or offset is converted. A column
    in which some texts carry a zone and others do not is refused, unless the rules have a zone for the others: what
    they mean is a guess.

    Parameters
    ----------
    column
        Its name.
    subject
        The source in words, for refusals.
    rules
        How the source writes its times.
    """

    def __init__(
        self,
        column: str,
        subject: str,
        rules: TimeRules = AS_WRITTEN,
    ) -> None:
        self.column = column
        self.subject = subject
        self.rules = rules
        self.doubtful: pa.Array | None = None
        """Of the last column that was converted: which times the zone's clock shows twice, or never."""
        self.is_assumed = False
        """Whether times of day without a zone were taken for UTC, because nothing says otherwise."""
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

        self.doubtful = None
        type_ = array.type
        if t.is_null(type_):
            return pa.nulls(len(array), utc_microseconds())
        if t.is_dictionary(type_):
            array, type_ = array.dictionary_decode(), type_.value_type
        if t.is_timestamp(type_):
            self.is_assumed |= type_.tz is None
            return _to_microseconds(array) if type_.tz else self._localised(array)
        if t.is_date(type_):
            return self._localised(array.cast(pa.timestamp("us")))
        is_text = t.is_string(type_) or t.is_large_string(type_) or t.is_string_view(type_)
        if self.rules.format is not None and (is_text or t.is_integer(type_)):
            return self._formatted(array.cast(pa.string()))
        if self.rules.unit is not None:
            return self._counted(array)
        if is_text:
            return self._parse(array)
        raise self.refuse(f"column '{self.column}' of type {type_}", time_advice(array))

    def _localised(self, naive: pa.Array) -> pa.Array:
        """Read times without a zone in the zone of the rules."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.rules.zone is None:
            return _to_microseconds(naive)
        self.is_assumed = False
        plain = _floored(naive).cast(pa.timestamp("us"), safe=False)
        late, early = (
            pc.assume_timezone(plain, self.rules.zone, ambiguous=which, nonexistent=which)
            for which in ("latest", "earliest")
        )
        self.doubtful = pc.fill_null(pc.not_equal(late, early), False)
        return late.cast(utc_microseconds())

    def _counted(self, array: pa.Array) -> pa.Array:
        """Read numbers since 1970."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.types as t

        unit = str(self.rules.unit)
        try:
            if not (t.is_integer(array.type) or t.is_floating(array.type)):
                texts = pc.utf8_trim_whitespace(array.cast(pa.string()))
                whole = pc.all(pc.match_substring_regex(texts, r"^[+-]?\d+$")).as_py() is not False
                array = texts.cast(pa.int64() if whole else pa.float64())
            if t.is_floating(array.type):
                array = pc.if_else(pc.is_nan(array), None, array)
                exact = pc.round(pc.multiply(array.cast(pa.float64()), 10**6 / _PER_SECOND[unit]))
                times = exact.cast(pa.int64()).cast(utc_microseconds())
            else:
                times = _to_microseconds(array.cast(pa.int64()).cast(pa.timestamp(unit, "UTC")))
            self._require_years(times, unit)
            return times
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise self.refuse(f"column '{self.column}' of values that are no numbers of '{unit}' since 1970") from error

    def _require_years(self, times: pa.Array, unit: str) -> None:
        """Refuse numbers that are no times of the calendar: read in a wrong unit, most likely."""
        import pyarrow as pa
        import pyarrow.compute as pc

        ends = pc.min_max(times.cast(pa.int64())).as_py()
        if ends["min"] is not None and not _YEARS[0] <= ends["min"] <= ends["max"] < _YEARS[1]:
            found = f"column '{self.column}' of numbers that are beyond the years 1 to 9999 as '{unit}' since 1970"
            raise self.refuse(found, "correct data.source.time_unit")

    def _formatted(self, texts: pa.Array) -> pa.Array:
        """Read texts by the format of the rules."""
        import pandas as pd
        import pyarrow as pa
        import pyarrow.compute as pc

        zoned, tz = "%z" in str(self.rules.format), "UTC" if "%z" in str(self.rules.format) else None
        plain = pc.utf8_trim_whitespace(texts)
        try:
            times = pd.to_datetime(plain.to_pandas(), format=self.rules.format, utc=zoned)
            read = pa.array(times, pa.timestamp("ns", tz), from_pandas=True)
        except pd.errors.OutOfBoundsDatetime:
            read = pa.array(self._formatted_far(plain.to_pylist()), pa.timestamp("us", tz))
        except (ValueError, TypeError) as error:
            raise self._not_of_format() from error
        return _to_microseconds(read) if zoned else self._localised(read)

    def _formatted_far(self, texts: Sequence[str | None]) -> list[datetime | None]:
        """Read texts of years that nanoseconds do not reach, such as the 31.12.9999 of what has no end."""
        try:
            return [None if text is None else datetime.strptime(text, str(self.rules.format)) for text in texts]  # noqa: DTZ007 - the format says
        except ValueError as error:
            raise self._not_of_format() from error

    def _not_of_format(self) -> DataError:
        found = f"column '{self.column}' with texts that are not of the time_format '{self.rules.format}'"
        return self.refuse(found, "correct data.source.time_format")

    def _parse(self, texts: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        texts = pc.utf8_trim_whitespace(texts)
        zoned = pc.match_substring_regex(pc.utf8_slice_codeunits(texts, 10), _ZONE)
        self._kinds.update(value for value in pc.unique(zoned).to_pylist() if value is not None)
        if len(self._kinds) == 1 or not self._kinds:
            return self._of_kind(texts, zoned=True in self._kinds)
        if self.rules.zone is None:
            raise self.refuse(
                f"column '{self.column}' with times that carry a zone and times that do not",
                "state data.source.time_zone for those that do not, or write all in one way",
            )
        without = self._of_kind(pc.if_else(zoned, None, texts), zoned=False)
        return pc.coalesce(self._of_kind(pc.if_else(zoned, texts, None), zoned=True), without)

    def _of_kind(self, texts: pa.Array, *, zoned: bool) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        tz = "UTC" if zoned else None
        try:
            read = texts.cast(pa.timestamp("us", tz=tz))
        except pa.ArrowInvalid:  # More than six decimals, or no time at all: the finer cast tells.
            try:
                read = texts.cast(pa.timestamp("ns", tz=tz))
            except pa.ArrowInvalid as error:
                raise self._not_all_times(texts, tz) from error
        if not zoned and not self.is_assumed:
            self.is_assumed = pc.any(pc.greater(pc.utf8_length(texts), _DAY)).as_py() is True
        return _to_microseconds(read) if zoned else self._localised(read)

    def _not_all_times(self, texts: pa.Array, tz: str | None) -> DataError:
        """Return the refusal of texts: another way of writing times, or a few that are none among many that are."""
        import pyarrow as pa

        looked_at = texts.drop_null()[:_LOOKED_AT]
        wrong = sum(not _is_time(text, pa.timestamp("ns", tz=tz)) for text in looked_at)
        found = f"column '{self.column}' of text that is not all times"
        if not 0 < wrong < len(looked_at) / 2:
            return self.refuse(found, time_advice(texts))
        fix = "mend them at the source, or write them empty: rows without a time are left out and counted"
        return self.refuse(f"{found}: {wrong:,} of {len(looked_at):,} that were looked at are none", fix)

    def refuse(self, found: str, fix: str = "") -> DataError:
        """Return the error for a column that is no event time."""
        return DataError(
            Problem(
                code=ReasonCode.TIME_INVALID,
                field="data.time",
                found=found,
                allowed=ALLOWED,
                fix=fix or "name another column as data.time, or write its times in one of these forms",
            ),
            subject=self.subject,
        )


_LOOKED_AT = 10_000
"""Texts that are tried one by one, to say how many of them are no times."""


def _is_time(text: pa.Scalar, type_: pa.DataType) -> bool:
    import pyarrow as pa

    try:
        text.cast(type_)
    except pa.ArrowInvalid:
        return False
    return True


_SINCE_1970 = ((10**17, "ns"), (10**14, "us"), (10**11, "ms"), (10**8, "s"))
"""Smallest number of a unit that is a time after 1973: the numbers of two units do not meet before 5138."""
_YEARS = (-62_135_596_800_000_000, 253_402_300_800_000_000)
"""The first microsecond of the year 1, and the first of the year 10000, since 1970."""
_FIRST_DAY, _LAST_DAY = 19_000_101, 21_001_231
_CLOCK = 1_000_000
"""Hours, minutes and seconds behind a date: as milliseconds since 1970 such a number is a year after 2570."""


def time_advice(array: pa.Array) -> str:
    """Say what a column that cannot be read as times looks like; nothing, if it looks like nothing known."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        numbers = array.drop_null().cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return "state data.source.time_format, such as %d.%m.%Y %H:%M, or name another column as data.time"
    ends = pc.min_max(numbers).as_py()
    low, high = ends["min"], ends["max"]
    if low is None:
        return ""
    if _FIRST_DAY <= low <= high <= _LAST_DAY:
        return "if they are dates such as 20130301, state data.source.time_format: '%Y%m%d'"
    if _FIRST_DAY * _CLOCK <= low <= high < (_LAST_DAY + 1) * _CLOCK:
        return "if they are times such as 20130301123000, state data.source.time_format: '%Y%m%d%H%M%S'"
    unit = next((unit for least, unit in _SINCE_1970 if low >= least), "")
    return f"if they are numbers since 1970, state data.source.time_unit: {unit}" if unit else ""


def _floored(array: pa.Array) -> pa.Array:
    """Round finer times than microseconds down."""
    import pyarrow.compute as pc

    # A cast alone would round times before 1970 up, perhaps out of their window.
    return pc.floor_temporal(array, unit="microsecond") if array.type.unit == "ns" else array


def _to_microseconds(array: pa.Array) -> Any:
    return _floored(array).cast(utc_microseconds(), safe=False)


def inside(times: pa.Array, window: Window) -> pa.Array:
    """Return which times lie in the window; nulls do not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    start, end = (pa.scalar(micros(moment), utc_microseconds()) for moment in (window.start, window.end))
    return pc.fill_null(pc.and_(pc.greater_equal(times, start), pc.less(times, end)), False)


def said_of_times(reader: TimeReader, doubtful: int) -> tuple[Problem, ...]:
    """Return what a manifest says of how times were read.

    Parameters
    ----------
    doubtful
        Rows whose time is two instants, or none, in the zone of the rules.
    """
    zone = reader.rules.zone
    if reader.is_assumed:
        return (
            Problem(
                code=ReasonCode.TIME_INVALID,
                field="data.time",
                found=f"times without a zone in '{reader.column}'",
                allowed="times with a zone or offset, or a stated zone",
                fix="they are read as UTC; state data.source.time_zone: their zone, or UTC if they are in it",
            ),
        )
    if not doubtful:
        return ()
    return (
        Problem(
            code=ReasonCode.TIME_INVALID,
            field="data.time",
            found=f"{doubtful} rows with a time that the clock of {zone} shows twice, or never",
            allowed="times that are one instant",
            fix="they are read as the later instant, or as the first after the gap; write times with their offset",
        ),
    )
