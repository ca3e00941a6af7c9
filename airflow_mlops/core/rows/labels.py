"""Labels fit to be learned: present, of one kind, and with something to tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.records.candidate import Label
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.columns import missing_columns, require_columns
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.suggest import composed, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

MAX_CLASSES = 100
"""More distinct labels than this is a number or a key, not a class."""


PAIRS: tuple[tuple[str, str], ...] = (
    *(("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y"), ("off", "on")),
    *(("negative", "positive"), ("neg", "pos"), ("-", "+")),
)
"""Pairs of texts of which the second is the positive one, whatever their case. Of two numbers, also written as text,
the larger is; of false and true, true."""


def has_label_column(spec: ModelSpec, store: DataStore, window: Window) -> bool:
    """Whether the rows of a window have a label column: files of the newest days may have none yet.

    Raises
    ------
    DataError
        If nothing in the whole source has it: then it was renamed or dropped.
    """
    label = spec.data.label
    if label in {column.name for column in store.schema(window, spec.data.time)}:
        return True
    gone = missing_columns({label: "data.label"}, [column.name for column in store.schema()], where=store.description)
    if gone:
        raise DataError(gone, subject=spec.name)
    return False


def clean_labels(
    spec: ModelSpec, frame: pd.DataFrame, classification: bool, classes: Sequence[Label] = ()
) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Leave out rows without a label, and give the labels one type.

    Class labels become bool, int or text; whole floats (what pandas makes of integers beside a missing value)
    become int again. Labels of a regression become float64; infinite ones are left for `label_problems`.

    Parameters
    ----------
    classes
        Labels of a model: texts that differ from one of them by case, surrounding space or composition only are taken
        for it, as they are in a snapshot.

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
    rows = frame[has_label(frame[spec.data.label])]
    labels = rows[spec.data.label]
    if not classification:
        return rows, _as_numbers(labels)
    found = _as_classes(labels)
    known = {folded(label): label for label in classes if isinstance(label, str)}
    if known and found.dtype == object:
        spelt = {label: known.get(folded(label), label) for label in found.unique() if label not in classes}
        found = found.map(lambda label: spelt.get(label, label)) if spelt else found
    return rows, found


def has_label(labels: pd.Series[Any]) -> Any:
    """Which rows have a label: a text of white space is none; shape (rows,)."""
    there = labels.notna()
    if labels.dtype == object or str(labels.dtype) in {"string", "category"}:
        blank = [label for label in labels[there].unique() if isinstance(label, str) and not label.strip()]
        if blank:
            return (there & ~labels.isin(blank)).to_numpy()
    return there.to_numpy()


def folded(label: str) -> str:
    """A text without what no two classes differ in: case, surrounding space, and how its letters are composed.

    >>> folded(" Fraud ")
    'fraud'
    """
    return composed(label.strip().casefold())


def ways_to_write(label: Any) -> tuple[str, ...]:
    """How a label may be written in a specification, which is text and numbers.

    >>> ways_to_write(True), ways_to_write(1.0), ways_to_write("late")
    (('true', 'True'), ('1', '1.0'), ('late',))
    """
    if isinstance(label, bool):
        return (str(label).lower(), str(label))
    if isinstance(label, float) and label.is_integer():
        return (str(int(label)), str(label))
    return (str(label),)


def positive_class(classes: Sequence[Label], named: Label | None) -> Label | None:
    """Return which of two classes is the positive one; None where it is neither named nor evident.

    Parameters
    ----------
    classes
        Of any number; of other than two, none is positive.
    named
        `data.positive`.

    Examples
    --------
    >>> positive_class(("fraud", "legit"), "fraud"), positive_class(("No", "YES"), None), positive_class((0, 1), None)
    ('fraud', 'YES', 1)
    >>> print(positive_class(("fraud", "legit"), None))
    None
    """
    if len(classes) != 2:  # noqa: PLR2004
        return None
    if named is not None:
        wanted = {folded(written) for written in ways_to_write(named)}
        return next((one for one in classes if wanted & {folded(each) for each in ways_to_write(one)}), None)
    numbers = [_number(label) for label in classes]
    if None not in numbers:
        return max(zip(numbers, classes, strict=True), key=lambda pair: pair[0] or 0.0)[1]
    texts = {folded(str(label)): label for label in classes}
    return next((texts[second] for first, second in PAIRS if texts.keys() == {first, second}), None)


def positive_problem(spec: ModelSpec, counts: Mapping[Label, int]) -> Problem | None:
    """What is wrong with `data.positive` for these classes, if anything.

    Parameters
    ----------
    counts
        Rows of each class.
    """
    named = spec.data.positive
    classes = sorted(counts, key=str)
    if positive_class(classes, named) is not None or len(classes) < 2 or (named is None and len(classes) > 2):  # noqa: PLR2004
        return None
    shown = ", ".join(f"{str(label)!r} ({counts[label]:,} rows)" for label in classes[:10])
    more = f" and {len(classes) - 10} more" if len(classes) > 10 else ""  # noqa: PLR2004 - a sentence
    if named is None:
        first, second = classes
        return Problem(
            code=ReasonCode.LABEL_AMBIGUOUS,
            field="data.positive",
            found=f"the labels {shown} in {spec.data.label!r}, and nothing that says which is the positive class",
            allowed=f"{first!r} or {second!r}; evident are only numbers, true and false, and pairs such as no/yes",
            fix=f"write data.positive: {first}, or data.positive: {second}",
        )
    if len(classes) > 2:  # noqa: PLR2004
        return Problem(
            code=ReasonCode.LABEL_AMBIGUOUS,
            field="data.positive",
            found=f"{str(named)!r}, and {len(classes)} classes in {spec.data.label!r}: {shown}{more}",
            allowed="a positive class of two classes",
            fix="mend the labels that are none of the two, or take data.positive out to tell all of them apart",
        )
    return Problem(
        code=ReasonCode.LABEL_AMBIGUOUS,
        field="data.positive",
        found=f"{str(named)!r}, and the labels {shown} in {spec.data.label!r}",
        allowed=f"{' or '.join(repr(label) for label in classes)}",
        fix=did_you_mean(str(named), [str(label) for label in classes]) or "write one of them",
    )


def _number(label: Label) -> float | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


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
    if kind == "decimal":  # what databases give for NUMERIC
        labels, kind = labels.astype("float64"), "floating"
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
        return _fractions(spec, part, labels)
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


def _fractions(spec: ModelSpec, part: str, labels: pd.Series[Any]) -> Problem | None:
    """No classifier takes fractions for classes: scikit-learn calls such labels continuous."""
    if labels.dtype.kind != "f":
        return None
    return Problem(
        code=ReasonCode.ESTIMATOR_INVALID,
        field="training.estimator",
        found=f"a classifier, and labels with fractions in the {len(labels)} {part} rows of {spec.data.label!r}",
        allowed="classes that are whole numbers, texts, or true and false",
        fix="name a regressor, or write the classes as texts or whole numbers at the source",
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
