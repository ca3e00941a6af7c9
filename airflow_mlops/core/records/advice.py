"""What trying the remedies of a refused first model on history has shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from airflow_mlops.core.records.base import Record
from airflow_mlops.core.records.decision import Verdict

AS_IT_IS = "as_it_is"
"""Name of the trial of the specification without any change."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A candidate as of one step, judged as a first model."""

    as_of: datetime
    verdict: Verdict | None
    """None: nothing was trained."""
    reason: str
    """The first reason of the gate, or why nothing was trained."""
    metric: str = ""
    """The primary metric of the gate."""
    candidate: float | None = None
    constant: float | None = None
    """Of candidate and constant prediction, on the same rows."""
    gain: float | None = None
    lower: float | None = None
    upper: float | None = None
    """Gain over the constant, positive is better, with the gate's bounds; None where they could not be computed."""
    rows: int = 0
    apart: bool = False
    """Whether its holdout shares no row with that of a newer look which counts: only such looks are counted."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One remedy, or the specification as it is, at every step."""

    name: str
    title: str
    settings: Mapping[str, Any]
    """What was written into the specification, by dotted path."""
    because: str
    """What in the evidence pointed to it; empty where nothing did."""
    looks: tuple[Look, ...]
    """In order of time."""
    p: float | None
    """p-value of `no model is better than the constant`, corrected for the number of remedies; None as it is."""

    @property
    def newest(self) -> Look:
        """The look as of the newest step."""
        return self.looks[-1]

    @property
    def counted(self) -> tuple[Look, ...]:
        """The looks that share no rows."""
        return tuple(look for look in self.looks if look.apart)

    @property
    def accepted(self) -> int:
        """How many of these were accepted."""
        return sum(look.verdict is Verdict.ACCEPT for look in self.counted)

    @property
    def first_champion(self) -> datetime | None:
        """As-of of the first step at which there would be a champion."""
        return next((look.as_of for look in self.looks if look.verdict is Verdict.ACCEPT), None)


@dataclass(frozen=True, kw_only=True)
class AdviceReport(Record):
    """Every remedy that applies, tried on history, and what follows from it."""

    FORMAT: ClassVar[int] = 1

    model: str
    spec_fingerprint: str
    data_fingerprint: str
    every_seconds: float
    trials: tuple[Trial, ...]
    """As it is first, then those that the evidence points to."""
    recommended: str | None
    """Name of a trial; None: none helped."""
    sure: bool
    """Whether luck is excluded, at the gate's confidence, for all remedies together."""
    why: str
    notes: tuple[str, ...] = ()
