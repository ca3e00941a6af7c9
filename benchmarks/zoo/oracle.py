"""The one that knows the truth: it trains at every step in which there is something to learn, and at no other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def served_versions(days: Sequence[float], learn: Sequence[Sequence[float]], first: int) -> list[int]:
    """Versions that the oracle serves, step by step.

    Parameters
    ----------
    days
        Of the steps, after the start of the replay.
    learn
        Spans (after this day, up to this one) in which a model trained at each step is better than the one before.
    first
        Number of the first of these steps: the model that is trained at a step has the version one above it.

    Examples
    --------
    >>> served_versions([0, 7, 14, 21, 28], [[7, 21]], first=0)
    [1, 1, 3, 4, 4]
    """
    version, served = first + 1, []
    for step, day in enumerate(days, first):
        if step > first and any(after < day <= until for after, until in learn):
            version = step + 1
        served.append(version)
    return served


def mean_loss(pairs: Iterable[tuple[int, float | None]]) -> float | None:
    """Mean of losses weighted by rows; None without any. What has no loss counts for nothing.

    >>> mean_loss([(10, 1.0), (30, 2.0), (5, None)])
    1.75
    """
    known = [(rows, loss) for rows, loss in pairs if loss is not None]
    rows = sum(rows for rows, _ in known)
    return math.fsum(rows * loss for rows, loss in known) / rows if rows else None
