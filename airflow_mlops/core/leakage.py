"""How much one feature alone knows of the label: a feature that knows nearly all of it was made from it.

This finds what was recorded after the event (a delay at departure, a closing code) and copies of the label. It
does not find a leak spread over several features, and says nothing about rows that are in both parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.features import as_features
from airflow_mlops.core.model import Feature, Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BINS = 32
"""Parts that a numeric feature is cut into, to see power that does not rise or fall with its value."""
PRIOR_ROWS = 10
"""A category's mean label is shrunk to the overall mean as if so many average rows had been seen beside it."""
MIN_CLASS_ROWS = 20
"""Rarer classes are left out, where others are not: among few rows some feature always looks powerful."""


def single_feature_power(
    task: Task,
    features: Sequence[Feature],
    train: tuple[pd.DataFrame, pd.Series[Any]],
    holdout: tuple[pd.DataFrame, pd.Series[Any]],
) -> dict[str, float]:
    """Power of each feature by itself on the holdout.

    ROC AUC for classification (the largest over classes, each against the rest, whichever way the feature
    points), absolute Spearman correlation for regression. Categories are replaced by their mean label in the
    training part, so that a key, whose every value is new, has no power. Numbers are taken as they are and also
    in bins treated as categories; missing values are a value of their own, as that they are missing may be the leak.

    Parameters
    ----------
    train, holdout
        Rows with the feature columns, and their cleaned labels.

    Returns
    -------
    dict
        Power by feature, between 0 and 1 (NaN where the labels do not vary); 1 for a copy of the label.
    """
    x, x_new = as_features(train[0], features), as_features(holdout[0], features)
    targets = _targets(task, train[1], holdout[1])
    powers = {}
    for feature in features:
        if _copies(x_new[feature.name], holdout[1]):
            powers[feature.name] = 1.0
            continue
        views = _views(feature, x[feature.name], x_new[feature.name])
        powers[feature.name] = max(_power(task, *view, known, new) for view in views for known, new in targets)
    return powers


def leaking(powers: Mapping[str, float], max_power: float) -> tuple[str, ...]:
    """Features above the bound, the most powerful first; a copy of the label leaks whatever the bound.

    >>> leaking({"a": 0.7, "b": 0.99, "c": 1.0}, 0.98)
    ('c', 'b')
    """
    found = [name for name, power in powers.items() if power > max_power or power >= 1.0]
    return tuple(sorted(found, key=lambda name: -powers[name]))


def _targets(task: Task, known: pd.Series[Any], new: pd.Series[Any]) -> list[tuple[Any, Any]]:
    if task == "regression":
        return [(known, new)]
    counts = new.value_counts()
    frequent = [label for label, count in counts.items() if MIN_CLASS_ROWS <= count <= len(new) - MIN_CLASS_ROWS]
    classes = frequent or list(counts.index)
    # one class of two says all: the other is its complement
    return [(known == label, new == label) for label in (classes[:1] if task == "binary" else classes)]


def _views(feature: Feature, known: pd.Series[Any], new: pd.Series[Any]) -> list[tuple[Any, Any]]:
    """Ways to look at a feature: (categories in train, categories in holdout) or (None, numbers in holdout)."""
    import numpy as np

    if feature.role == "categorical":
        return [(known.fillna(""), new.fillna(""))]
    cuts = np.unique(np.nanquantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if known.notna().any() else np.array([])
    return [(None, new), (_binned(known, cuts), _binned(new, cuts))]


def _binned(values: pd.Series[Any], cuts: np.ndarray[Any, Any]) -> pd.Series[Any]:
    import numpy as np
    import pandas as pd

    codes = np.where(values.notna(), np.searchsorted(cuts, values.to_numpy(), side="right"), -1)
    return pd.Series(codes, index=values.index)


def _power(task: Task, known: Any, new: Any, known_target: pd.Series[Any], new_target: pd.Series[Any]) -> float:
    import numpy as np

    if known is None:
        score = np.where(new.isna(), -np.inf, new)
    else:
        overall = float(known_target.mean())
        groups = known_target.astype(float).groupby(known.to_numpy()).agg(["sum", "count"])
        means = (groups["sum"] + PRIOR_ROWS * overall) / (groups["count"] + PRIOR_ROWS)
        score = new.map(means).fillna(overall).to_numpy(dtype=float)
    return _auc(new_target.to_numpy(), score) if task != "regression" else _spearman(new_target.to_numpy(), score)


def _auc(positive: np.ndarray[Any, Any], score: np.ndarray[Any, Any]) -> float:
    from scipy.stats import rankdata

    hits, rows = int(positive.sum()), len(positive)
    if hits in {0, rows}:
        return float("nan")
    auc = (rankdata(score)[positive].sum() - hits * (hits + 1) / 2) / (hits * (rows - hits))
    return float(max(auc, 1 - auc))


def _spearman(label: np.ndarray[Any, Any], score: np.ndarray[Any, Any]) -> float:
    import numpy as np
    from scipy.stats import rankdata

    ranks = rankdata(label), rankdata(score)
    if any(np.ptp(part) == 0 for part in ranks):
        return 0.0 if np.ptp(ranks[0]) else float("nan")
    return float(abs(np.corrcoef(*ranks)[0, 1]))


def _copies(feature: pd.Series[Any], labels: pd.Series[Any]) -> bool:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(feature.dtype) and pd.api.types.is_numeric_dtype(labels.dtype):
        return bool((feature.to_numpy() == labels.to_numpy(dtype=float)).all())
    return bool((feature.astype(str).to_numpy() == labels.astype(str).to_numpy()).all())
