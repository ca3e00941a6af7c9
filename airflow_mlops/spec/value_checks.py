"""Checks of single values: model names, import paths, metrics, cron expressions, time zones, connections."""

from __future__ import annotations

from airflow_mlops.spec.fields import refuse
from airflow_mlops.spec.metrics import METRICS

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_CRON_NAMES = {
    **dict(zip(("jan", "feb", "mar", "apr", "may", "jun"), range(1, 7), strict=True)),
    **dict(zip(("jul", "aug", "sep", "oct", "nov", "dec"), range(7, 13), strict=True)),
    **dict(zip(("sun", "mon", "tue", "wed", "thu", "fri", "sat"), range(7), strict=True)),
}
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
    """A path or object-store address without a password in it."""
    authority = value.partition("://")[2].partition("/")[0]
    if ":" in authority.rpartition("@")[0]:
        refuse("an address with a password (not shown)", "an address without one", "name a connection with conn_id")
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
        if not all(_cron_item(item, low, high) for item in field.split(",")):
            refuse(
                f"{name} {field!r}", f"*, numbers {low} to {high}, ranges a-b, steps /n", 'write it like "0 6 * * 1"'
            )
    return value


def _cron_item(item: str, low: int, high: int) -> bool:
    span, slash, step = item.partition("/")
    if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
        return False
    if span == "*":
        return True
    first, dash, last = span.lower().partition("-")
    start = _cron_number(first)
    if not dash:
        return not slash and low <= start <= high
    return low <= start <= _cron_number(last) <= high


def _cron_number(text: str) -> int:
    """Return the number or the named day or month; -1 when it is neither."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 3 else _CRON_NAMES.get(text, -1)  # noqa: PLR2004
