"""A calendar: train every so many steps, whatever happens."""

from __future__ import annotations

from airflow_mlops.core.backtest.losses import KnownLosses
from airflow_mlops.core.backtest.peers.rules import PeerInput, Rule, Wish, tune


def make_calendar(given: PeerInput) -> Rule:
    """Make a calendar whose period had the best objective in the steps before the span.

    Periods from one step to as many as there is history; never, where no period was worth its cost. The baseline of
    Zliobaite, Budka and Stahl, Towards cost-sensitive adaptation, Neurocomputing 150, 2015, and of every paper since.
    """
    longest = 0 if given.history is None else len(given.history.steps) - given.history.first - 1
    return train_every(tune(given, [None, *range(longest, 0, -1)], train_every))


def train_every(period: int | None) -> Rule:
    """Train whenever the champion has served so many steps; None: never."""

    def rule(known: KnownLosses) -> Wish:
        age = known.step - known.since
        if period is None:
            return Wish(retrain=False, reason="no period was worth its cost in the steps before the span")
        return Wish(retrain=age >= period, reason=f"{age} of {period} steps since the last training")

    return rule
