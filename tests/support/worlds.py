"""Simulated worlds whose truth is known: equal models, and one that is better by a known amount.

The tests of error rates draw few of them, `benchmarks/levels.py` many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    from airflow_mlops.core.metrics.labelled import LabelledPredictions


CONFIDENCE = 0.95
POWER = 0.8
METRICS = ("log_loss", "roc_auc")
NOISE, GROUP_BIAS, STRONG = 0.7, 1.5, 0.5
"""Standard deviations of a model's error for a row and for all rows of a group; share that a better model lacks."""

APART = 1_000_000
"""Between the seeds of worlds and of resampling: from one seed they would not be independent."""


@dataclass(frozen=True)
class World:
    """Rows that two models are judged on; both err alike, or the candidate errs less by a share of its noise."""

    rows: int
    groups: int = 0
    """Days or entities, each with an error of its own for each model; 0: rows are independent."""
    sizes: Literal["equal", "unequal"] = "equal"
    better: float = 0.0

    def draw(
        self, rng: np.random.Generator
    ) -> tuple[LabelledPredictions, LabelledPredictions, np.ndarray[Any, Any] | None]:
        """Candidate, other, and the group of each row."""
        import numpy as np

        from airflow_mlops.core.metrics.labelled import LabelledPredictions

        hidden = rng.normal(0, 1.5, self.rows)
        labels = (rng.random(self.rows) < 1 / (1 + np.exp(-hidden))).astype(int)
        group = self._groups(rng)
        found = []
        for better in (self.better, 0.0):
            error = rng.normal(0, NOISE, self.rows)
            if group is not None:
                error += rng.normal(0, GROUP_BIAS, self.groups)[group]
            p = 1 / (1 + np.exp(-(hidden + (1 - better) * error)))
            found.append(LabelledPredictions("binary", labels, (p > 0.5).astype(int), np.column_stack([1 - p, p])))
        return found[0], found[1], group

    def _groups(self, rng: np.random.Generator) -> np.ndarray[Any, Any] | None:
        import numpy as np

        if not self.groups:
            return None
        share = np.ones(self.groups) if self.sizes == "equal" else rng.exponential(size=self.groups)
        rest = rng.choice(self.groups, self.rows - self.groups, p=share / share.sum())
        each_and_others: np.ndarray[Any, Any] = np.r_[np.arange(self.groups), rest]
        return each_and_others


DAYS = World(750, groups=30)
ENTITIES = World(750, groups=60, sizes="unequal")
CASES: tuple[tuple[str, World, bool], ...] = (
    ("independent rows, by row", World(400), False),
    ("30 days, by day", DAYS, True),
    ("30 days, by row", DAYS, False),
    ("60 entities, by entity", ENTITIES, True),
    ("60 entities, by row", ENTITIES, False),
)


def accepted(metric: str, world: World, by_group: bool, *, worlds: int, resamples: int) -> float:
    """Share of worlds in which the superiority rule with margin 0 accepts the candidate."""
    import numpy as np

    from airflow_mlops.core.gate.rules.champion import compare
    from airflow_mlops.core.metrics.measure import METRICS as KNOWN
    from airflow_mlops.core.records.decision import Verdict
    from airflow_mlops.core.stats.bootstrap import gain

    count = 0
    for number in range(worlds):
        candidate, other, group = world.draw(np.random.default_rng(number))
        block = group if by_group else None
        found = gain(
            KNOWN[metric], candidate, other, block, confidence=CONFIDENCE, resamples=resamples, seed=APART + number
        )
        count += compare(found, 0.0) is Verdict.ACCEPT
    return count / worlds


def with_detectable_gain(metric: str, rows: int) -> tuple[World, float]:
    """Return independent rows, as many as make the true gain the detectable one, and that gain.

    The gain of the better model, and its standard error, are taken from `rows` rows.
    """
    import numpy as np

    from airflow_mlops.core.metrics.measure import METRICS as KNOWN
    from airflow_mlops.core.stats.bootstrap import gain
    from airflow_mlops.core.stats.power import rows_needed

    candidate, other, _ = World(rows, better=STRONG).draw(np.random.default_rng(99))
    found = gain(KNOWN[metric], candidate, other, None, resamples=2000)
    needed = rows_needed(found, 0.0, CONFIDENCE, POWER)
    if needed is None:
        raise RuntimeError(f"the model that errs less is not better by {metric}")
    return World(needed, better=STRONG), found.value
