"""What two features together know of the label, when neither knows it alone: an end beside its beginning.

Honest features do so too (a debt beside an income), so that only a pair that leaves nothing open is surely a leak.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rules.leakage.exact import separates
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
SCREEN_ROWS = 1_500
"""A pair is looked at on about so many rows first, and on all only where it comes near what is sought, within ..."""
SCREEN_ROOM = 0.02
"""... this much, which is about five standard errors of a power that near to 1, with ..."""
SCREEN_CLASS = 100
"""... so many rows of each kind."""


@dataclass(frozen=True, kw_only=True)
class FeaturePair:
    """Two features, and what they know together."""

    first: str
    second: str
    power: float
    """Of the class that they know least, for classification."""
    luck: float
    """Upper bound of the chance that unrelated features reach it, over all pairs."""
    exact: bool
    """Whether they leave nothing open, on any row of both parts."""


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
    two numbers, by their difference, sum, ratio and product. Two good features of an easy task are strong together,
    too. So a pair counts when it leaves at most a quarter of what the bound allows to be unknown, of every class, and
    at most a quarter of what the better of the two leaves.
    """
    import numpy as np

    weak = sorted((f for f in features if alone[f.name].power <= max_power), key=lambda f: -alone[f.name].power)
    chosen = weak[:MOST_FEATURES]
    known, new = spaced(train), spaced(holdout)
    x, x_new = as_features(known[0], chosen), as_features(new[0], chosen)
    numbers = {f.name: np.append(x[f.name], x_new[f.name]) for f in chosen if f.role == "numeric"}
    goals = targets(task, known[1], new[1])
    tests = max(1, 2 * VIEWS * len(goals) * math.comb(len(chosen), 2))
    least = 1 - (1 - max_power) / 4
    found: dict[tuple[str, str], FeaturePair] = {}
    for goal, target in goals:
        codes = {f.name: np.concatenate(_codes(f, x[f.name], x_new[f.name], goal)) for f in chosen}
        for first, second in combinations([f.name for f in chosen], 2):
            before = found.get((first, second))
            if before is not None and before.power < least:
                continue
            scores = _scores(first, second, codes, goal, numbers)
            power, score = max(((_power(task, target, each, least), each) for each in scores), key=lambda pair: pair[0])
            exact = task != "regression" and power >= 1.0 and separates(score, np.append(goal, target))
            luck = tests * luck_of(task, power, target)
            found[first, second] = FeaturePair(
                first=first,
                second=second,
                power=power if before is None else min(power, before.power),
                luck=luck if before is None else min(luck, before.luck),
                exact=exact and (before is None or before.exact),
            )
    strong = [
        pair
        for pair in found.values()
        if pair.power >= least and 1 - pair.power <= (1 - max(alone[pair.first].power, alone[pair.second].power)) / 4
    ]
    return tuple(sorted(strong, key=lambda each: -each.power))


def _power(task: Task, target: Array, score: Array, least: float) -> float:
    """Power on the rows of the second part; on some of them only where it is far from what is looked for."""
    mine = score[len(score) - len(target) :]
    some = slice(None, None, max(1, len(target) // SCREEN_ROWS))
    few = len(target) if task == "regression" else min(int(target[some].sum()), int((~target[some]).sum()))
    rough = power_of(task, target[some], mine[some])
    if some.step == 1 or (few >= SCREEN_CLASS and rough < least - SCREEN_ROOM):
        return rough
    return power_of(task, target, mine)


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
    first: str, second: str, codes: Mapping[str, Array], goal: Array, numbers: Mapping[str, Array]
) -> Iterator[Array]:
    """What a pair says of the rows of both parts, as numbers; `goal` is of the first part alone."""
    import numpy as np

    a, b = codes[first], codes[second]
    cells = a * (1 + int(b.max(initial=0))) + b
    size = 1 + int(cells.max(initial=0))
    sums = np.bincount(cells[: len(goal)], weights=goal, minlength=size)
    counts = np.bincount(cells[: len(goal)], minlength=size)
    yield ((sums + PRIOR_ROWS * goal.mean()) / (counts + PRIOR_ROWS))[cells]
    if first in numbers and second in numbers:
        one, other = numbers[first], numbers[second]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for score in (one - other, one + other, one / other, one * other):
                yield np.where(np.isfinite(score), score, -np.inf)
