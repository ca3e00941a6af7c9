"""What of a query's text is checked before it runs, and the SQL that is put around it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

BINDS = ("window_start", "window_end")
_SILENT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_BIND = re.compile(r"(?<![:\w\\]):([A-Za-z_]\w*)(?!:)")


def checked_query(text: str) -> str:
    """Return a query without its closing semicolon, if it is bounded by exactly the window's two parameters.

    Raises
    ------
    DataError
        If it does not use both, outside of comments and quotes, or uses another one: a read without bounds would take
        rows from after the as-of time.

    Examples
    --------
    >>> checked_query("SELECT * FROM flights WHERE dep >= :window_start AND dep < :window_end;")
    'SELECT * FROM flights WHERE dep >= :window_start AND dep < :window_end'
    """
    used = set(_BIND.findall(_SILENT.sub(" ", text)))
    missing = [f":{name}" for name in BINDS if name not in used]
    other = [f":{name}" for name in sorted(used - set(BINDS))]
    found = [f"a query without {' and '.join(missing)}"] * bool(missing)
    found += [f"a query with {', '.join(other)}"] * bool(other)
    if found:
        raise DataError(
            Problem(
                code=ReasonCode.QUERY_FAILED,
                field="data.source.query",
                found=one,
                allowed="the parameters :window_start and :window_end, both, and no other",
                fix="bound the event time: WHERE t >= :window_start AND t < :window_end",
            )
            for one in found
        )
    return text.strip().rstrip(";").rstrip()


def around(query: str, columns: Iterable[str], where: str = "", order: Iterable[str] = ()) -> str:
    """Return SQL that takes columns of a query's rows; all names are quoted already."""
    by = ", ".join(order)
    # The query ends on its own line, because it may end in a comment. Names come quoted by SQLAlchemy's dialect.
    return (
        f"SELECT {', '.join(columns)} FROM (\n{query}\n) AS source_rows"  # noqa: S608
        + (f" WHERE {where}" if where else "")
        + (f" ORDER BY {by}" if by else "")
    )


def iso(moment: datetime) -> str:
    """Return the text that compares rightly with SQLite's texts of times, written with or without a fraction.

    Text compares letter by letter and the shorter one is the smaller, so ``05:00:00`` is below ``05:00:00.000000``:
    a fraction is written only where there is one.
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def day_prefixes(window: Window) -> tuple[str, str]:
    """Return days that enclose the window whatever offset its texts carry, as prefixes of any ISO 8601 text."""
    start, end = (moment.astimezone(UTC).date() for moment in (window.start, window.end))
    return (start - timedelta(days=1)).isoformat(), (end + timedelta(days=2)).isoformat()


def column_ends(window: Window, type_: pa.DataType | None) -> tuple[Any, Any] | None:
    """Return the window's ends as values that compare with a column of times or dates; None for other columns."""
    import pyarrow.types as t

    start, end = window.start.astimezone(UTC), window.end.astimezone(UTC)
    if type_ is not None and t.is_date(type_):
        return _first_day(start), _first_day(end)
    if type_ is not None and t.is_timestamp(type_):
        return (start, end) if type_.tz else (start.replace(tzinfo=None), end.replace(tzinfo=None))
    return None


def _first_day(moment: datetime) -> date:
    """Return the first day that does not begin before `moment`, which is in UTC."""
    return moment.date() + timedelta(days=moment.time() != datetime.min.time())


def window_binds(window: Window, dialect: str) -> dict[str, Any]:
    """Return the values of a query's two parameters, as the kind of database compares them."""
    ends: dict[str, Any] = dict(zip(BINDS, (window.start.astimezone(UTC), window.end.astimezone(UTC)), strict=True))
    if dialect == "sqlite":
        return {name: iso(end) for name, end in ends.items()}
    if dialect != "postgresql":
        return {name: end.replace(tzinfo=None) for name, end in ends.items()}
    return ends
