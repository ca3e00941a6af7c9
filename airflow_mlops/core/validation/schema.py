"""Columns that are missing, renamed, retyped or there twice: told apart, because each is mended elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from airflow_mlops.core.records.snapshot import Column
from airflow_mlops.core.records.validation import Check
from airflow_mlops.core.rows.columns import same_letters
from airflow_mlops.core.rows.types import ValueKind, kind_of_series, kind_of_type
from airflow_mlops.core.validation.wording import failed, names, share
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.suggest import likeness

if TYPE_CHECKING:
    import pandas as pd

Role = Literal[
    "time", "key", "label", "numeric", "categorical", "numeric or time", "categorical or time", "calendar", "excluded",
    "named",
]  # fmt: skip
"""A transformer may be given times under either list; `calendar` is what numbers are made of."""

ALIKE = 0.72
"""Smallest likeness of two names for a suggestion: below it, suggestions are more often wrong than right."""
_KINDS: Mapping[Role, frozenset[ValueKind]] = {
    "time": frozenset({"time"}),
    "label": frozenset({"text", "number", "boolean"}),
    "numeric": frozenset({"number", "boolean"}),
    "categorical": frozenset({"text", "number", "boolean"}),
    "numeric or time": frozenset({"number", "boolean", "time"}),
    "categorical or time": frozenset({"text", "number", "boolean", "time"}),
    "calendar": frozenset({"time", "text"}),
}


@dataclass(frozen=True, kw_only=True)
class WantedColumn:
    """A column that must be there, and what for. Excluded columns are merely known: they are not extra."""

    name: str
    role: Role = "named"
    severity: Literal["error", "warning"] = "error"

    @property
    def kinds(self) -> frozenset[ValueKind] | None:
        """Kinds of values that fit the role; None when any does."""
        return _KINDS.get(self.role)

    @property
    def in_words(self) -> str:
        """The column as a person would ask for it."""
        values = {
            "time": " of times",
            "label": " of classes or numbers",
            "numeric": " of numbers",
            "categorical": " of categories",
            "numeric or time": " of numbers or times",
            "categorical or time": " of categories or times",
            "calendar": " of dates or times",
        }
        return f"a column '{self.name}'{values.get(self.role, '')}"


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What the comparison found: failed checks, the columns that cannot be looked at, and the extra ones."""

    checks: tuple[Check, ...] = ()
    unusable: frozenset[str] = frozenset()
    extra: tuple[str, ...] = ()
    kinds: Mapping[str, ValueKind] = field(default_factory=dict)


def compare(
    frame: pd.DataFrame,
    wanted: Sequence[WantedColumn],
    source_columns: Sequence[Column] = (),
    mentions: Iterable[str] = (),
) -> Schema:
    """Compare the columns that are wanted with those that came.

    Parameters
    ----------
    frame
        The rows.
    wanted
        Columns that must be there.
    source_columns
        Every column of the source, when the frame holds only some of them.
    mentions
        Columns that expectations are about, once for each expectation: says what could not be checked.
    """
    here = [str(name) for name in frame.columns]
    offered = [column.name for column in source_columns] or here
    twice = sorted(name for name, count in (Counter(here) | Counter(offered)).items() if count > 1)
    kinds = {name: kind_of_series(frame[name]) for name in here if name not in twice}
    arrow = {column.name: kind_of_type(column.type) for column in source_columns}
    known = {want.name for want in wanted}
    missing = [w for w in wanted if w.role != "excluded" and w.name not in here and w.name not in twice]
    spare = [name for name in dict.fromkeys(offered) if name not in known]
    renamed = _renamed(missing, {name: kinds.get(name) or arrow.get(name, "other") for name in spare})
    counted, rows = Counter(mentions), len(frame)
    checks = [_duplicated(name, rows) for name in twice]
    checks += [_missing(want, renamed.get(want.name), offered, counted[want.name], rows) for want in missing]
    retyped = [w for w in wanted if w.kinds and kinds.get(w.name, "empty") not in w.kinds | {"empty"}]
    checks += [_retyped(want, frame, kinds[want.name], rows) for want in retyped]
    return Schema(
        checks=tuple(checks),
        unusable=frozenset(twice) | {want.name for want in (*missing, *retyped)},
        extra=tuple(name for name in spare if name not in {new for new, _ in renamed.values()} and name not in twice),
        kinds=kinds,
    )


