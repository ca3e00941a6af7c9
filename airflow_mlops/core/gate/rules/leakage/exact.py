"""Whether a feature is a function of the label, or the label one of the feature, but for rounding.

How strongly a feature goes with the label says nothing of when it was known: a list price, the value of an hour ago and
yesterday's state are strong and honest (S. Kaufman, S. Rosset, C. Perlich, O. Stitelman, "Leakage in data mining", ACM
Transactions on Knowledge Discovery from Data 6(4), 2012: legitimacy is a question of time). But what is known before
an event always leaves something open. A feature that leaves nothing open, on any row, was made from the label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

NEIGHBOURS = 10
"""So many rows on either side of a border between bins of the label are looked at: by chance they are in order once in
C(20, 10) = 184,756 times."""
SHARP = 0.1
"""They are near each other when they span at most this part of the label's interquartile range: a border that was cut
through the label, and no valley between two kinds of rows."""
MOSTLY = 0.5
"""A feature that has a value in fewer rows is not looked at as a function."""
GROUP_ROWS = 4
"""Rows a value, on average, from which values that repeat are looked at one by one."""


def settles_class(values: pd.Series[Any], inside: Array) -> bool:
    """Whether a feature tells for every row whether it is of a class.

    Parameters
    ----------
    values
        Numbers, or text; missing values are a value of their own. Shape (n,).
    inside
        Whether each row is of the class, shape (n,).
    """
    import numpy as np
    import pandas as pd

    if not inside.any() or inside.all():
        return False
    if pd.api.types.is_numeric_dtype(values.dtype):
        numbers = values.to_numpy(dtype=float)
        for empty in (-np.inf, np.inf):
            if separates(np.where(np.isnan(numbers), empty, numbers), inside):
                return True
    return _pure(values, inside)


def separates(score: Array, inside: Array) -> bool:
    """Whether all rows of the class lie on one side of all others."""
    inside = inside.astype(bool)
    there, others = score[inside], score[~inside]
    return bool(there.max() < others.min() or there.min() > others.max())


def _pure(values: pd.Series[Any], inside: Array) -> bool:
    """Whether every value, of few, has rows of one kind only."""
    import numpy as np
    import pandas as pd

    codes, names = pd.factorize(values, use_na_sentinel=False)
    if len(names) * GROUP_ROWS > len(values):
        return False
    share = np.bincount(codes, weights=inside) / np.bincount(codes)
    return bool(np.isin(share, (0.0, 1.0)).all())


def settles_number(values: pd.Series[Any], label: Array) -> bool:
    """Whether a feature is a step function of a numeric label, or the label one of it, but for rounding.

    Rows of different values of the feature have labels in ranges that do not overlap: an affine or monotone
    function, the label rounded, or its bins, by number or by name. Ranges may be apart for an honest reason (a shop
    that is closed sells nothing); so one border at least must be sharp, see `NEIGHBOURS`.

    Parameters
    ----------
    values
        Shape (n,); rows where it is missing are left out, and must be fewer than half.
    label
        Finite numbers, shape (n,).
    """
    import numpy as np
    import pandas as pd

    there = values.notna().to_numpy()
    if there.mean() <= MOSTLY or there.sum() < 4 * NEIGHBOURS or np.ptp(label[there]) == 0:
        return False
    kept, known = values[there], label[there]
    codes, names = pd.factorize(kept, sort=True)
    low = np.full(len(names), np.inf)
    high = np.full(len(names), -np.inf)
    np.minimum.at(low, codes, known)
    np.maximum.at(high, codes, known)
    orders = [np.argsort(low, kind="stable")] if len(names) * GROUP_ROWS <= len(kept) else []
    if pd.api.types.is_numeric_dtype(values.dtype):
        orders += [np.arange(len(names)), np.arange(len(names))[::-1]]
    tolerance = 1e-9 * float(np.abs(known).max())
    return any(
        bool((high[order][:-1] <= low[order][1:] + tolerance).all()) and _sharp(np.argsort(order)[codes], known)
        for order in orders
        if len(order) > 1
    )


def _sharp(place: Array, label: Array) -> bool:
    """Whether a border between two ranges runs through rows that are near each other."""
    import numpy as np

    order = np.lexsort((label, place))
    place, label = place[order], label[order]
    width = float(np.subtract(*np.quantile(label, (0.75, 0.25))))
    borders = np.flatnonzero((place[1:] > place[:-1]) & (label[1:] > label[:-1])) + 1
    inner = borders[(borders >= NEIGHBOURS) & (borders <= len(label) - NEIGHBOURS)]
    spans = label[inner + NEIGHBOURS - 1] - label[inner - NEIGHBOURS]
    return bool(width > 0 and (spans <= SHARP * width).any())
