"""Which files of a source may hold rows of a window: only these are read, and only these must have the columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.spec.problems import Problem
from airflow_mlops.stores.event_times import TimeReader, micros
from airflow_mlops.stores.files.part import TimeSpan
from airflow_mlops.stores.files.source_file import SourceFile

_DAY = timedelta(days=1)
_AT_ONCE = 16
"""Files that are opened at once: an object store answers in a tenth of a second, whatever is asked."""
_TOLD = 3
"""Files that a refusal names."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The files that may hold rows of a window."""

    files: tuple[SourceFile, ...]
    by_name: int = 0
    """How many of the others were not opened, because of the dates in their names."""


def choose(files: Sequence[SourceFile], window: Window, time: str, reader: Callable[[], TimeReader]) -> Chosen:
    """Leave out the files that hold no row of the window.

    Which these are is told by a table's log, by a partition that is the event time, by a file's statistics, and where
    none of them tells by a read of the event time. Before that, dates in names are asked, so that not every file of a
    long history must be opened: the files of the window, and those named for as long before and after it, are opened
    first. When each of them holds times of its own days, the names are believed, and the other dated files stay closed.
    When one does not (it is named after the day of its export, say), names say nothing, and all files are opened.

    Raises
    ------
    DataError
        If a file that was opened has no event time, or one that is no time.
    """
    if len(files) < 2:  # noqa: PLR2004 - which file it is needs no look into it
        return Chosen(files=tuple(files))
    near = _near(files, window)
    spans = _spans(near, time, reader)
    believed = len(near) < len(files) and all(_as_named(file, spans[file.path]) for file in near if file.named)
    if not believed:
        spans |= _spans([file for file in files if file.path not in spans], time, reader)
    apart = micros_of(_DAY) if reader().rules.zone else 0
    start, end = micros(window.start) - apart, micros(window.end) + apart
    kept = tuple(file for file in files if file.path in spans and _overlaps(spans[file.path], start, end))
    staying = {file.path for file in kept}
    for file in files:
        if file.path in spans and file.path not in staying:
            file.part.forget()
    return Chosen(files=kept, by_name=len(files) - len(spans))


def micros_of(length: timedelta) -> int:
    """Return a length of time in microseconds."""
    return length // timedelta(microseconds=1)


def _near(files: Sequence[SourceFile], window: Window) -> list[SourceFile]:
    """Files without a date in their names, files of the window, and their neighbours on both sides."""
    dated = [(file, file.named) for file in files if file.named is not None]
    inside = [
        file
        for file, named in dated
        if named.start - max(_DAY, named.length) < window.end and named.end + max(_DAY, named.length) > window.start
    ]
    before = max((pair for pair in dated if pair[1].end <= window.start), key=lambda pair: pair[1].start, default=None)
    after = min((pair for pair in dated if pair[1].start >= window.end), key=lambda pair: pair[1].start, default=None)
    near = {id(file) for file in inside} | {id(found[0]) for found in (before, after) if found}
    return [file for file in files if file.named is None or id(file) in near]


def _as_named(file: SourceFile, span: TimeSpan) -> bool:
    """Whether a file holds times of the days that it is named after, in whatever zone these days are."""
    if file.named is None or span.first is None or span.last is None:
        return True
    start, end = micros(file.named.start - _DAY), micros(file.named.end + _DAY)
    return start <= span.first and span.last < end


def _overlaps(span: TimeSpan, start: int, end: int) -> bool:
    return span.first is not None and span.last is not None and span.first < end and span.last >= start


def _spans(files: Sequence[SourceFile], time: str, reader: Callable[[], TimeReader]) -> dict[str, TimeSpan]:
    if not files:
        return {}

    def look(file: SourceFile) -> TimeSpan | Problem:
        names = file.names
        if not names:
            return TimeSpan(first=None, last=None)  # a file of no lines, as an export of a day without rows leaves it
        if time not in names:
            return missing_columns({time: "data.time"}, names, where=file.path)[0]
        return _span(file, time, reader())

    with ThreadPoolExecutor(min(_AT_ONCE, len(files)), thread_name_prefix="file-times") as pool:
        found = dict(zip((file.path for file in files), pool.map(look, files), strict=True))
    problems = [one for one in found.values() if isinstance(one, Problem)]
    if problems:
        raise DataError(_without_time(files, time, problems))
    return {path: one for path, one in found.items() if isinstance(one, TimeSpan)}


def _without_time(files: Sequence[SourceFile], time: str, problems: list[Problem]) -> list[Problem]:
    """Say it once when no file has the column, else of each file, and of a few only."""
    if len(problems) < len(files):
        return problems[:_TOLD]
    return missing_columns({time: "data.time"}, dict.fromkeys(name for file in files for name in file.names))


def _span(file: SourceFile, time: str, reader: TimeReader) -> TimeSpan:
    try:
        return file.span(time, reader)
    except DataError as error:
        if any(problem.found.endswith(file.path) for problem in error.problems):
            raise
        from dataclasses import replace

        raise DataError(replace(p, found=f"{p.found}, in {file.path}") for p in error.problems) from error
