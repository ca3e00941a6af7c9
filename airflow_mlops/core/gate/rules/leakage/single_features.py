"""What one feature alone knows of the label: nearly all of it, or a large part of one class with certainty."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rules.leakage.exact import MOSTLY, settles_class, settles_number
from airflow_mlops.core.gate.rules.leakage.separation import MOST_DECIDED, auc_of, decided
from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.records.candidate import Feature, Task

if TYPE_CHECKING:
    import pandas as pd

BINS = 32
"""Parts that a numeric feature is cut into, to see power that does not rise or fall with its value."""
PRIOR_ROWS = 10
"""A category's mean label is shrunk to the overall mean as if so many average rows had been seen beside it."""
MIN_CLASS_ROWS = 20
"""Rarer classes are left out, where others are not: among few rows some feature always looks powerful."""
MAX_CLASSES = 20
"""So many of the most frequent classes are looked at, each against the rest."""
MOST_ROWS = 20_000
"""Rows of each part that powers are computed on, evenly spaced in time: more change the third digit at most."""
VIEWS = 4
"""Ways to look at a feature, at most: for corrections."""


@dataclass(frozen=True, kw_only=True)
class FeaturePower:
    """What one feature says of the label."""

    power: float
    """ROC AUC or absolute Spearman correlation, 0 to 1; NaN where the labels do not vary."""
    surely: float
    """Lower bound of the power that is true of all rows of this kind, two standard errors below."""
    luck: float
    """Upper bound of the chance that a feature without any relation to the label reaches it, over all features."""
    decided: float = 0.0
    """Share of a class's rows that the feature decides with certainty."""
    explained: float = 0.0
    """The share that a feature of this power decides when its effect rises evenly."""
    exact: bool = False
    """Whether it leaves nothing open, on any row of both parts: see :mod:`.exact`."""

    @property
    def decides(self) -> bool:
        """Whether it decides far too much for its power: a feature written after some of the outcomes."""
        return self.decided >= MOST_DECIDED and self.decided > 2 * self.explained


def single_feature_power(
    task: Task,
    features: Sequence[Feature],
    train: tuple[pd.DataFrame, pd.Series[Any]],
    holdout: tuple[pd.DataFrame, pd.Series[Any]],
) -> dict[str, float]:
    """Power of each feature by itself on the holdout: :func:`measure_power`, the powers only."""
    return {name: seen.power for name, seen in measure_power(task, features, train, holdout).items()}


def measure_power(
    task: Task,
    features: Sequence[Feature],
    train: tuple[pd.DataFrame, pd.Series[Any]],
    holdout: tuple[pd.DataFrame, pd.Series[Any]],
) -> dict[str, FeaturePower]:
    """Look at each feature by itself: learn from the first part, judge on the second.

    Power is the ROC AUC for classification (the largest over classes, each against the rest, whichever way the
    feature points), the absolute Spearman correlation for regression. Categories are replaced by their mean label in
    the training part, so that a key, whose every value is new, has no power. Numbers are taken as they are, in bins
    treated as categories, and, where values repeat, value by value: a function of any shape is seen. Missing values
    are a value of their own, as that they are missing may be the leak.

    A feature *decides* the rows of a class beyond a value when nearly all rows there are of the class, which fewer
    than half of all rows are. A leak that was written after the event often knows some outcomes for sure and nothing
    of the others (who leaves three hours late arrives late; who leaves in time may still be late), and its power stays
    below any bound. A feature that is merely strong decides something too: so much is allowed, twice, as a feature of
    the same power whose effect rises evenly decides (the label is 1 where ``b x + e > c``, x and e normal).

    Parameters
    ----------
    train, holdout
        Rows with the feature columns, and their cleaned labels.

    Returns
    -------
    dict
        By feature; power 1 for a copy of the label.

    Raises
    ------
    DataError
        If a feature's column is missing or of another type.

    Notes
    -----
    Target encoding with shrinkage: D. Micci-Barreca, SIGKDD Explorations 3(1), 2001.
    """
    import pandas as pd

    known, new = spaced(train), spaced(holdout)
    x, x_new = as_features(known[0], features), as_features(new[0], features)
    goals = targets(task, known[1], new[1])
    tests = 2 * VIEWS * max(1, len(goals)) * max(1, len(features))
    found = {}
    for feature in features:
        copies = _copies(x_new[feature.name], new[1])
        views = _views(feature, x[feature.name], x_new[feature.name])
        scores = [(score, goal) for goal in goals for score in _scores(task, views, goal[0])]
        power, surely, luck = _strongest(task, scores, tests)
        sure, explained = decided(scores, tests) if task != "regression" else (0.0, 0.0)
        found[feature.name] = FeaturePower(
            power=1.0 if copies else power,
            surely=surely,
            luck=luck,
            decided=sure,
            explained=explained,
            exact=_exact(task, pd.concat([x[feature.name], x_new[feature.name]]), goals, power),
        )
    return found


