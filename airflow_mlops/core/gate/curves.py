"""Curves of the decision's page: ROC and precision-recall of classifiers, residuals of regressions.

Points are those of every distinct score, as scikit-learn's `roc_curve` and `precision_recall_curve` give them; of many
points those are kept that the shape needs: first the two ends, then again and again the point that is farthest from
the line drawn so far (Ramer, 1972; Douglas and Peucker, 1973). Every n-th point instead would cut corners where a
curve bends, and spend most points where it is straight.

References
----------
D. H. Douglas, T. K. Peucker (1973), Algorithms for the reduction of the number of points required to represent a
digitized line or its caricature, Cartographica 10.
U. Ramer (1972), An iterative procedure for the polygonal approximation of plane curves, CGIP 1.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Literal

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.records.evidence import MAX_POINTS, Curve

MAX_CLASSES = 5
"""Of several classes, the most frequent so many have curves, each against all others."""
ROUNDING = 1e-9
"""Points that are nearer to a line than this lie on it."""
RESIDUALS = "share of rows, by label less prediction"


def curves(inputs: RuleInput) -> tuple[Curve, ...]:
    """Every curve of the candidate and of the champion beside it, on the judged rows.

    A curve that does not exist is left out: of a class that no row or every row has, of a model without probabilities
    or with predictions that are not finite.
    """
    models: list[tuple[Literal["candidate", "champion"], LabelledPredictions | None]] = [
        ("candidate", inputs.judged),
        ("champion", inputs.other),
    ]
    found: list[Curve] = []
    for who, judged in models:
        if judged is None or not judged.finite:
            continue
        found += [_residuals(judged, who)] if judged.task == "regression" else _of_classes(inputs, judged, who)
    return tuple(found)


def ranking(positive: Array, score: Array, weight: Array | None) -> tuple[Array, Array, Array] | None:
    """True positive rate, false positive rate and precision at each distinct score, highest first.

    Parameters
    ----------
    positive, score, weight
        Of each row, shape (n,).

    Returns
    -------
    three arrays of shape (distinct scores,)
        None when the rows of one side weigh nothing.
    """
    import numpy as np

    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    each = np.ones(len(order)) if weight is None else weight[order]
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
    hits, misses = (np.cumsum(each * side)[ends] for side in (positive[order], ~positive[order]))
    taken = hits + misses
    if not (hits[-1] > 0 and misses[-1] > 0):
        return None
    kept = taken > 0  # rows of no weight say nothing of precision
    hits, misses, taken = hits[kept], misses[kept], taken[kept]
    return hits / hits[-1], misses / misses[-1], hits / taken


def thin(x: Array, y: Array, points: int = MAX_POINTS) -> Array:
    """Positions of the points to keep, ascending: the ends, then whatever is farthest from the line.

    Parameters
    ----------
    x, y
        Shape (n,), both on scales of about one.

    Examples
    --------
    >>> import numpy as np
    >>> thin(np.linspace(0, 1, 9), np.array([0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1.0]), 3).tolist()
    [0, 4, 8]
    """
    import numpy as np

    if len(x) <= points:
        return np.arange(len(x))
    kept = [0, len(x) - 1]
    waiting: list[tuple[float, int, int, int]] = []
    _offer(waiting, x, y, 0, len(x) - 1)
    while waiting and len(kept) < points:
        _distance, place, start, end = heapq.heappop(waiting)
        kept.append(place)
        _offer(waiting, x, y, start, place)
        _offer(waiting, x, y, place, end)
    return np.sort(kept)


def _offer(waiting: list[tuple[float, int, int, int]], x: Array, y: Array, start: int, end: int) -> None:
    """Put the point between `start` and `end` that is farthest from the line between them on the heap."""
    import numpy as np

    if end - start < 2:  # noqa: PLR2004 - nothing lies between neighbours
        return
    across, up = x[end] - x[start], y[end] - y[start]
    dx, dy = x[start + 1 : end] - x[start], y[start + 1 : end] - y[start]
    length = np.hypot(across, up)
    far = np.abs(across * dy - up * dx) / length if length > 0 else np.hypot(dx, dy)
    place = int(far.argmax())
    if far[place] > ROUNDING:
        heapq.heappush(waiting, (-float(far[place]), start + 1 + place, start, end))


def _of_classes(
    inputs: RuleInput, judged: LabelledPredictions, who: Literal["candidate", "champion"]
) -> Iterator[Curve]:
    import numpy as np

    if judged.probabilities is None:
        return
    known = judged.probabilities.shape[1]
    weight = judged.weights
    seen = judged.y_true >= 0
    mass = np.bincount(judged.y_true[seen], weights=None if weight is None else weight[seen], minlength=known)
    numbers = [1] if judged.task == "binary" else np.argsort(-mass, kind="stable")[:MAX_CLASSES].tolist()
    names = judged.names or inputs.candidate.classes
    for number in numbers:
        made = ranking(judged.y_true == number, judged.probabilities[:, number], weight)
        if made is None:
            continue
        hit_rate, false_rate, precision = made
        of = str(names[number]) if number < len(names) else str(number)
        lines: list[tuple[Literal["roc", "precision_recall"], Array, Array]] = [
            ("roc", np.r_[0.0, false_rate], np.r_[0.0, hit_rate]),
            ("precision_recall", np.r_[0.0, hit_rate], np.r_[1.0, precision]),
        ]
        for name, x, y in lines:
            kept = thin(x, y)
            yield Curve(name=name, who=who, of=of, x=tuple(x[kept].tolist()), y=tuple(y[kept].tolist()))


def _residuals(judged: LabelledPredictions, who: Literal["candidate", "champion"]) -> Curve:
    """Label less prediction at equal shares of the rows' weight; the inverse of the distribution function.

    The smallest residual at share 0, the largest at share 1, and every point is the residual of a row.
    """
    import numpy as np

    residual = judged.y_true - judged.y_pred
    order = np.argsort(residual, kind="stable")
    weight = np.ones(len(order)) if judged.weights is None else judged.weights[order]
    order, weight = order[weight > 0], weight[weight > 0]
    share = np.cumsum(weight) / weight.sum()
    levels = np.linspace(0, 1, MAX_POINTS)
    # sums of weights are off by rounding: a level that is met to the last digits is met
    place = np.minimum(np.searchsorted(share, levels - 1e-12), len(order) - 1)
    found = residual[order][place]
    return Curve(name="residuals", who=who, of=RESIDUALS, x=tuple(levels.tolist()), y=tuple(found.tolist()))
