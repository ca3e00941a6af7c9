"""Which rows are missing where groups cannot be compared, how many more would do, and what follows meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.gate.rules.fairness.group_rates import Measure
from airflow_mlops.core.rows.slicing import Cut
from airflow_mlops.spec.types import format_duration

TOLD = 4
"""Groups whose missing rows are told."""
_MEANT = {"wait": "wait: the champion stays", "record": "record: it does not count"}


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """What is missing."""

    reason: str
    times: float
    """So many times as many rows of the same kind would do; infinite where there are none of a kind."""


def shortage_of_groups(cuts: Cut, name: str, least: int) -> Shortage:
    """Fewer than two groups of an attribute may be measured at all."""
    every = [*cuts.judged, *cuts.small]
    missing = _told([f"{name} = {rows.value} ({len(rows.index):,} of {least:,})" for rows in cuts.small])
    reason = (
        f"{len(cuts.judged)} of {len(every)} groups of {name} have at least {least:,} rows (gate.fairness.min_rows):"
        f" there are no two to compare; missing are rows of {missing}"
    )
    second = sorted((len(rows.index) for rows in every), reverse=True)[1]
    return Shortage(reason=reason, times=least / second)


def shortage_of_rows(measure: Measure, needed: Array, bound: float, confidence: float) -> Shortage:
    """Fewer than two groups have the rows that a bound is decided with.

    Parameters
    ----------
    measure
        On every group that may be measured.
    needed
        Rows that each of its parts needs, shape (parts,).
    """
    missing, times = [], []
    for place, rows in enumerate(measure.groups):
        shares = measure.counts[:, place] / needed
        part = int(shares.argmin())
        times.append(1 / shares[part] if shares[part] > 0 else math.inf)
        if shares[part] < 1:
            has = f"{measure.counts[part, place]:,.0f} of {int(needed[part]):,} {measure.among[part]}"
            missing.append(f"{rows.column} = {rows.value} ({has})")
    reason = (
        f"is not decided: the bound {bound:g} takes {asked_rows(measure, needed, 'and')} in each of two groups, for a"
        f" fair model to be within it in {confidence * 100:g} % of holdouts; missing are rows of {_told(missing)}"
    )
    return Shortage(reason=reason, times=sorted(times)[1])


def asked_rows(measure: Measure, needed: Array, link: str) -> str:
    """Rows that a bound is decided with, in words."""
    asked = dict(zip(measure.among, needed, strict=True))
    return f" {link} ".join(f"{int(rows):,} {what}" for what, rows in asked.items())


def what_follows(inputs: RuleInput, times: float, pooled: str) -> str:
    """Which holdout would do, and what is done meanwhile, in words that follow a reason.

    Parameters
    ----------
    pooled
        Which windows the rows are of already, where they are not the holdout's alone.
    """
    if pooled:
        return f" ({pooled})"
    longer, meant = "", _MEANT.get(inputs.spec.gate.fairness.undecided)
    if math.isfinite(times) and times > 1:
        held = (inputs.window.end - inputs.window.start) / timedelta(days=1)
        longer = f"; a gate.holdout of about {format_duration(timedelta(days=math.ceil(times * held)))} has them"
    return longer + (f"; gate.fairness.undecided = {meant}" if meant else "")


def _told(missing: Sequence[str]) -> str:
    more = f" and {len(missing) - TOLD} more groups" if len(missing) > TOLD else ""
    return ", ".join(missing[:TOLD]) + more
