"""Labels fit to be learned: present, of one kind, and with something to tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlops.core.rows.columns import require_columns
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd

MAX_CLASSES = 100
"""More distinct labels than this is a number or a key, not a class."""


def clean_labels(spec: ModelSpec, frame: pd.DataFrame, classification: bool) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Leave out rows without a label, and give the labels one type.

    Class labels become bool, int or text; whole floats (what pandas makes of integers beside a missing value)
    become int again. Labels of a regression become float64; infinite ones are left for `label_problems`.

    Returns
    -------
    tuple
        The rows that have a label, and their labels.

    Raises
    ------
    DataError
        If there is no label column.
    """
    require_columns([spec.data.label], frame.columns)
    rows = frame[frame[spec.data.label].notna()]
    labels = rows[spec.data.label]
    return rows, _as_classes(labels) if classification else _as_numbers(labels)


def label_problems(
    spec: ModelSpec, train: pd.Series[Any], holdout: pd.Series[Any], classification: bool, min_train_rows: int
) -> list[Problem]:
    """Everything about the labels that forbids training."""
    problems = [
        *_too_few(spec, "training", len(train), min_train_rows),
        *_too_few(spec, "holdout", len(holdout), spec.gate.min_rows),
    ]
    if problems:
        return problems
    check = _class_problem if classification else _number_problem
    found = [check(spec, part, labels) for part, labels in (("training", train), ("holdout", holdout))]
    return [problem for problem in found if problem is not None]


def _as_classes(labels: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    kind = pd.api.types.infer_dtype(labels, skipna=True)
    if kind == "boolean":
        return labels.astype(bool)
    if kind == "integer" or (kind == "floating" and bool((labels % 1 == 0).all())):
        return labels.astype("int64")
    return labels.astype("float64") if kind == "floating" else labels.astype(str).astype(object)


def _as_numbers(labels: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    # text that is no number becomes missing, and missing is refused by `_number_problem`
    return pd.to_numeric(labels, errors="coerce").astype("float64")


def _too_few(spec: ModelSpec, part: str, rows: int, least: int) -> list[Problem]:
    if rows >= least:
        return []
    holdout = part == "holdout"
    code = ReasonCode.HOLDOUT_TOO_SMALL if holdout and rows else ReasonCode.LABELS_MISSING
    fix = "lengthen gate.holdout or lower gate.min_rows" if holdout else "lengthen data.window"
    return [
        Problem(
            code=code,
            field="gate.holdout" if holdout else "data.window",
            found=f"{rows} {part} rows with a label in {spec.data.label!r}",
            allowed=f"at least {least}",
            fix=f"check that {spec.data.label!r} is filled in the source, or {fix}",
        )
    ]


def _class_problem(spec: ModelSpec, part: str, labels: pd.Series[Any]) -> Problem | None:
    classes = labels.nunique()
    if 1 < classes <= MAX_CLASSES:
        return None
    if classes > MAX_CLASSES:
        return Problem(
            code=ReasonCode.ESTIMATOR_INVALID,
            field="training.estimator",
            found=f"a classifier, and {classes} distinct labels in {len(labels)} {part} rows",
            allowed=f"at most {MAX_CLASSES} classes",
            fix="name a regressor, or another data.label",
        )
    return Problem(
        code=ReasonCode.LABEL_SINGLE_CLASS,
        field="data.label",
        found=f"one class only in the {len(labels)} {part} rows of {spec.data.label!r}",
        allowed="at least two classes",
        fix="lengthen data.window or gate.holdout so that both outcomes occur, or check how the label is made",
    )


def _number_problem(spec: ModelSpec, part: str, labels: pd.Series[Any]) -> Problem | None:
    import numpy as np

    broken = int((~np.isfinite(labels.to_numpy(dtype=float))).sum())
    if broken:
        return Problem(
            code=ReasonCode.VALUE_NOT_FINITE,
            field="data.label",
            found=f"{broken} of {len(labels)} {part} labels in {spec.data.label!r} that are no finite number",
            allowed="finite numbers, for a regressor",
            fix="mend the label in the source, or name a classifier",
        )
    if labels.nunique() > 1:
        return None
    return Problem(
        code=ReasonCode.LABEL_SINGLE_CLASS,
        field="data.label",
        found=f"one value only in the {len(labels)} {part} rows of {spec.data.label!r}",
        allowed="labels that differ",
        fix="check how the label is made",
    )
