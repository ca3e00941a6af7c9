"""The groups of one protected attribute, compared by each measure that there is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.gate.rules.fairness.group_rates import Measure, measures
from airflow_mlops.core.gate.rules.fairness.group_sizes import FEWEST, large_enough
from airflow_mlops.core.gate.rules.fairness.shortage import (
    Shortage,
    asked_rows,
    shortage_of_groups,
    shortage_of_rows,
    what_follows,
)
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import Disparity, Group, Interval
from airflow_mlops.core.rows.slicing import Cut, cut
from airflow_mlops.core.stats.multiple_testing import effective, largest_difference
from airflow_mlops.core.stats.shared_resamples import enough, units_of, weights_of
from airflow_mlops.core.text import metric_label
from airflow_mlops.spec.problems import ReasonCode

BINS = 4
"""Quantile bins of a numeric attribute with many values, such as age."""
LISTED = 100
"""Groups of one attribute that are kept in the evaluation."""
_PLACES = {
    Verdict.ACCEPT: "within",
    Verdict.INCONCLUSIVE: "above, but not shown to be above,",
    Verdict.REJECT: "shown to be above",
}
_RATES = ("demographic_parity_difference", "equalized_odds_difference")


@dataclass(frozen=True, kw_only=True)
class ComparedAttribute:
    """What is said of one attribute."""

    name: str
    results: tuple[RuleResult, ...]
    groups: tuple[Group, ...] = ()
    disparities: tuple[Disparity, ...] = ()

    @property
    def undecided(self) -> bool:
        """Whether rows are too few for some of it."""
        return any(result.verdict is Verdict.INCONCLUSIVE for result in self.results)


@dataclass(frozen=True, kw_only=True, eq=False)
class SizedMeasure:
    """A measure on the groups that have rows enough for its bound."""

    measure: Measure
    whole: Measure
    """On every group that may be measured at all."""
    needed: Array
    """Rows that each part needs, shape (parts,); empty where the specification says how many."""
    left: int
    """Groups that are not compared."""

    @property
    def compared(self) -> Measure:
        """On the groups that have rows enough; where there are no two, on all."""
        return self.measure if len(self.measure.groups) > 1 else self.whole


@dataclass(frozen=True, eq=False)
class ProtectedAttribute:
    """A protected attribute on the judged rows."""

    inputs: RuleInput
    name: str
    units: Array
    weights: Array
    pooled: str = ""
    """Which windows the rows are of, where they are not the holdout's alone."""
    bounds: dict[str, float | None] = field(default_factory=dict)

    @classmethod
    def of(cls, inputs: RuleInput, name: str, pooled: str = "") -> ProtectedAttribute:
        """An attribute of these rows; `pooled` says which windows they are of, where not of the holdout alone."""
        rule, seed = inputs.spec.gate.fairness, inputs.spec.training.seed
        units = units_of(inputs.block, len(inputs.judged.y_true), seed)
        bounds = {
            _RATES[0]: rule.max_demographic_parity_difference,
            _RATES[1]: rule.max_equalized_odds_difference,
            inputs.metric.name: rule.max_metric_difference,
        }
        weights = weights_of(units, inputs.spec.gate.champion.resamples, seed)
        return cls(inputs, name, units, weights, pooled, bounds)

    @property
    def _least(self) -> int:
        return self.inputs.spec.gate.fairness.min_rows or FEWEST

    @property
    def _confidence(self) -> float:
        return self.inputs.spec.gate.champion.confidence

    def compare(self) -> ComparedAttribute:
        """Compare the groups by each measure."""
        if self.name not in self.inputs.rows.columns:
            reason = f"the rows have no column {self.name!r}, which gate.fairness.columns names"
            return ComparedAttribute(name=self.name, results=(self._missing("two groups", reason),))
        cuts = cut(self.inputs.rows[self.name], BINS, self._least)
        every = [*cuts.judged, *cuts.others, *cuts.small]
        if len(every) < 2:  # noqa: PLR2004 - a difference has two sides
            reason = f"all {len(self.inputs.rows):,} rows are of one group of {self.name}: there are no two to compare"
            return ComparedAttribute(
                name=self.name, results=(self._missing("two groups", reason),), groups=self._groups(cuts)
            )
        if len(cuts.judged) < 2:  # noqa: PLR2004
            return ComparedAttribute(name=self.name, results=(self._small(cuts),), groups=self._groups(cuts))
        measured = measures(self.inputs, cuts.judged)
        sized = [self._sized(one, cuts) for one in measured]
        found = {one.whole.name: self._disparity(one.compared) for one in sized}
        seen = {one.whole.name: found[one.whole.name] for one in sized if self._decides(one, found[one.whole.name])}
        return ComparedAttribute(
            name=self.name,
            results=tuple(self._results(sized, seen, cuts)),
            groups=self._groups(cuts, sized),
            disparities=tuple(seen.values()),
        )

    def _decides(self, one: SizedMeasure, disparity: Disparity) -> bool:
        """Whether there are rows enough to speak of it: a difference that is surely above its bound needs no more."""
        seen, bound = disparity.difference, disparity.bound
        sure = bound is not None and math.isfinite(seen.lower) and seen.lower > bound
        return sure or one.compared is one.measure

    def _sized(self, one: Measure, cuts: Cut) -> SizedMeasure:
        """Leave out the groups that have too few rows for the measure's bound."""
        import numpy as np

        bound, left = self.bounds.get(one.name), len(cuts.small) + len(cuts.others)
        if bound is None or self.inputs.spec.gate.fairness.min_rows is not None:
            return SizedMeasure(measure=one, whole=one, needed=np.empty(0), left=left)
        kept, needed = large_enough(one.counts, np.nan_to_num(one.spread), bound, self._confidence)
        return SizedMeasure(measure=one.only(kept), whole=one, needed=needed, left=left + int((~kept).sum()))

    def _groups(self, cuts: Cut, sized: Sequence[SizedMeasure] = ()) -> tuple[Group, ...]:
        """Groups with their rates, then those that are not measured; those beyond `LISTED` together.

        Judged is a group that is compared by a measure which has a bound, or by any where none has.
        """
        bounded = [one for one in sized if self.bounds.get(one.whole.name) is not None] or sized
        compared = {id(rows) for one in bounded for rows in one.measure.groups}
        judged = [
            Group(
                column=self.name,
                value=rows.value,
                rows=len(rows.index),
                judged=id(rows) in compared,
                metrics={name: float(values[number]) for one in sized for name, values in one.whole.told.items()},
            )
            for number, rows in enumerate(cuts.judged)
        ]
        others = [*cuts.others, *cuts.small]
        kept, rest = others[: max(0, LISTED - len(judged))], others[max(0, LISTED - len(judged)) :]
        listed = [
            Group(column=self.name, value=rows.value, rows=len(rows.index), judged=False, metrics={}) for rows in kept
        ]
        if rest:
            total = sum(len(rows.index) for rows in rest)
            listed.append(Group(column=self.name, value=f"{len(rest)} others", rows=total, judged=False, metrics={}))
        return (*judged, *listed)

    def _disparity(self, one: Measure) -> Disparity:
        """The largest difference with its interval; NaN bounds when some group lies in too few blocks."""
        import numpy as np

        sizes = [self._effective(rows.index) for rows in one.groups]
        draws = one.draws(self.units, self.weights if all(sizes) else self.weights[:0])
        return Disparity(
            column=self.name,
            measure=one.name,
            difference=largest_difference(np.asarray(one.values), draws, max(2.0, min(sizes)), self._confidence),
            bound=self.bounds.get(one.name),
            rows=sum(len(rows.index) for rows in one.groups),
        )

    def _effective(self, index: Array) -> float:
        """Units that a group's rows are worth; 0 when there are too few for an interval."""
        weights = self.inputs.judged.weights
        mine = self.units[index]
        return effective(mine, None if weights is None else weights[index]) if enough(mine) else 0.0

    def _results(self, sized: Sequence[SizedMeasure], seen: dict[str, Disparity], cuts: Cut) -> Iterator[RuleResult]:
        """One for each bound; one that only reports where there is none."""
        bounded = [one for one in sized if self.bounds.get(one.whole.name) is not None]
        for one in bounded:
            disparity = seen.get(one.whole.name)
            yield self._too_few(one) if disparity is None else self._bounded(one, disparity)
        yield from self._inapplicable({one.whole.name for one in sized})
        if not bounded:
            reason = f"differences between {len(cuts.judged)} groups of {self.name} are reported; no bound is set"
            told = self._result(self.name, Verdict.ACCEPT, None, ("reported only", reason))
            yield replace(told, value=float(len(cuts.judged)))  # nothing else to hold against a bound

    def _inapplicable(self, measured: set[str]) -> Iterator[RuleResult]:
        """A bound that somebody wrote down, on rates that a regression does not have."""
        rule = self.inputs.spec.gate.fairness
        for name in _RATES:
            bound = f"max_{name}"
            if name not in measured and bound in rule.changed_fields() and getattr(rule, bound) is not None:
                reason = (
                    f"gate.fairness.{bound} is set, and {self.inputs.judged.task} has no such rates: set it to null"
                )
                yield self._result(name, Verdict.REJECT, ReasonCode.NOT_EVALUATED, ("rates of classes", reason))

    # -- what rows are missing for ----------------------------------------------------------------------------------

    def _small(self, cuts: Cut) -> RuleResult:
        """Fewer than two groups may be measured at all: undecided, unless there is nothing to decide."""
        found = self._undecided(
            self.name, f"two groups of >= {self._least} rows", shortage_of_groups(cuts, self.name, self._least)
        )
        if any(bound is not None for bound in self.bounds.values()):
            return found
        return replace(found, verdict=Verdict.ACCEPT, code=None, value=float(len(cuts.judged)), rows_needed=None)

    def _too_few(self, one: SizedMeasure) -> RuleResult:
        """Fewer than two groups have the rows that the bound is decided with."""
        bound = self.bounds.get(one.whole.name) or 0.0
        found = shortage_of_rows(one.whole, one.needed, bound, self._confidence)
        words = f"{one.whole.name} of {self.name} <= {bound:g}"
        return self._undecided(one.whole.name, words, replace(found, reason=f"{self._words(one.whole)} {found.reason}"))

    def _undecided(self, metric: str, words: str, found: Shortage) -> RuleResult:
        reason = found.reason + what_follows(self.inputs, found.times, self.pooled)
        told = self._result(metric, Verdict.INCONCLUSIVE, ReasonCode.GROUPS_UNDECIDED, (words, reason))
        rows = len(self.inputs.judged.y_true) * found.times
        return replace(told, rows_needed=math.ceil(rows) if math.isfinite(rows) and found.times > 1 else None)

    # -- what is known ----------------------------------------------------------------------------------------------

    def _bounded(self, one: SizedMeasure, disparity: Disparity) -> RuleResult:
        measure, seen, bound = one.compared, disparity.difference, disparity.bound or 0.0
        words = f"{measure.name} of {self.name} <= {bound:g}"
        if not math.isfinite(seen.value):
            reason = f"{self._words(measure)} is not defined: {measure.undefined}"
            return self._result(measure.name, Verdict.REJECT, ReasonCode.METRIC_NOT_FINITE, (words, reason))
        verdict = _verdict(seen, bound)
        shown = math.isfinite(seen.lower) and math.isfinite(seen.upper)
        interval = (
            f"{self._confidence * 100:g}% lower bound {seen.lower:.4g}, upper {seen.upper:.4g}"
            if shown
            else "no interval, for a group lies in too few blocks or is undefined in too many resamples"
        )
        place = "not shown to be within" if seen.value <= bound and verdict is not Verdict.ACCEPT else _PLACES[verdict]
        reason = (
            f"{self._words(measure)} is {seen.value:.4g} ({interval}), {place} {bound:g}: {measure.extremes}"
            f"{self._left(one)}"
        )
        code = None if verdict is Verdict.ACCEPT else ReasonCode.GROUPS_DIFFER
        if verdict is Verdict.INCONCLUSIVE and not shown and seen.value <= bound:
            code, reason = ReasonCode.GROUPS_UNDECIDED, reason + what_follows(self.inputs, math.inf, self.pooled)
        elif self.pooled:
            reason += f" ({self.pooled})"
        told = self._result(measure.name, verdict, code, (words, reason), disparity)
        if verdict is not Verdict.INCONCLUSIVE or not shown:
            return told
        # The half width falls with the root of the rows: with so many the difference that was seen would be sure.
        times = ((seen.value - seen.lower) / (seen.value - bound)) ** 2
        return replace(told, rows_needed=math.ceil(disparity.rows * times))

    def _left(self, one: SizedMeasure) -> str:
        """Which groups are not compared."""
        if not one.left or one.compared is not one.measure:
            return ""
        few = f"gate.fairness.min_rows = {self._least:,}"
        if len(one.needed):
            few = f"fewer than {asked_rows(one.whole, one.needed, 'or')}"
        return f"; {one.left} smaller groups are not judged ({few})"

    def _words(self, measure: Measure) -> str:
        name = metric_label(measure.name.removesuffix("_difference"))
        return f"the {name} difference between {len(measure.groups)} groups of {self.name}"

    def _missing(self, words: str, reason: str) -> RuleResult:
        """The rejection of an attribute that has no groups."""
        return self._result(self.name, Verdict.REJECT, ReasonCode.GROUP_MISSING, (words, reason))

    def _result(
        self,
        metric: str,
        verdict: Verdict,
        code: ReasonCode | None,
        words: tuple[str, str],
        disparity: Disparity | None = None,
    ) -> RuleResult:
        """A result with its bound and reason in `words`."""
        seen = None if disparity is None else disparity.difference
        return RuleResult(
            rule="fairness",
            metric=metric,
            verdict=verdict,
            value=None if seen is None else seen.value,
            lower=None if seen is None else seen.lower,
            upper=None if seen is None else seen.upper,
            bound=words[0],
            rows=len(self.inputs.judged.y_true) if disparity is None else disparity.rows,
            code=code,
            reason=words[1],
        )


def _verdict(seen: Interval, bound: float) -> Verdict:
    """Accept within the bound; reject when it is shown to be above; without an interval nothing is shown."""
    if not (math.isfinite(seen.lower) and math.isfinite(seen.upper)):
        return Verdict.INCONCLUSIVE
    if seen.value <= bound:
        return Verdict.ACCEPT
    return Verdict.REJECT if seen.lower > bound else Verdict.INCONCLUSIVE
