"""CARA: train when the staleness of the champion costs more than a training (Mahadevan and Mathioudakis, 2024).

A. Mahadevan and M. Mathioudakis, Cost-aware retraining for machine learning, Knowledge-Based Systems 293, 2024
(preprint arXiv 2310.04216). The staleness cost of a model is its loss on the rows that arrive, relative to its loss
when it was trained. Three rules go by it, and their parameters are those with the least total cost on an offline part
of the stream: a threshold on the newest staleness, one on its sum since the last training, a period with an offset.

Two things differ here. The paper weighs the loss on labelled rows by their likeness to the rows to be predicted; here
both are the same rows, whose labels come later, so there are no weights, and a rule acts on what was known by then. And
the offline part is judged by the same objective as the span.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_mlops.core.backtest.losses import KnownLosses, mean_of
from airflow_mlops.core.backtest.peers.rules import PeerInput, Rule, Wish, tune

MULTIPLES = (1.0, 0.5, 2.0, 0.25, 4.0, 0.125, 8.0, math.inf)
"""Thresholds that are tried, in costs of a retraining, the nearest to 1 first: there staleness pays for a training."""


@dataclass(frozen=True, kw_only=True)
class Period:
    """When a calendar trains: at the steps ``offset``, ``offset + length``, ... after the first."""

    length: int
    offset: int


def make_threshold(given: PeerInput) -> Rule:
    """Make CARA-T: train when the newest staleness is above the threshold."""

    def make(multiple: float) -> Rule:
        limit = _limit(multiple, given)

        def rule(known: KnownLosses) -> Wish:
            found = newest_staleness(known)
            if found is None:
                return Wish(retrain=False, reason="no new losses of the champion are known")
            return Wish(retrain=found > limit, reason=f"the newest staleness is {found:.4g}, the threshold {limit:.4g}")

        return rule

    return make(tune(given, MULTIPLES, make))


def make_cumulative(given: PeerInput) -> Rule:
    """Make CARA-CT: train when the staleness since the last training adds up to more than the threshold."""

    def make(multiple: float) -> Rule:
        limit = _limit(multiple, given)

        def rule(known: KnownLosses) -> Wish:
            found = summed_staleness(known)
            return Wish(retrain=found > limit, reason=f"staleness adds up to {found:.4g}, the threshold is {limit:.4g}")

        return rule

    return make(tune(given, MULTIPLES, make))


def make_periodic(given: PeerInput) -> Rule:
    """Make CARA-P: train at every so many steps, counted from an offset."""
    longest = 0 if given.history is None else len(given.history.steps) - given.history.first - 1
    periods = [Period(length=n, offset=a) for n in range(longest, 0, -1) for a in range(n, 0, -1)]
    return train_at(tune(given, [None, *periods], train_at))


def train_at(period: Period | None) -> Rule:
    """Train at the steps of a period; None: never."""

    def rule(known: KnownLosses) -> Wish:
        if period is None:
            return Wish(retrain=False, reason="no period was worth its cost in the steps before the span")
        after = known.step - known.first - period.offset
        due = after >= 0 and after % period.length == 0
        return Wish(retrain=due, reason=f"every {period.length} steps from step {period.offset} on")

    return rule


def newest_staleness(known: KnownLosses) -> float | None:
    """Champion's mean loss in the blocks that became known since the step before, less that on its holdout.

    In units of one step's mean loss; None where nothing became known.
    """
    loss, base = mean_of(known.new_blocks()), known.holdout_loss(known.champion)
    return None if loss is None or base is None else loss - base


def summed_staleness(known: KnownLosses) -> float:
    """Champion's loss less that on its holdout, added up over the blocks that it served, by their share of a step."""
    base = known.holdout_loss(known.champion)
    if base is None:
        return 0.0
    every = known.every
    return math.fsum(
        (block.loss - base) * ((block.end - block.start) / every)
        for block in known.served_blocks()
        if block.loss is not None
    )


def _limit(multiple: float, given: PeerInput) -> float:
    return math.inf if math.isinf(multiple) else multiple * given.price
