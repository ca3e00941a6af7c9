"""A cumulative sum of the champion's losses by day, against those of its own holdout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_mlops.core.backtest.losses import KnownLosses
from airflow_mlops.core.backtest.peers.rules import PeerInput, Rule, Wish, tune

FEWEST = 5
"""Blocks of the holdout with a loss, of which a deviation says something."""
ALLOWANCES = (0.5, 0.25, 1.0)
LIMITS = (5.0, 4.0, 6.0, 3.0, 8.0, 2.0, 12.0)


@dataclass(frozen=True, kw_only=True)
class CusumSetting:
    """In standard deviations of a block."""

    allowance: float
    """Taken from each value: half of the rise that is to be found."""
    limit: float
    """Sum at which it calls."""


SETTINGS = tuple(CusumSetting(allowance=k, limit=h) for h in LIMITS for k in ALLOWANCES)
"""The textbook's first (D. Montgomery, Introduction to statistical quality control, section 9.1): with level and
deviation known, allowance 0.5 and limit 5 call without a cause once in 938 blocks (approximation of D. Siegmund,
Sequential analysis, 1985)."""


def make_cusum(given: PeerInput) -> Rule:
    """Make a sum whose allowance and limit had the best objective in the steps before the span.

    E. Page, Continuous inspection schemes, Biometrika 41, 1954. A block is at most a day; its value is in deviations of
    the holdout's blocks from their mean, and the sum begins anew with each champion. Level and deviation are estimated
    from two weeks, so that it calls more often without a cause than the textbook's table says.
    """
    return watch_losses(tune(given, SETTINGS, watch_losses))


def watch_losses(setting: CusumSetting) -> Rule:
    """Train when the sum over the blocks in which the champion served is above the limit."""

    def rule(known: KnownLosses) -> Wish:
        reference = [block.loss for block in known.holdout(known.champion) if block.loss is not None]
        if len(reference) < FEWEST:
            return Wish(
                retrain=False, reason=f"{len(reference)} blocks of the holdout have a loss, {FEWEST} are needed"
            )
        mean = math.fsum(reference) / len(reference)
        deviation = math.sqrt(math.fsum((loss - mean) ** 2 for loss in reference) / (len(reference) - 1))
        if deviation <= 0:
            return Wish(retrain=False, reason="the blocks of the holdout do not differ")
        values = [(block.loss - mean) / deviation for block in known.served_blocks() if block.loss is not None]
        top = max(cumulative_sums(values, setting.allowance), default=0.0)
        return Wish(retrain=top > setting.limit, reason=f"the sum was at {top:.3g}, its limit is {setting.limit:g}")

    return rule


def cumulative_sums(values: Sequence[float], allowance: float) -> list[float]:
    """Return ``S_n = max(0, S_{n-1} + x_n - k)`` with ``S_0 = 0``: Page's one-sided scheme.

    >>> cumulative_sums([1.0, -2.0, 1.5, 2.5], 0.5)
    [0.5, 0.0, 1.0, 3.0]
    """
    found, total = [], 0.0
    for value in values:
        total = max(0.0, total + value - allowance)
        found.append(total)
    return found
