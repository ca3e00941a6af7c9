"""The window's exact ends as SQL, where `read` leaves them to Python: SQLite's texts of times, and queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.event_times import AS_WRITTEN
from airflow_mlops.stores.sql.query import column_ends, iso
from airflow_mlops.stores.sql.relation import Relation, column

_SECONDS, _DAY = 19, 10
"""Letters of ``2024-03-01 05:00:00`` and of ``2024-03-01``."""


@dataclass(frozen=True, kw_only=True)
class Bounded:
    """A condition that the rows of a window fulfil, and beside them rows with times that SQL does not read."""

    where: Any
    unread: Any = None
    """A time that SQL does not read."""
    zoned: Any = None
    """A time with a zone. Where some times have one and others have not, what the others mean is a guess."""


def bounded(relation: Relation, window: Window, time: str) -> Bounded | None:
    """Return the window's condition; None when the database cannot tell which rows are in the window."""
    if relation.rules != AS_WRITTEN:
        return None
    if relation.dialect == "sqlite":
        return _sqlite(window, column(time))
    if not relation.is_query:
        return Bounded(where=None)
    ends = column_ends(window, relation.types[time])
    return None if ends is None else Bounded(where=(column(time) >= ends[0]) & (column(time) < ends[1]))


def _sqlite(window: Window, at: Any) -> Bounded | None:
    """Compare ISO texts without a zone, or in UTC, letter by letter, up to the last part of an end that is not 0.

    With as many letters all ISO forms compare rightly: ``2024-03-01T05:00:00.5Z`` is not before ``2024-03-01T05``.
    None for ends with fractions of a second, which would compare with zones.
    """
    import sqlalchemy as sa

    f = sa.func
    if window.start.microsecond or window.end.microsecond:
        return None
    start, end = (
        iso(moment).removesuffix(":00").removesuffix(":00").removesuffix(" 00") for moment in (window.start, window.end)
    )
    inside = (at >= start) & (at < end)
    if len(start) > _DAY or len(end) > _DAY:
        lettered = (at >= start.replace(" ", "T")) & (at < end.replace(" ", "T"))
        inside = sa.case((f.substr(at, _DAY + 1, 1) == "T", lettered), else_=inside)
    second, rest = f.substr(at, 1, _SECONDS), f.substr(at, _SECONDS + 1)
    decimals = f.replace(f.replace(f.substr(at, _SECONDS + 2), "Z", ""), "+00:00", "")
    fraction = (f.substr(rest, 1, 1) == ".") & f.length(decimals).between(1, 9)
    readable = (f.typeof(at) == "text") & sa.case(
        (f.length(at) == _DAY, f.date(at) == at),
        else_=(f.strftime("%Y-%m-%d %H:%M:%S", second) == f.replace(second, "T", " "))
        & (rest.in_(["", "Z", "+00:00"]) | (fraction & decimals.op("NOT GLOB")("*[^0-9]*"))),
    )
    unread = at.is_not(None) & ~f.coalesce(readable, False)
    zoned = (f.substr(at, -1) == "Z") | (f.substr(at, -6) == "+00:00")
    return Bounded(where=inside | unread, unread=unread, zoned=zoned)
