"""The as-of time of a run: one answer for schedules, backfills, triggers by hand and retraining events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError

_FIRST_YEAR, _LAST_YEAR = 1900, 2199
CLOCK_TOLERANCE = timedelta(minutes=5)
_BY_INTERVAL = {"scheduled", "backfill"}


def resolve_as_of(context: Mapping[str, Any]) -> datetime:
    """Return the instant that this run pretends to live at, with a time zone.

    Scheduled and backfill runs: the end of the data interval. Asset-triggered runs: the latest `as_of` that the
    events carry, those of tasks as those of watchers. All others: the Param `as_of`, or when the run was created,
    which stays the same in every task and every retry.

    Raises
    ------
    SpecError
        If the time given cannot be read, or lies in the future.
    """
    run = context["dag_run"]
    kind = str(getattr(run.run_type, "value", run.run_type))
    if kind in _BY_INTERVAL:
        return _aware(run.data_interval_end or run.run_after)
    given = _from_events(context) if kind == "asset_triggered" else None
    given = given or (context.get("params") or {}).get("as_of")
    as_of = parse_as_of(given) if given else _aware(run.run_after)
    if as_of > datetime.now(UTC) + CLOCK_TOLERANCE:
        raise SpecError(_problem(as_of.isoformat(), "a time that is not in the future", "leave it out to mean now"))
    return as_of


def parse_as_of(value: str | datetime) -> datetime:
    """Read an ISO 8601 time or date; without a zone it is UTC.

    >>> parse_as_of("2013-03-01").isoformat()
    '2013-03-01T00:00:00+00:00'
    """
    try:
        read = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError as error:
        allowed = "an ISO 8601 time such as 2013-03-01T00:00:00Z"
        raise SpecError(_problem(repr(str(value)[:40]), allowed, "write the time in that form")) from error
    if not _FIRST_YEAR <= read.year <= _LAST_YEAR:  # a window before it, or a zone, would leave the calendar
        allowed = f"a time in the years {_FIRST_YEAR} to {_LAST_YEAR}"
        raise SpecError(_problem(read.isoformat(), allowed, "correct the year"))
    return _aware(read)


def events_of(context: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return what the asset events that caused a run say, in the order they come; none for other runs.

    What a watcher saw (:mod:`airflow_mlops.triggers.events`) stands one level deeper than what a task says.

    >>> from types import SimpleNamespace as Event
    >>> told = Event(extra={"from_trigger": True, "payload": {"as_of": "2013-03-01T00:00:00+00:00", "key": "k"}})
    >>> events_of({"triggering_asset_events": {"orders.retrain": [told, Event(extra=None)]}})[0]["key"]
    'k'
    """
    events = [event for group in (context.get("triggering_asset_events") or {}).values() for event in group]
    return tuple(_said(event.extra or {}) for event in events)


def change_of(context: Mapping[str, Any]) -> datetime | None:
    """Return the change that the decisions behind a run want to have learned, the newest of several; None for none.

    >>> from types import SimpleNamespace as Event
    >>> told = Event(extra={"as_of": "2013-03-01T00:00:00Z", "changed": "2013-02-20T00:00:00Z"})
    >>> change_of({"triggering_asset_events": {"orders.retrain": [told]}}).isoformat()
    '2013-02-20T00:00:00+00:00'
    """
    return max((parse_as_of(said["changed"]) for said in events_of(context) if said.get("changed")), default=None)


def _said(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    if not extra.get("from_trigger"):
        return extra
    payload = extra.get("payload")
    return payload if isinstance(payload, Mapping) else {}


def _from_events(context: Mapping[str, Any]) -> str | None:
    times = [said["as_of"] for said in events_of(context) if said.get("as_of")]
    return max(times, key=parse_as_of) if times else None


def _aware(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _problem(found: str, allowed: str, fix: str) -> Problem:
    return Problem(code=ReasonCode.SPEC_INVALID_VALUE, field="as_of", found=found, allowed=allowed, fix=fix)
