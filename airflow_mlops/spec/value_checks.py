"""Checks of single values: model names, import paths, metrics, cron expressions, time zones, connections."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_mlops.spec.credentials import holds_credentials
from airflow_mlops.spec.fields import refuse
from airflow_mlops.spec.metrics import METRICS

_EXPANDED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
PRESETS = tuple(_EXPANDED)
_CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_NAMES = {
    "month": dict(zip(_MONTHS, range(1, 13), strict=True)),
    "day of week": dict(zip(_DAYS, range(7), strict=True)),
}
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of the months, of February in a leap year."""
LONGEST_CRON = 200
"""Characters: Airflow keeps a schedule's description in a column of its database."""
_LONGEST_NAME = 63


def model_name(value: str) -> str:
    """DAG ids, the registered model and folders carry the name: keep it to what all of them accept."""
    fits = value.isascii() and value.replace("_", "a").isalnum() and value == value.lower()
    if not fits or not value[:1].isalpha() or len(value) > _LONGEST_NAME:
        refuse(
            None,
            f"up to {_LONGEST_NAME} lower-case letters, digits and _, a letter first",
            f"write it like {_suggested_name(value)}",
        )
    return value


def experiment(value: str) -> str:
    """Names of this package's own logs are no experiments: they would be among the runs that hold the audit trails."""
    if value.strip().casefold().startswith(_OWN_EXPERIMENTS):
        refuse(None, "no name that begins as those of the audit trails and retraining logs do", "choose another name")
    return value


_OWN_EXPERIMENTS = ("mlops audit", "mlops retraining")


def _suggested_name(value: str) -> str:
    letters = "".join(c if c.isascii() and c.isalnum() else "_" for c in value.lower()).strip("_0123456789")
    return letters[:_LONGEST_NAME] or "flight_delay"


def import_path(value: str) -> str:
    """A dotted path: named here, imported only when it is used."""
    names = value.split(".")
    if len(names) < 2 or not all(name.isidentifier() for name in names):  # noqa: PLR2004
        refuse(None, "a dotted import path", "write it like sklearn.linear_model.LogisticRegression")
    return value


CALENDAR_PARTS = (
    *("minute", "hour", "weekday", "weekend", "day", "day_of_year"),
    *("week", "month", "quarter", "year", "age_days"),
)
"""What a number can be made of a date or time; `airflow_mlops_steps.source_types` makes them."""


def calendar_part(value: str) -> str:
    """A number that can be made of a date or time."""
    if value not in CALENDAR_PARTS:
        refuse(None, f"one of {', '.join(CALENDAR_PARTS)}", "{did_you_mean}")
    return value


def metric(value: str) -> str:
    """A registered metric, or the import path of one that `gate.metrics` declares."""
    if "." in value:
        return import_path(value)
    if value not in METRICS:
        refuse(None, f"one of {', '.join(METRICS)}", "{did_you_mean}", "metric_unknown")
    return value


def connection(value: str) -> str:
    """A connection's id, not its address: an address may hold a password, so it is not repeated here either."""
    if "://" in value or "@" in value:
        refuse(
            "an address (not shown)", "the id of an Airflow connection", "store the address in an Airflow connection"
        )
    return value


def location(value: str) -> str:
    """A path or object-store address without a password, key or signature in it."""
    if holds_credentials(value, place=True):
        refuse(
            "an address with a password or key (not shown)", "an address without one", "name a connection with conn_id"
        )
    return value


def timezone(value: str) -> str:
    """An IANA time zone that this machine knows."""
    if value != "UTC":
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            refuse(None, "an IANA time zone", "{did_you_mean_timezone}")
    return value