def _exact(task: Task, values: pd.Series[Any], goals: Sequence[tuple[Array, Array]], power: float) -> bool:
    import numpy as np

    both = [np.concatenate(goal) for goal in goals]
    if task == "regression":
        return settles_number(values, both[0])
    if power >= 1.0 and any(settles_class(values, one) for one in both):
        return True
    there = values.notna().to_numpy()  # filled when the case was closed, and empty where it is not yet
    kept = [one[there] for one in both if there.mean() > MOSTLY]
    enough = [one for one in kept if MIN_CLASS_ROWS <= one.sum() <= len(one) - MIN_CLASS_ROWS]
    return any(settles_class(values[there], one) for one in enough)


def spaced(part: tuple[pd.DataFrame, pd.Series[Any]]) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """At most `MOST_ROWS` rows, evenly spaced."""
    step = -(-len(part[1]) // MOST_ROWS) or 1
    return part[0].iloc[::step], part[1].iloc[::step]


def targets(task: Task, known: pd.Series[Any], new: pd.Series[Any]) -> list[tuple[Array, Array]]:
    """What is to be known, in both parts: numbers, or for each class whether a row is of it."""
    if task == "regression":
        return [(known.to_numpy(dtype=float), new.to_numpy(dtype=float))]
    counts = new.value_counts()
    frequent = [label for label, count in counts.items() if MIN_CLASS_ROWS <= count <= len(new) - MIN_CLASS_ROWS]
    classes = (frequent or list(counts.index))[:MAX_CLASSES]
    # one class of two says all: the other is its complement
    chosen = classes[:1] if task == "binary" else classes
    return [((known == label).to_numpy(), (new == label).to_numpy()) for label in chosen]


def power_of(task: Task, target: Array, score: Array) -> float:
    """ROC AUC, whichever way round, or absolute Spearman correlation; NaN where the target does not vary."""
    return auc_of(target, score) if task != "regression" else _spearman(target, score)


def luck_of(task: Task, power: float, target: Array) -> float:
    """Upper bound of the chance that a score without relation to the target reaches this power.

    With k of n rows in the class, the AUC is at least ``a`` when the sum U of how many others rank before each is at
    most ``(1 - a) k (n - k)``. All C(n, k) places are equally likely; at most C(U + k, k) of them have such a sum. From
    20 rows on, the normal approximation of U (H. Mann and D. Whitney, Annals of Mathematical Statistics 18, 1947); for
    rank correlations that of Fisher's transformation.

    >>> import numpy as np
    >>> luck_of("binary", 0.99, np.arange(200) < 2) > 0.0005, luck_of("binary", 0.99, np.arange(200) < 9) < 1e-8
    (True, True)
    """
    import numpy as np

    rows = len(target)
    if not math.isfinite(power):
        return 1.0
    if task == "regression":
        if rows <= 4 or power >= 1:  # noqa: PLR2004 - the transformation needs more
            return 1.0 / math.factorial(min(rows, 20))
        return math.erfc(math.atanh(power) * math.sqrt(rows - 3) / math.sqrt(2.12))
    few = min(int(np.sum(target)), rows - int(np.sum(target)))
    if not few:
        return 1.0
    if few >= MIN_CLASS_ROWS:
        return math.erfc((power - 0.5) * math.sqrt(6 * few * (rows - few) / (rows + 1)))
    places = (1 - power) * few * (rows - few)
    bound = math.lgamma(places + few + 1) - math.lgamma(places + 1) - math.lgamma(few + 1)
    return math.exp(min(0.0, bound - (math.lgamma(rows + 1) - math.lgamma(few + 1) - math.lgamma(rows - few + 1))))


def cuts_of(values: pd.Series[Any], bins: int) -> Array:
    """Inner borders of bins of about equal numbers of rows; none for a column without values."""
    import numpy as np

    if not values.notna().any():
        return np.array([])
    return np.unique(np.nanquantile(values, np.linspace(0, 1, bins + 1)[1:-1]))


def binned(values: pd.Series[Any], cuts: Array) -> Array:
    """Number of each value's bin; -1 where it is missing."""
    import numpy as np

    return np.where(values.notna(), np.searchsorted(cuts, values.to_numpy(), side="right"), -1)


def _strongest(task: Task, scores: Sequence[tuple[Array, tuple[Array, Array]]], tests: int) -> tuple[float, ...]:
    """Largest power, its lower bound, and the chance of it."""
    powers = [(power_of(task, goal[1], score), goal[1]) for score, goal in scores]
    known = [pair for pair in powers if math.isfinite(pair[0])]
    if not known:
        return math.nan, math.nan, 1.0
    luck = min(luck_of(task, *pair) for pair in known)
    return max(power for power, _ in known), max(_surely(task, *pair) for pair in known), min(1.0, tests * luck)


def _surely(task: Task, power: float, target: Array) -> float:
    """Two standard errors below a power (J. Hanley and B. McNeil, Radiology 143, 1982; Fisher's transformation)."""
    rows, hits = len(target), int(target.sum())
    if task == "regression":
        return math.tanh(math.atanh(min(power, 1 - 1e-9)) - 2 * math.sqrt(1.06 / max(1, rows - 3)))
    few = min(hits, rows - hits)
    power = min(power, 1 - 1 / (2 * few))  # a perfect order of few rows is not known to be perfect of all
    both = power / (2 - power), 2 * power**2 / (1 + power)
    spread = power * (1 - power) + (hits - 1) * (both[0] - power**2) + (rows - hits - 1) * (both[1] - power**2)
    return power - 2 * math.sqrt(max(0.0, spread) / (hits * (rows - hits)))


def _views(feature: Feature, known: pd.Series[Any], new: pd.Series[Any]) -> list[tuple[Any, Any]]:
    """Ways to look at a feature: (category numbers in train, in holdout), or (None, numbers in holdout)."""
    import pandas as pd

    if feature.role == "categorical":
        names = pd.Index(pd.unique(known.fillna("")))
        return [(names.get_indexer(pd.Index(known.fillna(""))), names.get_indexer(pd.Index(new.fillna(""))))]
    cuts = cuts_of(known, BINS)
    views: list[tuple[Any, Any]] = [(None, new.to_numpy(dtype=float)), (binned(known, cuts), binned(new, cuts))]
    values = pd.Index(known.dropna().unique())
    if BINS < len(values) <= len(known) // 4:  # repeated values: any function of them is seen
        views.append((values.get_indexer(pd.Index(known)), values.get_indexer(pd.Index(new))))
    return views


def _scores(task: Task, views: Sequence[tuple[Any, Any]], target: Array) -> Iterator[Array]:
    """What each view says of the holdout rows, as numbers."""
    import numpy as np

    goal = target.astype(float)
    overall = float(goal.mean()) if len(goal) else 0.0
    for known, new in views:
        if known is None:
            yield np.where(np.isnan(new), -np.inf, new)
            if task != "regression" and np.isnan(new).any():
                yield np.where(np.isnan(new), np.inf, new)
            continue
        # numbers begin at -1 (missing, or never seen); a value that training has not seen says nothing
        size = 2 + int(max(known.max(initial=-1), new.max(initial=-1)))
        counts = np.bincount(known + 1, minlength=size)
        sums = np.bincount(known + 1, weights=goal, minlength=size)
        yield ((sums + PRIOR_ROWS * overall) / (counts + PRIOR_ROWS))[new + 1]


def _spearman(label: Array, score: Array) -> float:
    import numpy as np
    from scipy.stats import rankdata

    if not len(label):
        return math.nan
    ranks = rankdata(label), rankdata(score)
    if any(np.ptp(part) == 0 for part in ranks):
        return 0.0 if np.ptp(ranks[0]) else math.nan
    return float(abs(np.corrcoef(*ranks)[0, 1]))


def _copies(feature: pd.Series[Any], labels: pd.Series[Any]) -> bool:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(feature.dtype) and pd.api.types.is_numeric_dtype(labels.dtype):
        return bool((feature.to_numpy() == labels.to_numpy(dtype=float)).all())
    return bool((feature.astype(str).to_numpy() == labels.astype(str).to_numpy()).all())
