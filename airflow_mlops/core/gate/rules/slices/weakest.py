"""Find parts of the rows where the candidate is weak: evidence for a person, no verdict.

A regression tree of depth 3 on the losses of single rows cuts the rows where the losses differ most, on one half of
the rows; what is told of each part is measured on the other half, which the search has not seen. The worst of many
parts looks worse than it is on the rows that it was chosen by (the honest trees of S. Athey and G. Imbens, Recursive
partitioning for heterogeneous causal effects, PNAS 2016; Chung et al., Slice finder, ICDE 2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.registry import ABSOLUTE
from airflow_mlops.core.records.candidate import compared_features
from airflow_mlops.core.records.evidence import Segment
from airflow_mlops.core.rows.slicing import MISSING, as_numbers, words_of

if TYPE_CHECKING:
    import pandas as pd

DEPTH = 3
SEARCHED = 50_000
"""Rows of each half that are searched and measured at most."""
CATEGORIES = 50
"""Values of a column that are told apart; the others are kept together."""
SHOWN = 5
"""Values that a segment's words name."""
RARE = 20
"""Values with fewer rows are kept together too: their mean loss says nothing."""
LEAST_GAIN = 40.0
"""A cut must explain more than chance does, as chi-squared of the best of many cuts: by chance it is above 13 for one
numeric column in a hundred (after R. Miller, D. Siegmund, Maximally selected chi square statistics, Biometrics 1982),
there are many columns, and losses of a weak segment vary some three times as much as those of all rows."""
LEAST_SHARE = 0.01
"""Smallest segment, as a share of the rows."""
_OTHERS = "other values"
_LARGEST = 1e30


@dataclass(frozen=True, eq=False)
class _SegmentColumn:
    """A column as numbers that a tree can cut: its own, or the mean loss of its value's rows."""

    name: str
    codes: Array
    """Shape (n,), NaN where missing."""
    values: Mapping[str, float] | None = None
    """Number of each value, for a categorical column."""


@dataclass(frozen=True)
class _Condition:
    """`low < code <= high` of a column, and whether rows without a value belong to it."""

    low: float = -math.inf
    high: float = math.inf
    missing: bool = True

    def below(self, edge: float, missing: bool) -> _Condition:
        return _Condition(self.low, min(self.high, edge), self.missing and missing)

    def above(self, edge: float, missing: bool) -> _Condition:
        return _Condition(max(self.low, edge), self.high, self.missing and missing)

    def holds(self, codes: Array) -> Array:
        import numpy as np

        return np.where(np.isnan(codes), self.missing, (codes > self.low) & (codes <= self.high))


def weakest(rule_input: RuleInput) -> tuple[Segment, ...]:
    """Search the judged rows for the segments where the candidate is weakest, by feature and slice columns.

    Returns
    -------
    tuple of Segment
        At most `gate.slices.weakest`, weakest first; only such as are worse than the whole, with at least
        `gate.slices.min_rows` and 1 % of the rows. `rows`, `metric` and `whole` are of the half that the search had
        not seen.

    Notes
    -----
    Losses are log loss for probabilities, 0 or 1 for labels, absolute errors where the primary metric is made of
    them, and squared errors otherwise. A categorical column is ordered by the mean loss of its values, which finds the
    best cut into two sets of them (L. Breiman et al., Classification and regression trees, 1984, section 4.2.2).
    Halves are made of whole blocks, so that one bad day is not found and confirmed by itself.
    """
    import numpy as np

    rule = rule_input.spec.gate.slices
    if rule.weakest == 0 or not rule_input.judged.finite:
        return ()
    search, check = _halves(rule_input)
    least = max(rule.min_rows, math.ceil(LEAST_SHARE * len(search)))
    if len(search) < 2 * least or len(check) < least:
        return ()
    losses, weights = _losses(rule_input.judged, rule_input.metric.name)[search], _weights(rule_input.judged, search)
    columns = _columns(rule_input, search, losses)
    if not columns or (weights is not None and not weights.any()):
        return ()
    seen = rule_input.judged.take(check)
    whole = rule_input.metric(seen)
    found = []
    for conditions in _leaves(columns, search, losses, least, weights):
        member = np.ones(len(check), dtype=bool)
        for number, condition in conditions.items():
            member &= condition.holds(columns[number].codes[check])
        rows = int(member.sum())
        value = rule_input.metric(seen.take(member)) if rows >= least else math.nan
        if rule_input.sign * (whole - value) > 0:
            words = " and ".join(_words(columns[number], condition) for number, condition in conditions.items())
            found.append(Segment(words=words, rows=rows, share=rows / len(check), metric=value, whole=whole))
    return tuple(sorted(found, key=lambda segment: rule_input.sign * segment.metric)[: rule.weakest])


def _halves(rule_input: RuleInput) -> tuple[Array, Array]:
    """Positions of the rows to search and of those to measure, each at most `SEARCHED`."""
    import numpy as np

    rng = np.random.default_rng(rule_input.spec.training.seed)
    rows = len(rule_input.judged.y_true)
    blocks = np.arange(rows) if rule_input.block is None else np.asarray(rule_input.block)
    count = int(blocks.max()) + 1
    if count < 2:  # noqa: PLR2004 - one block cannot be halved
        blocks, count = np.arange(rows), rows
    first = (rng.permutation(count) < count / 2)[blocks]
    halves = (np.flatnonzero(first), np.flatnonzero(~first))
    search, check = (
        half if len(half) <= SEARCHED else np.sort(rng.choice(half, SEARCHED, replace=False)) for half in halves
    )
    return search, check


