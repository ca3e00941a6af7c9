"""What the columns of an unknown table are: which identify a row, which one is predicted, and how."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.proposal.sample import SourceSample
from airflow_mlops.core.rows.columns import missing_columns, one_of
from airflow_mlops.core.rows.labels import folded, positive_class
from airflow_mlops.core.rows.types import ValueKind, kind_of_series
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd

ProposedTask = Literal["classification", "regression"]

MOST_CLASSES = 20
"""More distinct whole numbers than this are amounts or counts, not classes."""
_MOST_KEY_COLUMNS = 3
_MOST_TRIED = 12

_ID = re.compile(r"(^|_)(id|key|uuid|guid|code|no|nr|number|num|ref|sku|index|idx)$|id$|^(id|key|uuid)", re.IGNORECASE)
_OUTCOME = re.compile(
    r"^(label|target|y|outcome|class|response|result|truth|is_.*|has_.*|will_.*)$|"
    r"(^|_)(label|target|outcome)($|_)|"
    r"churn|fraud|default|late|delayed|cancel|convert|click|surviv|died|death|readmi|bought|purchased|subscribed|"
    r"approved|accepted|fail|broke|spam|returned|rain_?tomorrow",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"^(y|cnt|count|counts|value|load|price|sales|demand|amount|total|volume|quantity|qty|consumption|power|energy|"
    r"traffic|revenue|income|spend|score|rating|duration|usage|kwh|mw|rides|rentals|visits)$|"
    r"(_|^)(price|sales|demand|count|cnt|load|usage|consumption|kwh|mw|amount|revenue|income)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Role:
    """The columns that have a role, and the evidence for it."""

    columns: tuple[str, ...]
    reason: str
    sure: bool = True
    """Whether there is evidence for it; else it is the best guess, and is said to be one."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is predicted."""

    label: Role
    task: ProposedTask
    task_reason: str
    classes: tuple[str, ...] = ()
    """The distinct labels as text, the most frequent first; none for a regression."""
    share: float | None = None
    """Of two classes, the share of the rarer one."""
    rare: str | None = None
    """Of two classes, the rarer one."""

    @property
    def name(self) -> str:
        """The label's column."""
        return self.label.columns[0]

    @property
    def positive(self) -> str | None:
        """Of two texts of which none is evidently positive, the rarer one; None where nothing has to be named."""
        return self.rare if positive_class(self.classes, None) is None else None

    @property
    def rare_is_positive(self) -> bool:
        """Whether the positive class, as it is evident or proposed, is the rarer one."""
        return self.rare is not None and self.rare == (positive_class(self.classes, None) or self.positive)


def find_key(sample: SourceSample, named: Sequence[str] = (), label: str | None = None) -> Role:
    """Find the fewest columns that identify a row: one column, else columns that look like keys with the event time.

    Raises
    ------
    DataError
        If the named columns do not exist, or no few columns identify a row.
    """
    frame, time = sample.frame, sample.time
    names = [column.name for column in sample.columns]
    if named:
        problems = missing_columns(dict.fromkeys(named, "--key"), names, where="the source")
        if problems:
            raise DataError(problems)
        return Role(columns=tuple(named), reason="named by you")
    usable = [name for name in names if name not in (time, label) and _may_identify(frame[name])]
    ranked = sorted(usable, key=lambda name: (not _ID.search(name), names.index(name)))
    found = next(_keys(frame, time, ranked), None)
    if found is not None:
        return found
    doubled = int(frame.duplicated().sum())
    raise DataError(
        Problem(
            code=ReasonCode.KEY_DUPLICATED,
            field="data.key",
            found=f"no column, and no few of them with {time}, that differ in every row"
            + (f" ({doubled:,} of {len(frame):,} rows are whole copies of others)" if doubled else ""),
            allowed=f"columns that identify a row; there are: {one_of(names)[8:]}",
            fix="name them: --key COLUMN [COLUMN ...]; or take the copies out of the source",
        )
    )


def _keys(frame: pd.DataFrame, time: str, ranked: Sequence[str]) -> Iterator[Role]:
    """Yield what identifies a row, the likeliest first."""
    every = f"in all of {len(frame):,} rows"
    alone = [name for name in ranked if _identifies(frame, [name])]
    for name in alone[:1]:
        if _ID.search(name) or kind_of_series(frame[name]) != "number":
            yield Role(columns=(name,), reason=f"its values differ {every}")
    if _identifies(frame, [time]):
        yield Role(columns=(time,), reason="no two rows have the same time, and no other column identifies a row")
    first = ranked[:_MOST_TRIED]
    for some in (one for many in range(1, _MOST_KEY_COLUMNS) for one in combinations(first, many)):
        if _identifies(frame, [*some, time]):
            yield Role(columns=(*some, time), reason=f"one row for each {' and '.join(some)} at each time, {every}")
    for name in alone[:1]:
        yield Role(columns=(name,), reason=f"its values differ {every}, though they are numbers", sure=False)
    for some in (one for many in range(2, _MOST_KEY_COLUMNS + 1) for one in combinations(first, many)):
        if _identifies(frame, list(some)):
            yield Role(columns=some, reason=f"together they differ {every}")


