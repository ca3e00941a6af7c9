"""What is compared between groups: rates of classes, the primary metric, and the mean error of a regression."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.rows.slicing import SliceSource
from airflow_mlops.core.stats.shared_resamples import enough, on_units, units_of, weights_of
from airflow_mlops.core.text import metric_label


@dataclass(frozen=True, kw_only=True, eq=False)
class Measure:
    """Something that every group has a number for, or one for each class."""

    name: str
    groups: tuple[SliceSource, ...]
    parts: tuple[str, ...]
    """What each row of `values` is: `true positive rate`, with the class where there are several."""
    values: Array
    """Shape (parts, groups), NaN where not defined."""
    draws: Callable[[Array, Array], Array]
    """From units of the rows, shape (n,), and weights of them, (resamples, units): (resamples, parts, groups)."""
    counts: Array
    """Rows that each value is of, shape (parts, groups); as equal ones, where they have weights."""
    spread: Array
    """Variance of what one row adds to a value, if groups do not differ, shape (parts,); NaN where it is not known."""
    among: tuple[str, ...]
    """What the rows of `counts` are, in words: `rows`, `rows where it is true`."""
    told: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))
    """What is told of each group, by name, shape (groups,)."""

    def only(self, kept: Array) -> Measure:
        """Some of the groups: a mask, shape (groups,)."""
        drawn = self.draws
        return replace(
            self,
            groups=tuple(group for group, keep in zip(self.groups, kept, strict=True) if keep),
            values=self.values[:, kept],
            counts=self.counts[:, kept],
            draws=lambda units, weights: drawn(units, weights)[:, :, kept],
            told={name: values[kept] for name, values in self.told.items()},
        )

    @property
    def undefined(self) -> str:
        """The first part and group without a number, in words."""
        import numpy as np

        part, group = np.argwhere(~np.isfinite(self.values))[0]
        rows = self.groups[group]
        return (
            f"{rows.column} = {rows.value} ({len(rows.index):,} rows) has no {self.parts[part]}; "
            "leave gate.fairness.min_rows out, or set the bound to null"
        )

    @property
    def extremes(self) -> str:
        """The part that differs most, and its two groups, in words."""
        import numpy as np

        part = int(np.argmax(self.values.max(axis=1) - self.values.min(axis=1)))
        mine = self.values[part]
        high, low = (f"{mine[at]:.4g} in {self._group(at)}" for at in (int(mine.argmax()), int(mine.argmin())))
        return f"{self.parts[part]} {high} against {low}"

    def _group(self, number: int) -> str:
        rows = self.groups[number]
        return f"{rows.value} ({len(rows.index):,} rows)"


def measures(inputs: RuleInput, groups: Sequence[SliceSource]) -> list[Measure]:
    """Measure groups: selection rates and odds for classes, and the primary metric always.

    Values are of fairlearn's `MetricFrame`; a rate whose denominator is 0 is NaN, not 0 as there, for it is unknown.
    """
    judged = inputs.judged
    found = [] if judged.task == "regression" else _rates(judged, groups)
    return [*found, _primary(inputs, groups)]


def _rates(judged: LabelledPredictions, groups: Sequence[SliceSource]) -> list[Measure]:
    import numpy as np

    named = _named(judged)
    numbers = [number for _, number in named]
    found = np.stack([_by_group(judged, groups, number) for number in numbers])  # classes, rates, groups
    conditional = found[:, 1:].reshape(-1, len(groups))
    sizes = np.stack([_denominators(judged, groups, number) for number in numbers])
    spread = np.array([_spread_of_rates(judged, groups, number) for number in numbers])
    selection = [f"selection rate{words}" for words, _ in named]
    odds = [f"{rate}{words}" for words, _ in named for rate in ("true positive rate", "false positive rate")]

    def told(rates: Sequence[str], values: Array) -> dict[str, Array]:
        return dict(zip((rate.replace(" ", "_") for rate in rates), values, strict=True)) if len(named) == 1 else {}

    def selected(units: Array, weights: Array) -> Array:
        return _drawn_rates(judged, groups, numbers, units, weights)[:, :, 0]

    def both(units: Array, weights: Array) -> Array:
        rates = _drawn_rates(judged, groups, numbers, units, weights)[:, :, 1:]
        return rates.reshape(len(rates), 2 * len(numbers), len(groups))

    return [
        Measure(
            name="demographic_parity_difference",
            groups=tuple(groups),
            parts=tuple(selection),
            values=found[:, 0],
            draws=selected,
            counts=sizes[:, 0],
            spread=spread[:, 0],
            among=("rows",) * len(numbers),
            told=told(selection, found[:, 0]),
        ),
        Measure(
            name="equalized_odds_difference",
            groups=tuple(groups),
            parts=tuple(odds),
            values=conditional,
            draws=both,
            counts=sizes[:, 1:].reshape(-1, len(groups)),
            spread=spread[:, 1:].ravel(),
            among=tuple(f"rows where it is {true}{words}" for words, _ in named for true in ("true", "false")),
            told=told(odds, conditional),
        ),
    ]


def _named(judged: LabelledPredictions) -> list[tuple[str, int]]:
    """Classes that are taken against the rest, in words: the positive one of two, else every one."""
    if judged.task == "binary":
        return [("", 1)]
    known = None if judged.probabilities is None else judged.probabilities.shape[1]
    classes = range(known or 1 + int(max(judged.y_true.max(), judged.y_pred.max())))
    return [(f" of class {judged.names[number] if judged.names else number}", number) for number in classes]


def _weights(judged: LabelledPredictions) -> Array:
    import numpy as np

    return np.ones(len(judged.y_true)) if judged.weights is None else judged.weights


def _by_group(judged: LabelledPredictions, groups: Sequence[SliceSource], number: int) -> Array:
    """Selection, true and false positive rate of one class, shape (3, groups), by fairlearn.

    fairlearn is given the four counts of each group as weighted rows, not the rows: it copies them several times for
    each rate.
    """
    import numpy as np
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

    weights = _weights(judged)
    counts = np.zeros((len(groups), 4))
    for place, group in enumerate(groups):
        cell = 2 * (judged.y_true[group.index] == number) + (judged.y_pred[group.index] == number)
        counts[place] = np.bincount(cell, weights[group.index], minlength=4)
    metrics = {"selection": selection_rate, "true": true_positive_rate, "false": false_positive_rate}
    frame = MetricFrame(
        metrics=metrics,
        y_true=np.tile([0, 0, 1, 1], len(groups)),
        y_pred=np.tile([0, 1, 0, 1], len(groups)),
        sensitive_features=np.repeat(np.arange(len(groups)), 4),
        sample_params={name: {"sample_weight": counts.ravel()} for name in metrics},
    )
    rates = frame.by_group[list(metrics)].to_numpy(dtype=float).T
    among = np.stack([counts.sum(axis=1), counts[:, 2:].sum(axis=1), counts[:, :2].sum(axis=1)])
    return np.where(among > 0, rates, np.nan)


def _denominators(judged: LabelledPredictions, groups: Sequence[SliceSource], number: int) -> Array:
    """Rows that selection, true and false positive rate are of, as equal ones (Kish), shape (3, groups)."""
    import numpy as np

    weights, true = _weights(judged), judged.y_true == number
    found = np.zeros((3, len(groups)))
    for place, group in enumerate(groups):
        mine, hit = weights[group.index], true[group.index]
        for at, kept in enumerate((mine, mine[hit], mine[~hit])):
            found[at, place] = kept.sum() ** 2 / np.square(kept).sum() if kept.any() else 0.0
    return found


def _spread_of_rates(judged: LabelledPredictions, groups: Sequence[SliceSource], number: int) -> tuple[float, ...]:
    """Return p (1 - p) of selection, true and false positive rate of all groups together; of no rows, the most."""
    import numpy as np

    rows = np.concatenate([group.index for group in groups])
    weights, true, said = _weights(judged)[rows], judged.y_true[rows] == number, judged.y_pred[rows] == number
    kept = (np.ones(len(rows), dtype=bool), true, ~true)
    rates = [float(weights[k & said].sum() / weights[k].sum()) if weights[k].any() else 0.5 for k in kept]
    return tuple(rate * (1 - rate) for rate in rates)


def _drawn_rates(
    judged: LabelledPredictions, groups: Sequence[SliceSource], classes: Sequence[int], units: Array, weights: Array
) -> Array:
    """Selection, true and false positive rates on resamples: shape (resamples, classes, 3, groups)."""
    import numpy as np

    size = weights.shape[1]
    row_weights = _weights(judged)
    found = np.empty((len(weights), len(classes), 3, len(groups)))
    for place, group in enumerate(groups):
        mine, worth = units[group.index], row_weights[group.index]
        for at, number in enumerate(classes):
            truth, said = judged.y_true[group.index] == number, judged.y_pred[group.index] == number
            kept = [np.ones(len(mine)), said, truth, truth & said, ~truth, ~truth & said]
            sums = weights @ np.column_stack([np.bincount(mine, worth * each, minlength=size) for each in kept])
            with np.errstate(divide="ignore", invalid="ignore"):
                found[:, at, :, place] = sums[:, 1::2] / sums[:, ::2]
    return found


def _primary(inputs: RuleInput, groups: Sequence[SliceSource]) -> Measure:
    import numpy as np

    judged, metric = inputs.judged, inputs.metric
    values = {metric.name: np.array([metric(judged.take(group.index)) for group in groups])}
    if judged.task == "regression":
        errors, weights = judged.y_pred - judged.y_true, _weights(judged)
        sums = [(weights[group.index] @ errors[group.index], weights[group.index].sum()) for group in groups]
        values["mean_error"] = np.array([error / weight if weight > 0 else np.nan for error, weight in sums])

    def draws(units: Array, weights: Array) -> Array:
        drawn = [on_units(metric, judged, group.index, units, weights)[1] for group in groups]
        resamples = min(len(each) for each in drawn)
        return np.stack([each[:resamples] for each in drawn], axis=-1)[:, None]

    return Measure(
        name=metric.name,
        groups=tuple(groups),
        parts=(metric_label(metric.name),),
        values=values[metric.name][None],
        draws=draws,
        counts=np.array([[float(len(group.index)) for group in groups]]),
        spread=np.array([_spread_of_metric(inputs, groups)]),
        among=("rows",),
        told=values,
    )


def _spread_of_metric(inputs: RuleInput, groups: Sequence[SliceSource]) -> float:
    """Variance of the primary metric times rows, over resamples of the rows of all groups; NaN without an interval.

    Asked only where its differences have a bound.
    """
    import numpy as np

    if inputs.spec.gate.fairness.max_metric_difference is None:
        return math.nan
    rows = np.concatenate([group.index for group in groups])
    seed = inputs.spec.training.seed
    units = units_of(inputs.block, len(inputs.judged.y_true), seed)
    if not enough(units[rows]):
        return math.nan
    weights = weights_of(units, inputs.spec.gate.champion.resamples, seed)
    drawn = on_units(inputs.metric, inputs.judged, rows, units, weights)[1]
    return float(np.var(drawn[np.isfinite(drawn)]) * len(rows)) if np.isfinite(drawn).any() else math.nan
