"""How the times of an unknown source are written, where they are not times by themselves: numbers, or a format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.proposal.sample import SourceSample, take_sample
from airflow_mlops.spec.problems import ReasonCode, SpecError

OpenStore = Callable[[Mapping[str, Any]], DataStore]
"""Opens `data.source`."""

_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_CLOCKS = ("", " %H:%M", " %H:%M:%S")
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%d-%b-%Y", "%b %d, %Y")
_FORMATS = (*(day + clock for day in _DAYS for clock in _CLOCKS), "%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M%S")
_OLDEST = datetime(1980, 1, 1, tzinfo=UTC)
"""Events that are learned from are not older, whatever a number read in a wrong unit says."""
_AHEAD = timedelta(days=366)


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenedSource:
    """A source whose times can be read."""

    store: DataStore
    source: Mapping[str, Any]
    """`data.source`, with what says how its times are written."""
    sample: SourceSample
    sure: bool = True
    """Whether the times can be read in one way only."""


def open_source_with_times(
    open_store: OpenStore, source: Mapping[str, Any], *, time: str | None, now: datetime
) -> OpenedSource:
    """Open a source and take a sample; where no column is a time by itself, try units and formats.

    Parameters
    ----------
    open_store
        Opens `data.source`.
    time
        The event-time column, where a person names it.

    Raises
    ------
    DataError
        If the source cannot be read, or its times in no way that is known: then with what the source itself says.
    """
    store = open_store(source)
    try:
        return OpenedSource(store=store, source=source, sample=take_sample(store, time=time))
    except DataError as refusal:
        if not any(problem.code is ReasonCode.TIME_INVALID for problem in refusal.problems):
            raise
        found = list(_readable(open_store, source, time, now))
        if not found:
            raise
    return replace(found[0], sure=len({one.sample.last for one in found}) == 1)


def _readable(
    open_store: OpenStore, source: Mapping[str, Any], time: str | None, now: datetime
) -> Iterator[OpenedSource]:
    for options, words in _options(source):
        told = {**source, **options}
        try:
            store = open_store(told)
            sample = take_sample(store, time=time)
        except (DataError, SpecError):  # not written so
            continue
        if sample.first >= _OLDEST and sample.last <= now + _AHEAD:
            reason = f"{sample.time_reason}, read as {words}"
            yield OpenedSource(store=store, source=told, sample=replace(sample, time_reason=reason))


def _options(source: Mapping[str, Any]) -> Iterator[tuple[dict[str, str], str]]:
    for unit, words in _UNITS.items():
        yield {"time_unit": unit}, f"{words} since 1970"
    if "path" in source:
        yield from (({"time_format": one}, repr(one)) for one in _FORMATS)