def cron(value: str) -> str:
    """Five fields, or a preset; checked by hand, because croniter is dear to import."""
    if value.startswith("@"):
        if value not in PRESETS:
            refuse(None, f"five cron fields, or one of {', '.join(PRESETS)}", "{did_you_mean}")
        return value
    given = value.split()
    if len(given) != len(_CRON_FIELDS):
        refuse(None, "five cron fields: minute hour day-of-month month day-of-week", 'write it like "0 6 * * 1"')
    for (name, low, high), field in zip(_CRON_FIELDS, given, strict=True):
        if not all(_cron_values(item, name, low, high) for item in field.split(",")):
            refuse(
                f"{name} {field!r}", f"*, numbers {low} to {high}, ranges a-b, steps /n", 'write it like "0 6 * * 1"'
            )
    _require_day(given[2], given[3], given[4])
    return value


def _require_day(day: str, month: str, weekday: str) -> None:
    """Refuse days that no month in question has; days of the week come in all, and cron takes either."""
    if day == "*" or weekday != "*":
        return
    days, months = _all_values(day, "day of month", 1, 31), _all_values(month, "month", 1, 12)
    if not any(number <= _LENGTHS[one - 1] for number in days for one in months):
        refuse(
            f"day of month {day!r} in month {month!r}, which never comes",
            "a day that one of the months has",
            "correct the day or the month",
        )


def comes_between(value: str, start: datetime | None, end: datetime | None) -> bool:
    """Whether a checked cron expression has an instant from `start` to `end`, as the clock in its zone shows them.

    Without one of them, or after nine years of looking, what is a date comes.

    >>> comes_between("@monthly", datetime(2026, 3, 2), datetime(2026, 3, 31))
    False
    """
    if start is None or end is None:
        return True
    given = _EXPANDED.get(value, value).split()
    minutes, hours, days, months, named = (
        _all_values(field, *spec) for spec, field in zip(_CRON_FIELDS, given, strict=True)
    )
    weekdays = {number % 7 for number in named}  # Sunday is 0 and 7
    one_says_nothing = _is_every(given[2], days, _DAYS_OF_MONTH, given[4]) or _is_every(
        given[4], weekdays, _DAYS_OF_WEEK, given[2]
    )
    # cron's own rule: of a day of the month and a day of the week that are both given, either is enough.
    together = all if one_says_nothing else any
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    for _ in range(_DAYS_SEARCHED):
        if day > end:
            return False
        times = (day.replace(hour=hour, minute=minute) for hour in hours for minute in minutes)
        chosen = together((day.day in days, day.isoweekday() % 7 in weekdays))
        if day.month in months and chosen and any(start <= t <= end for t in times):
            return True
        day += timedelta(days=1)
    return True


def _is_every(field: str, values: set[int], possible: frozenset[int], other: str) -> bool:
    """Whether a field of days is as good as `*`, by croniter's rule: it is, or names all where the other has a `*`.

    What Airflow asks decides: `* * */31 * 0-7` is the first of the month, `* * 1 * 0-7` is every day.
    """
    return field == "*" or ("*" in other and values == possible)


_DAYS_OF_WEEK = frozenset(range(7))

_DAYS_OF_MONTH = frozenset(range(1, 32))

_DAYS_SEARCHED = 366 * 9
"""A leap day comes once in eight years at the latest."""


def _all_values(field: str, name: str, low: int, high: int) -> set[int]:
    return {number for item in field.split(",") for number in _cron_values(item, name, low, high)}


def _cron_values(item: str, name: str, low: int, high: int) -> range:
    """Return the numbers that an item of a cron field stands for; none when it is no such item."""
    span, slash, step = item.partition("/")
    every = _cron_number(step, "") if slash else 1
    if every < 1:
        return range(0)
    if span == "*":
        return range(low, high + 1, every)
    first, dash, last = span.lower().partition("-")
    start = _cron_number(first, name)
    end = _cron_number(last, name) if dash else start
    if not low <= start <= end <= high or (slash and not dash):
        return range(0)
    return range(start, end + 1, every)


def _cron_number(text: str, name: str) -> int:
    """Return the number, or what a name of this field stands for; -1 when it is neither."""
    if text.isascii() and text.isdigit():
        return int(text) if len(text) <= 3 else -1  # noqa: PLR2004
    return _CRON_NAMES.get(name, {}).get(text, -1)
