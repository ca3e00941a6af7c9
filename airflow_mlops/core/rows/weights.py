"""Weights of rows: numbers that say how much each counts, or a refusal that says how many are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd


def row_weights(spec: ModelSpec, *parts: pd.DataFrame) -> tuple[Array | None, ...]:
    """Weights of the rows of each part, shape (n,) each, as float64; None for each where `data.weight` is not set.

    Raises
    ------
    DataError
        If there is no such column, or a weight is missing, no number, infinite or negative, or all of a part are 0:
        with the counts.
    """
    import pandas as pd

    if spec.data.weight is None:
        return (None,) * len(parts)
    names = ("training", "holdout") if len(parts) == 2 else ("judged",) * len(parts)  # noqa: PLR2004
    gone = missing_columns({spec.data.weight: "data.weight"}, parts[0].columns)
    if gone:
        raise DataError(gone, subject=spec.name)
    found = [
        pd.to_numeric(part[spec.data.weight], errors="coerce").to_numpy(dtype="float64", na_value=float("nan"))
        for part in parts
    ]
    problems = [problem for name, weights in zip(names, found, strict=True) for problem in _problems(name, weights)]
    if problems:
        raise DataError(problems, subject=spec.name)
    return tuple(found)


def fit_arguments(weights: Array | None) -> dict[str, Array]:
    """Return what a pipeline's `fit` is given so that its last step, the estimator, gets the weights."""
    return {} if weights is None else {"estimator__sample_weight": weights}


def require_weights_taken(spec: ModelSpec, estimator: Any) -> None:
    """Refuse weights for an estimator whose `fit` takes none: they would be left out without a word.

    Raises
    ------
    TrainingError
        Names the estimator, before anything is fitted.
    """
    from sklearn.utils.validation import has_fit_parameter

    if spec.data.weight is None or has_fit_parameter(estimator, "sample_weight"):
        return
    raise TrainingError(
        Problem(
            code=ReasonCode.ESTIMATOR_INVALID,
            field="data.weight",
            found=f"{spec.data.weight!r}, and {spec.training.estimator}, whose fit takes no sample_weight",
            allowed="an estimator that takes sample_weight, or no weights",
            fix="take data.weight out, or name an estimator such as sklearn.ensemble.HistGradientBoostingClassifier",
        ),
        subject=spec.name,
    )


def _problems(part: str, weights: Array) -> Sequence[Problem]:
    import numpy as np

    rows = len(weights)
    counts = {
        "missing or no number": int(np.isnan(weights).sum()),
        "infinite": int(np.isinf(weights).sum()),
        "negative": int((weights < 0).sum()),
    }
    broken = [f"{count} {kind}" for kind, count in counts.items() if count]
    found = f"{', '.join(broken)} among {rows} weights of {part} rows" if broken else ""
    if not broken and rows and not weights.any():
        found = f"all {rows} weights of {part} rows are 0"
    if not found:
        return ()
    return (
        Problem(
            code=ReasonCode.VALUE_NOT_FINITE,
            field="data.weight",
            found=found,
            allowed="finite numbers >= 0, some of them above 0",
            fix="mend the weights in the source; a row that is not to count gets 0",
        ),
    )
