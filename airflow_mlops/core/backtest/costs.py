"""What a retraining costs, in the unit of the loss: so that policies which train much and little can be compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.types import format_duration

SHARE = 0.01
"""Of the first model's metric: what a retraining costs for `per` where the specification does not say it."""


@dataclass(frozen=True, kw_only=True)
class RetrainingCost:
    """One retraining costs as much as predictions that are worse by `worse_by` for `per`."""

    worse_by: float
    """In units of the primary metric, >= 0."""
    per: timedelta
    derived: bool = False
    """Whether `worse_by` was taken from the first model, not from the specification."""

    def over(self, span: timedelta) -> float:
        """Return what one retraining adds to the mean loss over a span; rows are taken to come evenly.

        >>> RetrainingCost(worse_by=0.01, per=timedelta(days=30)).over(timedelta(days=300))
        0.001
        """
        return self.worse_by * (self.per / span) if span else 0.0

    def words(self, metric: str) -> str:
        """Say it in a sentence."""
        source = "a hundredth of what the first model has on its holdout" if self.derived else "retraining.cost"
        return (
            f"One retraining is taken to cost as much as a {metric} that is worse by {self.worse_by:.4g} for "
            f"{format_duration(self.per)} ({source})."
        )


def cost_of(spec: ModelSpec, first: Candidate, metric: str, share: float = SHARE) -> RetrainingCost:
    """Take the cost from the specification, or a share of what the first model has on its holdout.

    Parameters
    ----------
    first
        The model that every policy begins with.
    metric
        Name of the primary metric.
    share
        Of its absolute value; where that is not finite, a retraining costs nothing.
    """
    said = spec.retraining.cost
    if said.worse_by is not None:
        return RetrainingCost(worse_by=said.worse_by, per=said.per)
    known = abs(first.metrics.get(metric, math.nan))
    return RetrainingCost(worse_by=share * known if math.isfinite(known) else 0.0, per=said.per, derived=True)
