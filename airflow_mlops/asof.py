"""The as-of time of a run: one answer for schedules, backfills, triggers by hand and retraining events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError

CLOCK_TOLERANCE = timedelta(minutes=5)
_BY_INTERVAL = {"scheduled", "backfill"}


def resolve_as_of(context: Mapping[str, Any]) -> datetime:
    """Return the instant that this run pretends to live at, with a time zone.

    Scheduled and backfill runs: the end of the data interval. Asset-triggered runs: the latest `as_of` among the
    events' extras. All others: the Param `as_of`, or when the run was created, which stays the same in every task
    and every retry.

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
    if isinstance(value, datetime):
        return _aware(value)
    try:
        return _aware(datetime.fromisoformat(str(value).strip()))
    except ValueError as error:
        allowed = "an ISO 8601 time such as 2013-03-01T00:00:00Z"
        raise SpecError(_problem(repr(str(value)[:40]), allowed, "write the time in that form")) from error


def _from_events(context: Mapping[str, Any]) -> str | None:
    extras = [
        event.extra or {} for events in (context.get("triggering_asset_events") or {}).values() for event in events
    ]
    times = [extra["as_of"] for extra in extras if extra.get("as_of")]
    return max(times, key=parse_as_of) if times else None


def _aware(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _problem(found: str, allowed: str, fix: str) -> Problem:
    return Problem(code=ReasonCode.SPEC_INVALID_VALUE, field="as_of", found=found, allowed=allowed, fix=fix)
