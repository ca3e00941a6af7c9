"""Measure every slice: candidate against champion, and slice against whole, on resamples that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.records.evidence import Interval, SliceResult
from airflow_mlops.core.rows.slicing import Cut, SliceSource
from airflow_mlops.core.stats.bootstrap import MIN_BLOCKS, bounds
from airflow_mlops.core.stats.multiple_testing import UNDEFINED, effective, exceeds, holm
from airflow_mlops.core.stats.shared_resamples import enough, on_units, units_of, weights_of
from airflow_mlops.core.text import metric_label


@dataclass(frozen=True, kw_only=True)
class SliceMeasurements:
    """What was seen of a slice; p-values are NaN-free, None where nothing was tested."""

    rows: SliceSource
    why: str = ""
    """Why it was not judged; empty when it was."""
    candidate: float | None = None
    champion: float | None = None
    drop: Interval | None = None
    drop_p: float | None = None
    gap: Interval | None = None
    gap_p: float | None = None

    @property
    def result(self) -> SliceResult:
        """As it is kept in the evaluation."""
        return SliceResult(
            column=self.rows.column,
            value=self.rows.value,
            rows=len(self.rows.index),
            judged=not self.why,
            candidate=self.candidate,
            champion=self.champion,
            drop=self.drop,
            drop_p=self.drop_p,
            gap=self.gap,
            gap_p=self.gap_p,
        )


def measure(inputs: RuleInput, cuts: Mapping[str, Cut]) -> list[SliceMeasurements]:
    """Measure the slices of every column, with p-values that are corrected over all of them.

    Slices, whole, candidate and champion are judged on the same resamples of blocks: what the slices have in common
    with the whole, and the models with each other, cancels out. One family for Holm's correction is everything that
    the rule tests: every slice of every column, its drop and its gap. So a candidate that harms no slice at all is
    rejected with probability `1 - confidence` at most. The intervals are those of one slice alone, not corrected.
    """
    import numpy as np

    rule, champion = inputs.spec.gate.slices, inputs.spec.gate.champion
    units = units_of(inputs.block, len(inputs.judged.y_true), inputs.spec.training.seed)
    weights = weights_of(units, champion.resamples, inputs.spec.training.seed)
    whole = on_units(inputs.metric, inputs.judged, np.arange(len(units)), units, weights)
    found = []
    for column in cuts.values():
        found += [_one(inputs, rows, units, weights, whole) for rows in column.judged]
        found += [SliceMeasurements(rows=rows, why=f"fewer than {rule.min_rows:,} rows") for rows in column.small]
        found += [
            SliceMeasurements(rows=rows, why=f"beyond the {len(column.judged)} largest") for rows in column.others
        ]
    return _corrected(found)


def _corrected(found: list[SliceMeasurements]) -> list[SliceMeasurements]:
    """Holm's correction over the drops and gaps of all slices together."""
    raw = [p for one in found for p in (one.drop_p, one.gap_p) if p is not None]
    corrected = iter(holm(raw))
    return [
        replace(
            one,
            drop_p=None if one.drop_p is None else next(corrected),
            gap_p=None if one.gap_p is None else next(corrected),
        )
        for one in found
    ]


def _one(
    inputs: RuleInput, rows: SliceSource, units: Array, weights: Array, whole: tuple[float, Array]
) -> SliceMeasurements:
    import numpy as np

    mine = units[rows.index]
    if not enough(mine):
        return SliceMeasurements(rows=rows, why=f"in fewer than {MIN_BLOCKS} blocks")
    value, drawn = on_units(inputs.metric, inputs.judged, rows.index, units, weights)
    champion = None if inputs.other is None or not inputs.other.finite else inputs.other
    other = None if champion is None else on_units(inputs.metric, champion, rows.index, units, weights)
    compared = [(value, drawn), whole, *([] if other is None else [other])]
    least = min(len(on) for _, on in compared)
    defined = np.isfinite(sum(on[:least] for _, on in compared)).mean()
    if not all(np.isfinite(at) for at, _ in compared) or defined < 1 - UNDEFINED:
        return SliceMeasurements(rows=rows, why=f"without a defined {metric_label(inputs.metric.name)}")
    size = max(2.0, effective(mine, None if inputs.judged.weights is None else inputs.judged.weights[rows.index]))
    rule = inputs.spec.gate.slices
    gap, gap_p = _compare(inputs, whole, (value, drawn), size, rule.max_gap)
    if other is None:
        return SliceMeasurements(rows=rows, candidate=value, gap=gap, gap_p=gap_p)
    drop, drop_p = _compare(inputs, other, (value, drawn), size, rule.max_drop)
    return SliceMeasurements(
        rows=rows, candidate=value, champion=other[0], drop=drop, drop_p=drop_p, gap=gap, gap_p=gap_p
    )


def _compare(
    inputs: RuleInput, better: tuple[float, Array], worse: tuple[float, Array], units: float, bound: float | None
) -> tuple[Interval, float | None]:
    """How much worse the second is, with its interval, and the p-value of its being within the bound, if any."""
    resamples = min(len(better[1]), len(worse[1]))
    value = inputs.sign * (better[0] - worse[0])
    drawn = inputs.sign * (better[1][:resamples] - worse[1][:resamples])
    lower, upper = bounds(drawn, units, inputs.spec.gate.champion.confidence)  # type: ignore[arg-type]
    p = None if bound is None else exceeds(value, bound, drawn, units)
    return Interval(value=value, lower=lower, upper=upper), p
