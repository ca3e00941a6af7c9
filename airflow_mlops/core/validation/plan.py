"""What a rule may ask about the rows, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.records.validation import Check
from airflow_mlops.core.rows.types import ValueKind
from airflow_mlops.core.validation.schema import WantedColumn
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.row_conditions import RowCondition
from airflow_mlops.spec.validation import Expectation

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class CheckedRows:
    """The rows with everything a rule may ask about them."""

    frame: pd.DataFrame
    """Columns that can be looked at, each name once."""
    kinds: Mapping[str, ValueKind]
    wanted: tuple[WantedColumn, ...]
    extra: tuple[str, ...]
    as_of: datetime | None

    def role(self, role: str) -> tuple[str, ...]:
        """Columns of a role that are there."""
        return tuple(w.name for w in self.wanted if w.role == role and w.name in self.frame)

    def has_role(self, role: str) -> bool:
        """Whether a column of this role is wanted; when it is missing, its own check has said so."""
        return any(want.role == role for want in self.wanted)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One Great Expectations expectation to be run, and how its failure is said."""

    expectation: Expectation
    columns: tuple[str, ...]
    """Columns it needs; empty: the whole frame."""
    type: str
    kwargs: Mapping[str, Any]
    broken: str = "break it"
    allowed: str
    fix: str = "correct the rows at the source, or change the expectation"
    code: ReasonCode = ReasonCode.EXPECTATION_FAILED
    only: RowCondition | None = None
    """Which rows it is about; None: all."""
    about: str = ""
    """Column or columns as the report names them."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One short name."""

    wrong: Callable[[Expectation], str]
    """What is wrong with the arguments; empty when nothing is."""
    takes: str
    """What the arguments must be, in words."""
    plan: Callable[[Expectation, CheckedRows], Iterable[Step | Check]]
