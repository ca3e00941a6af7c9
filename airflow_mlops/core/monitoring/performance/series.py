"""The row of a champion's blocks: whether it is worse than it was, or worse than no model at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_mlops.core.records.performance import BlockExcess, Rise
from airflow_mlops.core.stats.mean_rise import LEVEL, MeanRise, chance_of_no_loss, find_rise

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
    """
    values = [one.excess for one in (*reference, *blocks)]
    found = None if bound is None else find_rise(values, len(reference), bound, widest=urgent)
    grave = None
    if found is not None and found.sure and urgent is not None:
        grave = find_rise(values, len(reference), urgent, widest=urgent)
    gains = [one.gain for one in blocks[-NEWEST:] if one.gain is not None]
    return ExcessSeries(
        blocks=blocks,
        new=new,
        rise=None if found is None else _rise(found, (*reference, *blocks)),
        urgent=grave is not None and grave.sure,
        anchored=bool(reference),
        worthless=chance_of_no_loss([-gain for gain in gains]),
    )


def _rise(found: MeanRise, every: tuple[BlockExcess, ...]) -> Rise:
    return Rise(
        since=every[found.start].start,
        blocks=len(every) - found.start,
        size=found.size,
        surely=found.surely,
        p=found.p,
    )
