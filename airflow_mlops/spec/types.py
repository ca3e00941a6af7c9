"""Values that several parts of the specification share: durations, and the checks of names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(value: Any) -> timedelta:
    """Read ``90s``, ``30m``, ``12h``, ``60d`` or ``2w``.

    Raises
    ------
    ValueError
        If the value is neither a timedelta nor a whole number with one of those units.
    OverflowError
        If it is longer than Python can say.

    Examples
    --------
    >>> parse_duration("36h").total_seconds()
    129600.0
    """
    if isinstance(value, timedelta):
        return value
    stripped = value.strip() if isinstance(value, str) else ""
    count, unit = stripped[:-1].rstrip(), stripped[-1:]
    if not (count.isascii() and count.isdigit() and unit in _UNITS):
        raise ValueError("a whole number and a unit s, m, h, d or w, such as 90s, 12h, 60d")
    if len(count) > 12:  # noqa: PLR2004  # longer than Python's own limit, and int() of much text is slow
        raise OverflowError("longer than a timedelta can be")
    return timedelta(**{_UNITS[unit]: int(count)})


def format_duration(value: timedelta) -> str:
    """Write a duration with the largest unit that keeps it whole.

    Examples
    --------
    >>> format_duration(timedelta(days=60)), format_duration(timedelta(hours=36))
    ('60d', '36h')
    """
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
