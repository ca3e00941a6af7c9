"""Spans of broken rows, as the stages ask for them."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_mlops.core.records.fault import FaultySpan
from airflow_mlops.core.records.snapshot import Window


def covering(spans: Sequence[FaultySpan]) -> tuple[Window, ...]:
    """Return the spans of event time that any of them covers, in order and apart from one another.

    >>> from datetime import UTC, datetime
    >>> def span(a, b):
    ...     return FaultySpan(start=datetime(2024, 6, a, tzinfo=UTC), end=datetime(2024, 6, b, tzinfo=UTC), column="x",
    ...                       cause="constant", words="", rows=1)
    >>> [(one.start.day, one.end.day) for one in covering([span(5, 7), span(1, 3), span(6, 9)])]
    [(1, 3), (5, 9)]
    """
    found: list[Window] = []
    for span in sorted(spans, key=lambda span: span.start):
        if found and span.start <= found[-1].end:
            found[-1] = Window(start=found[-1].start, end=max(found[-1].end, span.end))
        else:
            found.append(Window(start=span.start, end=span.end))
    return tuple(found)