def _renamed(missing: Sequence[WantedColumn], spare: Mapping[str, ValueKind]) -> dict[str, tuple[str, ValueKind]]:
    """Pair missing columns with spare ones: the most alike first, each spare column once."""
    pairs = sorted(
        ((likeness(want.name, name), want, name) for want in missing for name in spare),
        key=lambda pair: (-pair[0], pair[1].name, pair[2]),
    )
    paired: dict[str, tuple[str, ValueKind]] = {}
    for score, want, name in pairs:
        fits = want.kinds is None or spare[name] in want.kinds
        if score >= ALIKE and fits and want.name not in paired and name not in {new for new, _ in paired.values()}:
            paired[want.name] = (name, spare[name])
    return paired


def _duplicated(name: str, rows: int) -> Check:
    return failed(
        "schema",
        name,
        rows,
        found=f"more than one column '{name}'",
        allowed="each column name once",
        fix="rename or drop the others at the source",
        code=ReasonCode.COLUMN_DUPLICATED,
    )


def _missing(
    want: WantedColumn, new: tuple[str, ValueKind] | None, offered: Sequence[str], mentions: int, rows: int
) -> Check:
    untold = f"; {mentions} expectations on it could not be checked" if mentions > 1 else ""
    if new:
        found = f"no column '{want.name}', but '{new[0]}' ({new[1]}), which nothing asks for{untold}"
        fix = f"if it was renamed, rename it back at the source or write '{new[0]}' in the specification"
        fix += f".{looks}" if (looks := same_letters(want.name, new[0])) else ""
        code = ReasonCode.COLUMN_RENAMED
    else:
        found = f"no column '{want.name}' among {len(offered)}: {names(offered) or 'none'}{untold}"
        fix = "bring the column back at the source, or take it out of the specification"
        code = ReasonCode.COLUMN_MISSING
    return failed(
        "schema", want.name, rows, found=found, allowed=want.in_words, fix=fix, code=code, severity=want.severity
    )


def _retyped(want: WantedColumn, frame: pd.DataFrame, kind: ValueKind, rows: int) -> Check:
    wrong = want.role == "time"
    found = f"{kind} ({frame[want.name].dtype})" if kind != "mixed times" else "times of more than one zone"
    if want.role == "numeric" and kind == "text":
        found += f"; {_unreadable(frame[want.name])}"
    fix = "write one time zone (UTC) at the source" if wrong else "cast it at the source, or give it another role"
    if want.role == "label":
        fix = "name another data.label, or make classes or numbers of it at the source"
    if kind == "time" and want.role in ("numeric", "categorical"):
        fix = f"write features.calendar: {{{want.name}: [hour, weekday, month, age_days]}}, or take it out of the list"
    return failed(
        "schema",
        want.name,
        rows,
        found=found,
        allowed=want.in_words,
        fix="parse it as a time at the source" if wrong and kind != "mixed times" else fix,
        code=ReasonCode.TIME_INVALID if wrong else ReasonCode.COLUMN_RETYPED,
        severity=want.severity,
    )


def _unreadable(series: pd.Series) -> str:
    """Say how much of a text column is no number: all of it is another column, a little of it is dirt."""
    import pandas as pd

    present = series.dropna()
    wrong = int(pd.to_numeric(present, errors="coerce").isna().sum())
    if not wrong:
        return "every value can be read as a number"
    return f"{share(wrong, len(present), 'values')} cannot be read as numbers"