def _losses(judged: LabelledPredictions, metric: str) -> Array:
    import numpy as np

    if judged.task == "regression":
        errors = np.abs(judged.y_true - judged.y_pred)
        return errors if metric in ABSOLUTE else errors**2
    if judged.probabilities is None:
        return (judged.y_true != judged.y_pred).astype(float)
    rows = np.arange(len(judged.y_true))
    of_truth = np.where(judged.y_true < 0, 0.0, judged.probabilities[rows, judged.y_true])
    return -np.log(np.clip(of_truth, np.finfo(float).eps, 1.0))


def _weights(judged: LabelledPredictions, rows: Array) -> Array | None:
    return None if judged.weights is None else judged.weights[rows]


def _columns(rule_input: RuleInput, search: Array, losses: Array) -> list[_SegmentColumn]:
    """Feature and slice columns that the rows have, without those that say nothing."""
    import numpy as np

    roles = {feature.name: feature.role for feature in compared_features(rule_input.candidate.features)}
    names = [*roles, *(name for name in rule_input.spec.gate.slices.columns if name not in roles)]
    found = []
    for name in names:
        if name not in rule_input.rows.columns:
            continue
        values = rule_input.rows[name]
        numbers = as_numbers(values, few=0) if roles.get(name) != "categorical" else None
        column = _ordered(values, search, losses) if numbers is None else _SegmentColumn(name, numbers)
        if len(np.unique(column.codes[search])) > 1:
            found.append(column)
    return found


def _ordered(values: pd.Series[Any], search: Array, losses: Array) -> _SegmentColumn:
    """A categorical column, its values as the mean loss of their rows; rare ones are taken together."""
    import numpy as np
    import pandas as pd

    codes, words = words_of(values)
    counts = np.bincount(codes[search][codes[search] >= 0], minlength=len(words))
    common = [number for number in np.argsort(-counts, kind="stable")[:CATEGORIES] if counts[number] >= RARE]
    pooled = np.full(len(words) + 1, len(words))
    pooled[common] = common
    pooled = np.where(codes < 0, -1, pooled[codes])
    means = pd.Series(losses).groupby(pooled[search]).mean().sort_values(kind="stable")
    # values with equal means must stay apart: ranks, not means
    ranks = {int(number): float(rank) for rank, number in enumerate(means.index) if number >= 0}
    if len(words) not in ranks and bool((pooled == len(words)).any()):
        ranks[len(words)] = len(means) / 2  # seen in the other half only
    numbers = {[*words, _OTHERS][number]: rank for number, rank in ranks.items()}
    table = np.full(len(words) + 2, np.nan)
    table[list(ranks)] = list(ranks.values())
    return _SegmentColumn(str(values.name), table[pooled], numbers)


def _leaves(
    columns: list[_SegmentColumn], search: Array, losses: Array, least: int, weights: Array | None
) -> Iterator[dict[int, _Condition]]:
    """Conditions of each leaf of the tree, by number of the column."""
    import numpy as np
    from sklearn.tree import DecisionTreeRegressor

    inputs = np.column_stack([column.codes[search] for column in columns])
    inputs = np.clip(inputs, -_LARGEST, _LARGEST)  # trees hold 32-bit numbers, and refuse infinite ones
    gain = LEAST_GAIN * float(np.var(losses)) / len(losses)
    grown = DecisionTreeRegressor(max_depth=DEPTH, min_samples_leaf=least, min_impurity_decrease=gain, random_state=0)
    tree = grown.fit(inputs, losses, sample_weight=weights).tree_
    waiting: list[tuple[int, dict[int, _Condition]]] = [(0, {})]
    while waiting:
        node, conditions = waiting.pop()
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if left == right:
            if conditions:
                yield conditions
            continue
        number, edge = int(tree.feature[node]), float(tree.threshold[node])
        to_left = bool(tree.missing_go_to_left[node])
        before = conditions.get(number, _Condition())
        waiting.append((left, conditions | {number: before.below(edge, to_left)}))
        waiting.append((right, conditions | {number: before.above(edge, not to_left)}))


def _words(column: _SegmentColumn, condition: _Condition) -> str:
    import numpy as np

    missing = condition.missing and bool(np.isnan(column.codes).any())
    parts = [_range(column.name, condition)] if column.values is None else _set(column, column.values, condition)
    told = " or ".join([*(part for part in parts if part), *([MISSING] if missing else [])])
    if told in {MISSING, ""}:
        return f"{column.name} is {'' if told else 'not '}{MISSING}"
    return f"({told})" if missing else told


def _range(name: str, condition: _Condition) -> str:
    low, high = condition.low, condition.high
    if math.isfinite(low) and math.isfinite(high):
        return f"{_number(low)} < {name} <= {_number(high)}"
    if math.isfinite(low):
        return f"{name} > {_number(low)}"
    return f"{name} <= {_number(high)}" if math.isfinite(high) else ""


def _set(column: _SegmentColumn, values: Mapping[str, float], condition: _Condition) -> list[str]:
    """The values, largest loss first; the shorter of `in` and `not in`."""
    inside = [value for value, code in values.items() if condition.low < code <= condition.high][::-1]
    outside = [value for value in values if value not in inside]
    if not inside:
        return []
    if len(outside) < len(inside) and outside and len(inside) > SHOWN and len(outside) <= SHOWN:
        return [f"{column.name} not in {{{', '.join(outside)}}}"]
    more = f" and {len(inside) - SHOWN} more" if len(inside) > SHOWN else ""
    return [f"{column.name} in {{{', '.join(inside[:SHOWN])}{more}}}"]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"  # noqa: PLR2004 - digits that a reader wants
