"""Freezing the bins of a column on the reference's rows: quantiles of numbers, the most frequent of categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.profiles.counting import ColumnCounter, column_problem, numbers, tally
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.profile import ColumnProfile
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def freeze(columns: Sequence[tuple[Feature, Any]], *, bins: int, top: int) -> tuple[ColumnProfile, ...]:
    """Freeze the bins of columns on their values, and count these in them.

    Parameters
    ----------
    columns
        Name and role, and the values: anything that pyarrow makes an array of.
    bins, top
        As :func:`~airflow_mlops.core.profiles.build.build_profile`.

    Raises
    ------
    DataError
        If the values of a column are not of one type, or of one that its role cannot have: every such column.
    """
    import pyarrow as pa

    problems: list[Problem] = []
    arrays: list[tuple[Feature, pa.Array]] = []
    for feature, values in columns:
        try:
            array = pa.array(values, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            problems.append(_mixed(feature))
            continue
        role: Literal["numeric", "categorical"] = "numeric" if feature.role == "numeric" else "categorical"
        problem = column_problem(ColumnProfile(name=feature.name, role=role, counts=()), array)
        problems += [problem] if problem else []
        arrays.append((feature, array))
    if problems:
        raise DataError(problems)
    return tuple(_frozen(feature, array, bins, top) for feature, array in arrays)


def _frozen(feature: Feature, array: pa.Array, bins: int, top: int) -> ColumnProfile:
    if feature.role == "numeric":
        edges = quantile_edges(numbers(array), bins)
        bare = ColumnProfile(name=feature.name, role="numeric", counts=(), edges=edges)
    else:
        names = _most_frequent(array, top)
        bare = ColumnProfile(name=feature.name, role="categorical", counts=(), categories=names)
    counter = ColumnCounter(bare)
    counter.add(array)
    return counter.result()


def _most_frequent(array: pa.Array, top: int) -> tuple[str, ...]:
    found: dict[str, int] = {}
    texts, often, _ = tally(array)
    for text, count in zip(texts.to_pylist(), often.tolist(), strict=True):
        found[text] = found.get(text, 0) + count
    ranked = sorted((-count, text) for text, count in found.items() if count)
    return tuple(text for _, text in ranked[:top])


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


def _mixed(feature: Feature) -> Problem:
    return Problem(
        code=ReasonCode.COLUMN_RETYPED,
        field=feature.name,
        found=f"a {feature.role} feature with values of several types",
        allowed="values of one type",
        fix="make the column's values alike in the source or the transformer",
    )
