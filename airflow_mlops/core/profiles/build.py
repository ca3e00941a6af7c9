"""Profiles: the distribution of a window of rows, as counts in bins that are frozen on the training rows.

Counts add up, so a profile is made in one pass over batches, and profiles of parts merge into the profile of the
whole. The values of categories stand in a profile in plain text, and a profile is an artifact of the MLflow run:
a column whose values are secrets or personal data must not be a feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.profiles.bins import freeze
from airflow_mlops.core.profiles.counting import ColumnCounter
from airflow_mlops.core.profiles.days import Days, with_days
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def build_profile(
    model: str,
    frame: pd.DataFrame,
    features: Sequence[Feature],
    window: Window,
    *,
    bins: int = 20,
    top: int = 50,
    outputs: Sequence[tuple[Feature, Any]] = (),
    importance: Mapping[str, float] | None = None,
    schema: Sequence[Column] = (),
    days: Days | None = None,
    output_days: Days | None = None,
) -> Profile:
    """Freeze the bins on a frame, and count it in them: the reference that drift is measured against.

    Parameters
    ----------
    frame
        Rows as the model sees them, shape (rows, at least the features).
    bins
        Numeric bins aimed at: inner edges are the quantiles 1/bins .. (bins-1)/bins of the finite values, without
        duplicates. The two outer bins are open, so that one outlier moves no edge. A value that fills more than one
        quantile gets a bin of its own: otherwise a constant could move upward unseen.
    top
        Categories that are counted apart; the rest is `other`.
    outputs
        `prediction` and `label`: name with role, and values of the holdout rows, shape (holdout rows,).
    importance
        Share of each feature, by name; it is kept as it is.
    schema
        Every column of the source.
    days, output_days
        The days that the rows of the frame and those of the outputs fall into; None: they are not counted by day.

    Raises
    ------
    DataError
        If the frame has no row, or a feature is missing, duplicated or of a type that its role cannot have.

    Examples
    --------
    >>> import pandas as pd
    >>> from datetime import datetime, UTC
    >>> window = Window(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2013, 2, 1, tzinfo=UTC))
    >>> frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, None], "c": ["a", "b", "a", None]})
    >>> roles = Feature(name="x", role="numeric"), Feature(name="c", role="categorical")
    >>> x, c = build_profile("demo", frame, roles, window, bins=2).columns
    >>> x.edges, x.counts, x.missing
    ((2.0,), (1, 2), 1)
    >>> c.categories, c.counts, c.missing
    (('a', 'b'), (2, 1, 0), 1)
    """
    if not len(frame):
        raise DataError(_empty(window), subject=model)
    problems = list(_presence([str(name) for name in frame.columns], [f.name for f in features]))
    if problems:
        raise DataError(problems, subject=model)
    try:
        columns = _by_day([(feature, frame[feature.name]) for feature in features], days, bins=bins, top=top)
        found = _by_day(outputs, output_days, bins=bins, top=top)
    except DataError as error:
        raise DataError(error.problems, subject=model) from error
    return Profile(
        model=model,
        window=window,
        rows=len(frame),
        columns=columns,
        outputs=found,
        importance=dict(importance or {}),
        schema=tuple(schema),
    )


def _by_day(
    columns: Sequence[tuple[Feature, Any]], days: Days | None, *, bins: int, top: int
) -> tuple[ColumnProfile, ...]:
    frozen = freeze(columns, bins=bins, top=top)
    if days is None:
        return frozen
    return tuple(with_days(column, values, days) for column, (_, values) in zip(frozen, columns, strict=True))


def profile_batches(
    reference: Profile, batches: Iterable[pa.RecordBatch], window: Window, *, schema: Sequence[Column] = ()
) -> Profile:
    """Count batches of rows in the reference's bins; memory does not grow with rows.

    Only the reference's `columns` are counted; `schema`, every column of the source, is kept as it is.

    Returns
    -------
    Profile
        The same whatever the batches' sizes; no batch at all gives a profile of no rows.

    Raises
    ------
    DataError
        If a column of the reference is missing, duplicated or retyped: broken data is refused, it is no drift.
    """
    counters = [ColumnCounter(column) for column in reference.columns]
    wanted = [column.name for column in reference.columns]
    subject, rows = f"{reference.model}, window {window}", 0
    for batch in batches:
        absent = list(_presence(batch.schema.names, wanted))
        if absent:
            raise DataError(absent, subject=subject)
        rows += batch.num_rows
        for counter in counters:
            counter.add(batch.column(counter.reference.name))
    # All batches are looked at, so that the problems do not depend on where one batch ends.
    problems = [counter.problem for counter in counters if counter.problem]
    if problems:
        raise DataError(problems, subject=subject)
    return Profile(
        model=reference.model,
        window=window,
        rows=rows,
        columns=tuple(counter.result() for counter in counters),
        schema=tuple(schema),
    )


def merge(a: Profile, b: Profile) -> Profile:
    """Add two profiles that were counted in the same bins; the window covers both.

    Importance and schema are those of `a` where it has them, else of `b`. Counts by day are not added up: only a
    reference has them, and it is whole.

    Raises
    ------
    RecordError
        If they are of different models, columns, outputs or bins.
    """
    if a.model != b.model or _all_bins(a) != _all_bins(b):
        raise RecordError(
            Problem(
                code=ReasonCode.RECORD_CONFLICT,
                field="Profile",
                found=f"profiles of {a.model} and {b.model} with different columns or bins",
                allowed="profiles counted in the bins of one reference",
                fix="count both against the same reference profile",
            )
        )
    return Profile(
        model=a.model,
        window=Window(start=min(a.window.start, b.window.start), end=max(a.window.end, b.window.end)),
        rows=a.rows + b.rows,
        columns=_added(a.columns, b.columns),
        outputs=_added(a.outputs, b.outputs),
        importance=a.importance or b.importance,
        schema=a.schema or b.schema,
    )


def _added(a: Sequence[ColumnProfile], b: Sequence[ColumnProfile]) -> tuple[ColumnProfile, ...]:
    return tuple(
        replace(
            left,
            counts=tuple(i + j for i, j in zip(left.counts, right.counts, strict=True)),
            missing=left.missing + right.missing,
            non_finite=left.non_finite + right.non_finite,
            kind=left.kind or right.kind,
            by_day=None,
        )
        for left, right in zip(a, b, strict=True)
    )


def _all_bins(profile: Profile) -> list[tuple[object, ...]]:
    return [_bins(column) for column in (*profile.columns, *profile.outputs)]


def _bins(column: ColumnProfile) -> tuple[object, ...]:
    return column.name, column.role, column.edges, column.categories


def _presence(found: Sequence[str], wanted: Sequence[str]) -> Iterator[Problem]:
    for name in wanted:
        times = found.count(name)
        if times != 1:
            yield Problem(
                code=ReasonCode.COLUMN_DUPLICATED if times else ReasonCode.COLUMN_MISSING,
                field=name,
                found=f"{times} columns of this name" if times else "no such column",
                allowed="exactly one column of this name",
                fix="mend the source: a feature was renamed, dropped or doubled since the model was trained",
            )


def _empty(window: Window) -> Problem:
    return Problem(
        code=ReasonCode.WINDOW_EMPTY,
        field="rows",
        found=f"no row in {window}",
        allowed="at least one row",
        fix="check the source and the window",
    )
