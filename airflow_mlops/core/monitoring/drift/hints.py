"""What a change looks like: a fault of the pipeline, a change of one segment, or a change of the world.

Hints are sentences for a person, and route what is done: a fault of the pipeline is never trained on. So each cause
that speaks of the pipeline asks for a pattern that the world seldom makes. Values of columns are not named, but for
those of slice columns, which the specification's owner asked to be reported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from airflow_mlops.core.monitoring.drift.causes_in_counts import COMMON, CauseInput, cause_of, made
from airflow_mlops.core.monitoring.drift.columns import is_about
from airflow_mlops.core.records.drift import Cause, CauseHint, DriftReport, SchemaChange
from airflow_mlops.core.records.fault import ReleasedSpan
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import Problem, ReasonCode


def hints(clues: CauseInput, report: DriftReport, history: Sequence[DriftReport] = ()) -> tuple[CauseHint, ...]:
    """One hint for each column in drift or broken, and for each changed one.

    Parameters
    ----------
    report
        The comparison that the clues gave.
    history
        Reports of earlier windows, in any order; those of another champion or reference say nothing of this one.
    """
    used = clues.used | {column.name for column in clues.reference.columns}
    changed = [hint for change in report.changes if (hint := of_change(change, used))]
    # A number that became a boolean counts as 0 or 1, and a text that became a time as a new value: no world does that.
    sure = {hint.column: hint for hint in changed if hint.cause in _SURE}
    broken = [column for column in report.columns if column.verdict in {"drift", "invalid"}]
    found = [cause_of(clues, column) for column in broken if column.part != "feature" or column.column not in sure]
    named = {hint.column for hint in found} | set(sure)
    found += [*sure.values(), *(hint for hint in changed if hint.column not in named)]
    return tuple(replace(hint, since=since(hint.column, report, history)) for hint in found)


def hints_of_faults(report: DriftReport) -> tuple[CauseHint, ...]:
    """Return the report's hints with those of the broken spans that reach into its window, in their places.

    A broken day speaks for itself, also while the window as a whole hardly differs.
    """
    window = report.window
    inside = [
        span
        for span in report.quarantined
        if not span.before_release and span.start < window.end and window.start < span.end
    ]
    told = {(hint.column, hint.cause): hint for hint in report.hints}
    found: dict[str, CauseHint] = {}
    for span in inside:
        same = told.get((span.column, span.cause))
        words = f"{same.words if same else span.words} From {span.start.isoformat()} to {span.end.isoformat()}."
        begun = min(span.start, same.since or span.start) if same else span.start
        found[span.column] = CauseHint(column=span.column, cause=span.cause, pipeline=True, words=words, since=begun)
    others = (hint for hint in report.hints if hint.column not in found)
    return (*found.values(), *others)


def without_released(
    found: Iterable[CauseHint], window: Window, released: Sequence[ReleasedSpan]
) -> tuple[CauseHint, ...]:
    """Return the hints; where a person released the window's newest rows, none of them is a fault of the pipeline."""
    said = [one for one in released if one.start < window.end and (one.end is None or window.end <= one.end)]
    if not said:
        return tuple(found)
    why = f"{said[-1].by or 'Somebody'} said that it is right: {said[-1].reason or 'without a reason'}."
    return tuple(
        replace(hint, pipeline=False, words=f"{hint.words} {why}") if hint.pipeline else hint for hint in found
    )


def hints_of_problems(
    problems: Iterable[Problem], report: DriftReport, used: Collection[str], history: Sequence[DriftReport] = ()
) -> tuple[CauseHint, ...]:
    """Hints for a window that could not be counted: from its schema, then from what was refused.

    Parameters
    ----------
    used
        Columns with a role for the model.
    """
    changes = [hint for change in report.changes if (hint := of_change(change, used))]
    known = {hint.column for hint in changes}
    longest = sorted(used, key=lambda name: (-len(name), name))  # "dep delay" is about that, and not about "delay"
    about = {one: next((name for name in longest if is_about(one, name)), one.field) for one in problems}
    refused = [
        made(column, _REFUSED[problem.code], f"{column}: {problem.found}.")
        for problem, column in about.items()
        if problem.code in _REFUSED and column not in known
    ]
    found = {(hint.column, hint.cause): hint for hint in (*changes, *refused)}
    return tuple(replace(hint, since=since(hint.column, report, history)) for hint in found.values())


def of_change(change: SchemaChange, used: Collection[str]) -> CauseHint | None:
    """The hint for a change of the schema; a few unseen values make none."""
    if change.change == "unseen_categories":
        if (change.share or 0.0) < COMMON:
            return None
        return made(change.column, "new_category", f"{change.column} has values it never had: {change.detail}.")
    cause, said = _CHANGED[change.change]
    hint = made(change.column, cause, said.format(column=change.column, detail=change.detail))
    if change.column in used or not hint.pipeline:
        return hint
    return replace(hint, pipeline=False, words=f"{hint.words} The model does not use it.")


def since(column: str, report: DriftReport, history: Sequence[DriftReport]) -> datetime:
    """Start of the oldest of the windows in a row, this one the newest, in which the column was not as it should be.

    A window that says nothing of the column (too few rows) is passed over; one that says it was fine ends the row.
    """
    start = report.window.start
    earlier = {
        old.window: old
        for old in sorted(history, key=lambda old: old.as_of)
        if old.window.end < report.window.end
        and (old.champion_version, old.against) == (report.champion_version, report.against)
    }
    for window, old in sorted(earlier.items(), key=lambda item: item[0].end, reverse=True):
        shown = _shows(old, column)
        if shown is False:
            break
        if shown:
            start = min(start, window.start)
    return start


def _shows(report: DriftReport, column: str) -> bool | None:
    if any(change.column == column for change in report.changes):
        return True
    verdicts = {found.verdict for found in report.columns if found.column == column}
    if verdicts & {"drift", "invalid"}:
        return True
    if any(hint.column == column for hint in report.hints):
        return True
    return None if report.verdict in {"unknown", "invalid"} and "ok" not in verdicts else False


_SURE = {"retyped", "column_missing"}
"""What the schema says for certain, while counts only look like something."""
_CHANGED: dict[str, tuple[Cause, str]] = {
    "new": ("column_new", "The source has a new column {column} ({detail}); the model does not use it."),
    "missing": ("column_missing", "The source has no column {column} any more ({detail})."),
    "retyped": ("retyped", "{column} has another type: {detail}."),
}
_REFUSED: dict[ReasonCode, Cause] = {
    ReasonCode.COLUMN_MISSING: "column_missing",
    ReasonCode.COLUMN_RENAMED: "column_missing",
    ReasonCode.COLUMN_RETYPED: "retyped",
    ReasonCode.COLUMN_ALL_NULL: "missing_spike",
    ReasonCode.VALUE_NOT_FINITE: "non_finite",
}
