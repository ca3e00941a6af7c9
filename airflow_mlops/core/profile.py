"""Profiles: the distribution of a window of rows, as counts in bins that are frozen on the training rows.

Counts add up, so a profile is made in one pass over batches, and profiles of parts merge into the profile of the
whole. The values of categories stand in a profile in plain text, and a profile is an artifact of the MLflow run:
a column whose values are secrets or personal data must not be a feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_mlops.core.counting import ColumnCounter, column_problem, numbers, texts
from airflow_mlops.core.data import Window
from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.model import Feature
from airflow_mlops.core.monitor import ColumnProfile, Profile
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray


def build_profile(
    model: str, frame: pd.DataFrame, features: Sequence[Feature], window: Window, *, bins: int = 20, top: int = 50
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
    arrays = _arrays(model, frame, features)
    columns = []
    for feature in features:
        array = arrays[feature.name]
        if feature.role == "numeric":
            bare = ColumnProfile(
                name=feature.name, role="numeric", counts=(), edges=quantile_edges(numbers(array), bins)
            )
        else:
            ranked = sorted(texts(array)[0].items(), key=lambda item: (-item[1], item[0]))
            bare = ColumnProfile(
                name=feature.name, role="categorical", counts=(), categories=tuple(name for name, _ in ranked[:top])
            )
        counter = ColumnCounter(bare)
        counter.add(array)
        columns.append(counter.result())
    return Profile(model=model, window=window, rows=len(frame), columns=tuple(columns))


def quantile_edges(values: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Return inner bin edges, ascending and distinct, from the quantiles of the finite values.

    A bin is ``edge[i-1] <= x < edge[i]``. Quantiles are values that occur (method `inverted_cdf`), so that a
    value which fills several of them is found exactly; it gets a second edge right above it.
    """
    import numpy as np

    finite = values[np.isfinite(values)]
    if not len(finite):
        return ()
    quantiles = np.quantile(finite, np.arange(1, bins) / bins, method="inverted_cdf")
    edges, repeats = np.unique(quantiles + 0.0, return_counts=True)  # + 0.0: no negative zero
    heavy = edges[(repeats > 1) & (edges < np.finfo(np.float64).max)]
    # The next number above zero is subnormal, which some maths libraries flush to zero: take the smallest normal one.
    above = np.where(heavy == 0, np.finfo(np.float64).tiny, np.nextafter(heavy, np.inf))
    return tuple(np.unique(np.concatenate([edges, above])).tolist())


def profile_batches(reference: Profile, batches: Iterator[pa.RecordBatch], window: Window) -> Profile:
    """Count batches of rows in the reference's bins; memory does not grow with rows.

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
    rows = 0
    for batch in batches:
        problems = list(_presence(batch.schema.names, [c.name for c in reference.columns]))
        if not problems:
            problems = [
                problem
                for column in reference.columns
                if (problem := column_problem(column, batch.column(column.name)))
            ]
        if problems:
            raise DataError(problems, subject=f"{reference.model}, window {window}")
        rows += batch.num_rows
        for counter in counters:
            counter.add(batch.column(counter.reference.name))
    return Profile(
        model=reference.model, window=window, rows=rows, columns=tuple(counter.result() for counter in counters)
    )


def merge(a: Profile, b: Profile) -> Profile:
    """Add two profiles that were counted in the same bins; the window covers both.

    Raises
    ------
    RecordError
        If they are of different models, columns or bins.
    """
    if a.model != b.model or [_bins(c) for c in a.columns] != [_bins(c) for c in b.columns]:
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
        columns=tuple(
            replace(
                left,
                counts=tuple(i + j for i, j in zip(left.counts, right.counts, strict=True)),
                missing=left.missing + right.missing,
                non_finite=left.non_finite + right.non_finite,
                kind=left.kind or right.kind,
            )
            for left, right in zip(a.columns, b.columns, strict=True)
        ),
    )


def _bins(column: ColumnProfile) -> tuple[object, ...]:
    return column.name, column.role, column.edges, column.categories


def _arrays(model: str, frame: pd.DataFrame, features: Sequence[Feature]) -> dict[str, pa.Array]:
    import pyarrow as pa

    problems = list(_presence([str(name) for name in frame.columns], [f.name for f in features]))
    if problems:
        raise DataError(problems, subject=model)
    arrays = {}
    for feature in features:
        try:
            array = pa.array(frame[feature.name], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            problems.append(_mixed(feature))
            continue
        problem = column_problem(ColumnProfile(name=feature.name, role=feature.role, counts=()), array)
        problems += [problem] if problem else []
        arrays[feature.name] = array
    if problems:
        raise DataError(problems, subject=model)
    return arrays


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


def _mixed(feature: Feature) -> Problem:
    return Problem(
        code=ReasonCode.COLUMN_RETYPED,
        field=feature.name,
        found=f"a {feature.role} feature with values of several types",
        allowed="values of one type",
        fix="make the column's values alike in the source or the transformer",
    )


def _empty(window: Window) -> Problem:
    return Problem(
        code=ReasonCode.WINDOW_EMPTY,
        field="rows",
        found=f"no row in {window}",
        allowed="at least one row",
        fix="check the source and the window",
    )
