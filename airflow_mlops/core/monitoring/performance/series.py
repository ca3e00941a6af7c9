"""The row of a champion's blocks: whether it is worse than it was, or worse than no model at all.

Worse in two ways. It loses more than it expects of these rows itself; and it loses more than it would with a level and
slope that were learned from the rows before (`core.stats.recalibration`). The first sees what no line mends; the second
sees a model that says too much as well as one that says too little, of which the first is blind to one: who says 0.3
where 0.15 is true loses less than expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.records.performance import BlockExcess, LineTerms, Rise
from airflow_mlops.core.stats.mean_rise import LEVEL, chance_of_no_loss, find_rise
from airflow_mlops.core.stats.recalibration import find_savings

NEWEST = 28
"""Blocks of which the gain on the baseline is looked at: what was gained a year ago serves nobody now."""


@dataclass(frozen=True, kw_only=True)
class ExcessSeries:
    """What the blocks show; none where there are too few."""

    blocks: tuple[BlockExcess, ...]
    """In service, oldest first."""
    new: int
    """So many of them were seen by this look."""
    rise: Rise | None
    urgent: bool
    """Whether the rise is surely more than the urgent bound too."""
    anchored: bool
    """Whether there are blocks of the holdout rows: without them the promise is a number alone."""
    worthless: float | None
    """Chance of such a loss against the trivial baseline if there were none; None where it is not known."""

    @property
    def sure(self) -> bool:
        """Whether the champion is surely worse than it was by more than is allowed."""
        return self.rise is not None and self.rise.p <= LEVEL

    @property
    def changed(self) -> datetime | None:
        """Since when it is surely worse; None where it is not."""
        return self.rise.since if self.rise is not None and self.sure else None

    @property
    def decides(self) -> bool:
        """Whether the row of blocks says what the verdict is.

        Without blocks of the holdout rows it can only say that the champion got worse: the promise is a number alone.
        """
        return self.rise is not None and self.new > 0 and (self.anchored or self.sure)

    @property
    def beaten(self) -> bool:
        """Whether it is surely worse than the trivial baseline."""
        return self.worthless is not None and self.worthless <= LEVEL


def series_of(
    reference: Sequence[BlockExcess],
    blocks: tuple[BlockExcess, ...],
    bound: float | None,
    urgent: float | None,
    *,
    new: int,
    learned: int,
    late: int,
) -> ExcessSeries:
    """Look for the most telling rise in the row of reference and service.

    Parameters
    ----------
    reference
        Blocks of the holdout rows, before any change.
    bound, urgent
        How much worse is no decay, and no urgent one; None: not known, and nothing is found.
    new
        How many of `blocks` were seen by this look.
    learned, late
        See :func:`airflow_mlops.core.stats.recalibration.find_savings`.
    """
    every = (*reference, *blocks)
    itself = [one.excess for one in every]
    recalibrated = savings_of(every, learned=learned, late=late)
    found = None
    if bound is not None:
        rises = (
            _rise(itself, every, len(reference), bound, urgent, "itself"),
            _rise(recalibrated, every, len(reference), bound, urgent, "recalibrated"),
        )
        found = min((one for one in rises if one is not None), key=lambda one: one[0].p, default=None)
    gains = [one.gain for one in blocks[-NEWEST:] if one.gain is not None]
    return ExcessSeries(
        blocks=blocks,
        new=new,
        rise=None if found is None else found[0],
        urgent=found is not None and found[1],
        anchored=bool(reference),
        worthless=chance_of_no_loss([-gain for gain in gains]),
    )


def savings_of(every: Sequence[BlockExcess], *, learned: int, late: int) -> list[float] | None:
    """Return what each block would have been better by, had its champion been recalibrated; None: nobody knows."""
    import numpy as np

    lines: list[LineTerms] = [one.line for one in every if one.line is not None]
    if not lines or len(lines) < len(every):
        return None
    score: Array = np.array([one.score for one in lines])
    information: Array = np.array([(one.information[:2], one.information[1:]) for one in lines])
    rows = np.array([one.rows for one in every])
    return [float(saved) for saved in find_savings(score, information, rows, learned=learned, late=late)]


def _rise(  # noqa: PLR0917 - a series, its blocks, and what is allowed
    values: Sequence[float] | None,
    every: tuple[BlockExcess, ...],
    reference: int,
    bound: float,
    urgent: float | None,
    beside: Literal["itself", "recalibrated"],
) -> tuple[Rise, bool] | None:
    """The most telling rise of a series, and whether it is surely more than the urgent bound."""
    # A week of storms looks like another level to a line; a change that a line has learned lasts as long as what the
    # champion was judged on.
    after = reference if beside == "recalibrated" else 0
    found = None if values is None else find_rise(values, reference, bound, widest=urgent, after=after)
    if values is None or found is None:
        return None
    grave = None
    if found.sure and urgent is not None:
        grave = find_rise(values, reference, urgent, widest=urgent, after=after)
    rise = Rise(
        since=every[found.start].start,
        blocks=len(every) - found.start,
        size=found.size,
        surely=found.surely,
        p=found.p,
        beside=beside,
    )
    return rise, grave is not None and grave.sure
