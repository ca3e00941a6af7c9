"""What two features together know of the label, when neither knows it alone: an end beside its beginning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rules.leakage.single_features import (
    PRIOR_ROWS,
    VIEWS,
    FeaturePower,
    binned,
    cuts_of,
    luck_of,
    power_of,
    spaced,
    targets,
)
from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.records.candidate import Feature, Task

if TYPE_CHECKING:
    import pandas as pd

MOST_FEATURES = 24
"""So many features are paired, those with the most power of their own: 276 pairs."""
BINS = 16
"""Bins of a number, and of categories ordered by their mean label when there are more."""


@dataclass(frozen=True, kw_only=True)
class FeaturePair:
    """Two features, and what they know together."""

    first: str
    second: str
    power: float
    """Of the class that they know least, for classification."""
    luck: float
    """Upper bound of the chance that unrelated features reach it, over all pairs."""


def strong_pairs(
    task: Task,
    features: Sequence[Feature],
    train: tuple[pd.DataFrame, pd.Series[Any]],
    holdout: tuple[pd.DataFrame, pd.Series[Any]],
    *,
    alone: Mapping[str, FeaturePower],
    max_power: float,
) -> tuple[FeaturePair, ...]:
    """Pairs of features that are nearly a function of the label, both below the bound alone; the strongest first.

    A pair is looked at in cells of both features' bins, each replaced by its mean label in the training part, and, of
    two numbers, by their difference. Two good features of an easy task are strong together, too. So a pair counts
    when it leaves at most a quarter of what the bound allows to be unknown, of every class, and at most a quarter of
    what the better of the two leaves.
    """
    weak = sorted((f for f in features if alone[f.name].power <= max_power), key=lambda f: -alone[f.name].power)
    chosen = weak[:MOST_FEATURES]
    known, new = spaced(train), spaced(holdout)
    x, x_new = as_features(known[0], chosen), as_features(new[0], chosen)
    goals = targets(task, known[1], new[1])
    tests = max(1, 2 * VIEWS * len(goals) * math.comb(len(chosen), 2))
    least = 1 - (1 - max_power) / 4
    powers: dict[tuple[str, str], float] = {}
    luck: dict[tuple[str, str], float] = {}
    for goal, target in goals:
        codes = {f.name: _codes(f, x[f.name], x_new[f.name], goal) for f in chosen}
        for first, second in combinations(chosen, 2):
            key = (first.name, second.name)
            if powers.get(key, 1.0) < least:
                continue
            found = max(power_of(task, target, score) for score in _scores(first, second, codes, goal, x_new))
            powers[key] = min(found, powers.get(key, 1.0))
            luck[key] = min(tests * luck_of(task, found, target), luck.get(key, 1.0))
    strong = [
        FeaturePair(first=first, second=second, power=power, luck=luck[first, second])
        for (first, second), power in powers.items()
        if power >= least and 1 - power <= (1 - max(alone[first].power, alone[second].power)) / 4
    ]
    return tuple(sorted(strong, key=lambda each: -each.power))


def _codes(feature: Feature, known: pd.Series[Any], new: pd.Series[Any], goal: Array) -> tuple[Array, Array]:
    """Number of each row's bin in both parts, 0 for a missing or unknown value."""
    import numpy as np
    import pandas as pd

    if feature.role == "numeric":
        cuts = cuts_of(known, BINS)
        return binned(known, cuts) + 1, binned(new, cuts) + 1
    names = pd.Index(known.dropna().unique())
    place, place_new = names.get_indexer(pd.Index(known)), names.get_indexer(pd.Index(new))
    if len(names) > BINS:
        sums = np.bincount(place + 1, weights=goal, minlength=len(names) + 1)[1:]
        counts = np.bincount(place + 1, minlength=len(names) + 1)[1:]
        means = (sums + PRIOR_ROWS * goal.mean()) / (counts + PRIOR_ROWS)
        group = np.append(np.argsort(np.argsort(means)) * BINS // len(names), -1)
        place, place_new = group[place], group[place_new]
    return place + 1, place_new + 1


def _scores(
    first: Feature, second: Feature, codes: Mapping[str, tuple[Array, Array]], goal: Array, new: pd.DataFrame
) -> Iterator[Array]:
    import numpy as np

    (a, a_new), (b, b_new) = codes[first.name], codes[second.name]
    width = 1 + int(max(b.max(initial=0), b_new.max(initial=0)))
    cells, cells_new = a * width + b, a_new * width + b_new
    size = 1 + int(max(cells.max(initial=0), cells_new.max(initial=0)))
    sums = np.bincount(cells, weights=goal, minlength=size)
    counts = np.bincount(cells, minlength=size)
    yield ((sums + PRIOR_ROWS * goal.mean()) / (counts + PRIOR_ROWS))[cells_new]
    if first.role == second.role == "numeric":
        gap = new[first.name].to_numpy() - new[second.name].to_numpy()
        yield np.where(np.isfinite(gap), gap, -np.inf)
