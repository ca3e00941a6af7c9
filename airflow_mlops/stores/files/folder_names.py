"""What the names of folders and files say of the rows in them: Hive partitions, and dates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote

_NULLS = {"__HIVE_DEFAULT_PARTITION__", ""}
_DAY = r"(?<!\d)(\d{4})[-_.]?(\d{2})[-_.]?(\d{2})(?!\d)"
_MONTH = r"(?<!\d)(\d{4})[-_.](\d{2})(?![-_.]?\d)"
_PARTS = {"year": 1, "month": 2, "day": 3, "y": 1, "m": 2, "d": 3, "yyyy": 1, "mm": 2, "dd": 3}
_OLDEST, _NEWEST = 1900, 2200


@dataclass(frozen=True, kw_only=True)
class NamedDates:
    """The days that a file is named after, by its own name or those of its folders; both in UTC, the end is out."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """A day, a month or a year."""
        return self.end - self.start


def partition_of(relative: str) -> Mapping[str, str | None]:
    """Return the columns that the folders of a file are: Hive's ``key=value``, with its mark of a missing value.

    >>> dict(partition_of("city=New%20York/day=__HIVE_DEFAULT_PARTITION__/part-0.parquet"))
    {'city': 'New York', 'day': None}
    """
    pairs = (folder.partition("=") for folder in relative.split("/")[:-1])
    return {unquote(key): None if value in _NULLS else unquote(value) for key, mark, value in pairs if mark and key}


def dates_in(relative: str) -> NamedDates | None:
    """Return the days that the names of a file and its folders say; None where they say none, or several.

    >>> print(dates_in("day=2026-02-01/part-0.parquet").start.date(), dates_in("orders_2026-02.csv").end.date())
    2026-02-01 2026-03-01
    >>> dates_in("year=2026/month=2/part-20260301.parquet").length.days, dates_in("part-0001.parquet")
    (28, None)
    """
    keyed = _by_keys(partition_of(relative))
    if keyed is not None:
        return keyed
    for name in reversed(relative.split("/")):
        days = {found for match in re.finditer(_DAY, name) if (found := _span(*map(int, match.groups())))}
        months = {found for match in re.finditer(_MONTH, name) if (found := _span(*map(int, match.groups())))}
        if days or months:
            spans = days or months
            return spans.pop() if len(spans) == 1 else None
    return None


def _by_keys(partition: Mapping[str, str | None]) -> NamedDates | None:
    """Read ``year=2026/month=02/day=01``."""
    numbers = {
        _PARTS[key.lower()]: int(value)
        for key, value in partition.items()
        if key.lower() in _PARTS and value is not None and value.isascii() and value.isdigit()
    }
    places = [numbers[place] for place in (1, 2, 3) if all(before in numbers for before in range(1, place + 1))]
    return _span(*places) if places else None


def _span(year: int, month: int = 0, day: int = 0) -> NamedDates | None:
    if not _OLDEST <= year <= _NEWEST:
        return None
    try:
        start = date(year, month or 1, day or 1)
    except ValueError:
        return None
    if day:
        end = start + timedelta(days=1)
    elif month:
        end = date(year + month // 12, month % 12 + 1, 1)
    else:
        end = date(year + 1, 1, 1)
    midnight = [datetime(one.year, one.month, one.day, tzinfo=UTC) for one in (start, end)]
    return NamedDates(start=midnight[0], end=midnight[1])