def find_target(sample: SourceSample, key: Sequence[str], named: str | None = None) -> Target:
    """Find the label by its name, else take the last column; and tell classes from amounts by its values.

    Raises
    ------
    DataError
        If the named label does not exist, or no column can be one.
    """
    names = [column.name for column in sample.columns]
    if named is not None:
        problems = missing_columns({named: "--label"}, names, where="the source")
        if problems:
            raise DataError(problems)
        return _target(sample, Role(columns=(named,), reason="named by you"))
    usable = [name for name in names if name not in (sample.time, *key) and _may_be_label(sample.frame[name])]
    if not usable:
        raise DataError(
            Problem(
                code=ReasonCode.LABELS_MISSING,
                field="data.label",
                found="no column whose values are classes or numbers that differ",
                allowed=f"a column to predict; there are: {one_of(names)[8:]}",
                fix="name it: --label COLUMN",
            )
        )
    return _target(sample, _likely_label(sample.frame, usable))


def _likely_label(frame: pd.DataFrame, usable: Sequence[str]) -> Role:
    exact = [name for name in usable if re.fullmatch(r"label|target|y|outcome|class", name, re.IGNORECASE)]
    named = [name for name in usable if _OUTCOME.search(name) and frame[name].nunique() <= MOST_CLASSES]
    amounts = [name for name in usable if _AMOUNT.search(name) and kind_of_series(frame[name]) == "number"]
    for found, what in ((exact, "it is named so"), (named, "named as an outcome"), (amounts, "named as an amount")):
        if found:
            best = found[-1]
            others = [name for name in found if name != best]
            also = f"; also possible: {', '.join(others[:5])}" if others else ""
            return Role(columns=(best,), reason=what + also, sure=not others)
    last = usable[-1]
    return Role(columns=(last,), reason="the last column: nothing in its name says so", sure=False)


def _target(sample: SourceSample, label: Role) -> Target:
    values = sample.frame[label.columns[0]].dropna()
    task, reason = _task_of(values)
    if task == "regression":
        return Target(label=label, task=task, task_reason=reason)
    texts = kind_of_series(values) == "text"
    counts = (values.astype(str).map(folded) if texts else values).value_counts()
    classes = tuple(_spelled(values, one) if texts else str(one) for one in counts.index)
    two = len(classes) == 2  # noqa: PLR2004
    return Target(
        label=label,
        task=task,
        task_reason=reason,
        classes=classes,
        share=float(counts.iloc[-1] / counts.sum()) if two else None,
        rare=classes[-1] if two else None,
    )


def _spelled(values: pd.Series[Any], label: str) -> str:
    """Return a class as it is written most often."""
    texts = values.astype(str)
    return str(texts[texts.map(folded) == label].str.strip().mode().iloc[0])


def _task_of(values: pd.Series[Any]) -> tuple[ProposedTask, str]:
    import numpy as np

    kind, distinct = kind_of_series(values), values.nunique()
    if kind in ("text", "boolean"):
        return "classification", f"{distinct} distinct values, which are no numbers"
    numbers = values.to_numpy(dtype=float)
    whole = bool(np.all(numbers == np.round(numbers)))
    if distinct == 2 and whole:  # noqa: PLR2004
        return "classification", f"two values, {numbers.min():g} and {numbers.max():g}"
    if whole and distinct <= MOST_CLASSES and not _AMOUNT.search(str(values.name)):
        fewest = int(values.value_counts().min())
        if numbers.max() - numbers.min() < distinct and fewest * distinct * 10 >= len(values):
            return "classification", f"{distinct} whole numbers without a gap, each in many rows"
    return "regression", f"{distinct:,} distinct numbers from {numbers.min():g} to {numbers.max():g}"


def is_named_as_key(name: str) -> bool:
    """Whether a column's name says that it identifies something.

    >>> is_named_as_key("order_id"), is_named_as_key("temperature")
    (True, False)
    """
    return _ID.search(name) is not None


def _identifies(frame: pd.DataFrame, names: list[str]) -> bool:
    return not frame[names].isna().to_numpy().any() and not frame.duplicated(names).any()


def _may_identify(values: pd.Series[Any]) -> bool:
    """Whether values may be a key: text, whole numbers, times; a measured number that never repeats is none."""
    kind: ValueKind = kind_of_series(values)
    if kind == "number":
        numbers = values.dropna()
        return len(numbers) == len(values) and bool((numbers % 1 == 0).all())
    return kind in ("text", "time")


def _may_be_label(values: pd.Series[Any]) -> bool:
    kind, distinct = kind_of_series(values), values.nunique()
    if distinct < 2:  # noqa: PLR2004
        return False
    return kind in {"number", "boolean"} or (kind == "text" and distinct <= MOST_CLASSES)
