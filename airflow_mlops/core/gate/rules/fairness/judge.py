"""The rule `fairness`: how far the groups of protected attributes are treated differently.

Rates of each group are fairlearn's (Bird et al., 2020): demographic parity compares how often a class is predicted,
equalised odds how often it is predicted where it is true and where it is not (Hardt et al., 2016). For several
classes each is taken against the rest, and the largest difference counts.

The largest difference between groups is biased upwards: with m rows in a group, rates of groups that do not differ
spread by chance, and the largest less the smallest of ten rates of 100 rows is about 0.15 (M. Lum, Y. Zhang,
A. Bower, De-biasing "bias" measurement, FAccT 2022). Three things answer it: `min_rows` leaves small groups out, for
the bias falls with the root of the rows; the interval is simultaneous over all pairs of groups, and reaches down to 0
where there is no difference (`core.stats.multiple_testing`); and only a lower bound above what is allowed is a
rejection, a value above it alone is inconclusive. fairlearn's own bootstrap was rejected: it resamples row by row, and
rows of one day or customer are not independent.

References
----------
S. Bird et al. (2020), Fairlearn: a toolkit for assessing and improving fairness in AI, MSR-TR-2020-32.
M. Hardt, E. Price, N. Srebro (2016), Equality of opportunity in supervised learning, NeurIPS.
M. Lum, Y. Zhang, A. Bower (2022), De-biasing "bias" measurement, FAccT.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rule import Asked, Rule
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.gate.rules.fairness.group_rates import Measure, measures
from airflow_mlops.core.gate.rules.fairness.sections import sections
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


def judge(inputs: RuleInput) -> RuleOutcome:
    """Compare the groups of each protected attribute.

    Returns
    -------
    RuleOutcome
        One result for each attribute and bound: accept when the difference is at most the bound, reject when the lower
        bound of its interval is above it, else inconclusive, as without an interval; a rejection for an attribute that
        is missing or has fewer than two groups large enough, and for a difference that is not defined. Evidence:
        `groups`, `disparities`.
    """
    columns = inputs.spec.gate.fairness.columns
    if not columns:
        return RuleOutcome()
    if not inputs.judged.finite:
        return RuleOutcome(rules=tuple(_not_finite(inputs, column) for column in columns))
    units = units_of(inputs.block, len(inputs.judged.y_true), inputs.spec.training.seed)
    weights = weights_of(units, inputs.spec.gate.champion.resamples, inputs.spec.training.seed)
    results: list[RuleResult] = []
    groups: list[Group] = []
    disparities: list[Disparity] = []
    for column in columns:
        attribute = _Attribute(inputs, column, units, weights)
        cuts = attribute.cuts()
        if cuts is None or len(cuts.judged) < 2:  # noqa: PLR2004 - a difference has two sides
            results.append(attribute.missing(cuts))
            groups += attribute.groups(cuts, []) if cuts is not None else []
            continue
        measured = measures(inputs, cuts.judged)
        found = [(one, attribute.disparity(one, cuts)) for one in measured]
        groups += attribute.groups(cuts, measured)
        disparities += [disparity for _, disparity in found]
        results += attribute.results(found, cuts)
    return RuleOutcome(rules=tuple(results), evidence={"groups": tuple(groups), "disparities": tuple(disparities)})


@dataclass(frozen=True, eq=False)
class _Attribute:
    """A protected attribute on the judged rows."""

    inputs: RuleInput
    name: str
    units: Array
    weights: Array

    @property
    def _least(self) -> int:
        return self.inputs.spec.gate.fairness.min_rows

    def cuts(self) -> Cut | None:
        """Its groups; None when the rows have no such column."""
        if self.name not in self.inputs.rows.columns:
            return None
        return cut(self.inputs.rows[self.name], BINS, self._least)

    def missing(self, cuts: Cut | None) -> RuleResult:
        """The rejection of an attribute whose groups cannot be compared."""
        least = self._least
        if cuts is None:
            reason = f"the rows have no column {self.name!r}, which gate.fairness.columns names"
        else:
            reason = (
                f"{len(cuts.judged)} of {len(cuts.judged) + len(cuts.small)} groups of {self.name} have at least"
                f" {least:,} rows (gate.fairness.min_rows): there are no two to compare"
            )
        return self._result(
            self.name, Verdict.REJECT, ReasonCode.GROUP_MISSING, (f"two groups of >= {least} rows", reason)
        )

    def groups(self, cuts: Cut, measured: list[Measure]) -> list[Group]:
        """Judged groups with their rates, then the others; those beyond `LISTED` together."""
        judged = [
            Group(
                column=self.name,
                value=rows.value,
                rows=len(rows.index),
                judged=True,
                metrics={name: float(values[number]) for one in measured for name, values in one.told.items()},
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
        return [*judged, *listed]

    def disparity(self, one: Measure, cuts: Cut) -> Disparity:
        """The largest difference with its interval; NaN bounds when some group lies in too few blocks."""
        import numpy as np

        rule = self.inputs.spec.gate.fairness
        bounds = {
            _RATES[0]: rule.max_demographic_parity_difference,
            _RATES[1]: rule.max_equalized_odds_difference,
            self.inputs.metric.name: rule.max_metric_difference,
        }
        sizes = [self._effective(rows.index) for rows in cuts.judged]
        draws = one.draws(self.units, self.weights if all(sizes) else self.weights[:0])
        confidence = self.inputs.spec.gate.champion.confidence
        return Disparity(
            column=self.name,
            measure=one.name,
            difference=largest_difference(np.asarray(one.values), draws, max(2.0, min(sizes)), confidence),
            bound=bounds.get(one.name),
            rows=sum(len(rows.index) for rows in cuts.judged),
        )

    def _effective(self, index: Array) -> float:
        """Units that a group's rows are worth; 0 when there are too few for an interval."""
        weights = self.inputs.judged.weights
        mine = self.units[index]
        return effective(mine, None if weights is None else weights[index]) if enough(mine) else 0.0

    def results(self, found: list[tuple[Measure, Disparity]], cuts: Cut) -> Iterator[RuleResult]:
        """One for each bound; one that only reports where there is none."""
        bounded = [pair for pair in found if pair[1].bound is not None]
        for measure, disparity in bounded:
            yield self._bounded(measure, disparity, cuts)
        yield from self._inapplicable({measure.name for measure, _ in found})
        if not bounded:
            reason = f"differences between {len(cuts.judged)} groups of {self.name} are reported; no bound is set"
            told = self._result(self.name, Verdict.ACCEPT, None, ("reported only", reason))
            yield replace(told, value=float(len(cuts.judged)))  # nothing else to hold against a bound

    def _inapplicable(self, measured: set[str]) -> Iterator[RuleResult]:
        """A bound that somebody wrote down, on rates that a regression does not have."""
        rule = self.inputs.spec.gate.fairness
        for name in _RATES:
            field = f"max_{name}"
            if name not in measured and field in rule.changed_fields() and getattr(rule, field) is not None:
                reason = (
                    f"gate.fairness.{field} is set, and {self.inputs.judged.task} has no such rates: set it to null"
                )
                yield self._result(name, Verdict.REJECT, ReasonCode.NOT_EVALUATED, ("rates of classes", reason))

    def _bounded(self, measure: Measure, disparity: Disparity, cuts: Cut) -> RuleResult:
        seen, bound = disparity.difference, disparity.bound or 0.0
        words = f"{measure.name} of {self.name} <= {bound:g}"
        if not math.isfinite(seen.value):
            reason = f"{self._words(measure)} is not defined: {measure.undefined}"
            return self._result(measure.name, Verdict.REJECT, ReasonCode.METRIC_NOT_FINITE, (words, reason))
        verdict = _verdict(seen, bound)
        level = self.inputs.spec.gate.champion.confidence
        interval = (
            f"{level * 100:g}% lower bound {seen.lower:.4g}, upper {seen.upper:.4g}"
            if math.isfinite(seen.lower)
            else "no interval, for a group lies in too few blocks or is undefined in too many resamples"
        )
        place = "not shown to be within" if seen.value <= bound and verdict is not Verdict.ACCEPT else _PLACES[verdict]
        reason = f"{self._words(measure)} is {seen.value:.4g} ({interval}), {place} {bound:g}"
        left = len(cuts.small) + len(cuts.others)
        small = f"; {left} smaller groups are not judged (gate.fairness.min_rows = {self._least:,})" if left else ""
        code = None if verdict is Verdict.ACCEPT else ReasonCode.GROUPS_DIFFER
        return self._result(measure.name, verdict, code, (words, f"{reason}: {measure.extremes}{small}"), disparity)

    def _words(self, measure: Measure) -> str:
        name = metric_label(measure.name.removesuffix("_difference"))
        return f"the {name} difference between {len(measure.groups)} groups of {self.name}"

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


def _not_finite(inputs: RuleInput, column: str) -> RuleResult:
    reason = f"predictions or labels are not finite numbers, or there are none: groups of {column} cannot be compared"
    return RuleResult(
        rule="fairness",
        metric=column,
        verdict=Verdict.REJECT,
        value=None,
        bound="finite rates in every group",
        rows=len(inputs.judged.y_true),
        code=ReasonCode.METRIC_NOT_FINITE,
        reason=reason,
    )


def _owed(asked: Asked) -> Iterator[str | None]:
    rule = asked.spec.gate.fairness
    bounds = (
        rule.max_demographic_parity_difference,
        rule.max_equalized_odds_difference,
        rule.max_metric_difference,
    )
    if rule.columns and any(bound is not None for bound in bounds):
        yield None


RULE = Rule(
    name="fairness",
    owed=_owed,
    judge=judge,
    part=True,
    evidence=frozenset({"groups", "disparities"}),
    sections=sections,
    rank=8,
    advice={
        ReasonCode.GROUP_MISSING: "Find out why this group is missing from the source.",
        ReasonCode.GROUPS_DIFFER: "Do not override alone: who answers for fairness must see the groups below.",
    },
)
