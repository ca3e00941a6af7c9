"""The rule `slices`: no part of the rows is sacrificed for the whole.

A slice fails when the rows show that it is worse than allowed: the p-value of "the drop is at most max_drop",
corrected over all slices (Holm, 1979), is below 1 - confidence. The rule looks for evidence of harm; it does not ask
every slice to prove that there is none, which small slices never could. What it cannot see it says: slices with few
rows or blocks are listed and counted in the reason, and the intervals show how much harm there might be.

References
----------
B. Efron, R. J. Tibshirani (1993), An introduction to the bootstrap, chapters 6, 8 and 12.
S. Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6.
Y. Chung et al. (2019), Slice finder: automated data slicing for model validation, ICDE.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_mlops.core.gate.rule import Asked, Rule
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.gate.rules.slices.measure import SliceMeasurements, measure
from airflow_mlops.core.gate.rules.slices.sections import sections
from airflow_mlops.core.gate.rules.slices.weakest import weakest
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import Interval, SliceResult
from airflow_mlops.core.rows.slicing import MISSING, Cut, cut, in_words
from airflow_mlops.core.text import metric_label
from airflow_mlops.spec.problems import ReasonCode

LISTED = 200
"""Slices that are kept in the evaluation; the others are counted together, by column."""
NAMED = 3
"""Slices that a reason names."""

Kind = Literal["drop", "gap"]
_CODES = {"drop": ReasonCode.SLICE_WORSE, "gap": ReasonCode.SLICE_WEAK}


def judge(inputs: RuleInput) -> RuleOutcome:
    """Judge every slice of the columns that the specification names, and search for the weakest segments.

    Returns
    -------
    RuleOutcome
        One result for each column and bound (`drop` against the champion, `gap` against the whole), and one that
        rejects for a column or a required value that is missing, too small or cannot be judged. Evidence: `slices`,
        failed ones first, and `segments`. Without columns only `segments`.
    """
    rule = inputs.spec.gate.slices
    if not rule.columns:
        return RuleOutcome(evidence={"segments": weakest(inputs)})
    if not inputs.judged.finite:
        return RuleOutcome(rules=tuple(_broken(inputs, column) for column in rule.columns))
    asked = {column: _several(rule.required.get(column)) for column in rule.columns}
    cuts = {
        column: cut(inputs.rows[column], rule.bins, rule.min_rows, asked[column])
        for column in rule.columns
        if column in inputs.rows.columns
    }
    measured = measure(inputs, cuts)
    results: list[RuleResult] = []
    for column in rule.columns:
        mine = _SliceColumn(inputs, column, tuple(one for one in measured if one.rows.column == column))
        results += mine.results(asked[column])
    listed = _listed(measured, cuts, 1 - inputs.spec.gate.champion.confidence)
    return RuleOutcome(rules=tuple(results), evidence={"slices": listed, "segments": weakest(inputs)})


@dataclass(frozen=True, eq=False)
class _SliceColumn:
    """The verdicts on one column."""

    inputs: RuleInput
    name: str
    slices: tuple[SliceMeasurements, ...]

    @property
    def judged(self) -> list[SliceMeasurements]:
        """Slices that could be."""
        return [one for one in self.slices if not one.why]

    def results(self, asked: Sequence[Any]) -> Iterator[RuleResult]:
        """What is missing, then each bound."""
        rule = self.inputs.spec.gate.slices
        missing = list(self._missing(asked))
        if missing:
            yield self.result(Verdict.REJECT, ReasonCode.SLICE_MISSING, self._asked(), "; ".join(missing))
        if not self.judged:
            return
        for kind, bound in (("drop", rule.max_drop), ("gap", rule.max_gap)):
            if bound is not None:
                yield self._bounded("drop" if kind == "drop" else "gap", bound)
        if not missing and rule.max_drop is None and rule.max_gap is None:
            reason = f"{len(self.judged)} slices of {self.name} are listed; no bound is set" + self._unjudged()
            yield self._counted(self._asked(), reason)

    def _counted(self, bound: str, reason: str) -> RuleResult:
        """Nothing to hold against a bound: the value is the number of slices that could be judged."""
        return replace(self.result(Verdict.ACCEPT, None, bound, reason), value=float(len(self.judged)))

    def _asked(self) -> str:
        return f"slices of >= {self.inputs.spec.gate.slices.min_rows} rows"

    def _missing(self, asked: Sequence[Any]) -> Iterator[str]:
        if self.name not in self.inputs.rows.columns:
            yield f"the rows have no column {self.name!r}, which gate.slices.columns names"
            return
        if not self.judged:
            why = Counter(one.why for one in self.slices)
            named = ", ".join(f"{count} {words}" for words, count in why.most_common()) or "none at all"
            yield f"no slice of {self.name} could be judged: {named}"
        elif all(one.rows.value == MISSING for one in self.slices):
            yield f"no row has a value in {self.name}, which gate.slices.columns names"
        for value in asked:
            found = [one for one in self.slices if one.rows.holds(value)]
            if not found:
                yield f"no row has {self.name} = {in_words(value)}, which gate.slices.required names"
            elif all(one.why for one in found):
                rows = sum(len(one.rows.index) for one in found)
                yield f"{self.name} = {in_words(value)} is required and has {rows:,} rows, {found[0].why}"

    def _bounded(self, kind: Kind, bound: float) -> RuleResult:
        words = f"{kind} <= {bound:g} in every slice"
        if kind == "drop" and (self.inputs.other is None or not self.inputs.other.finite):
            return self._uncompared(words)
        level = 1 - self.inputs.spec.gate.champion.confidence
        ordered = sorted(self.judged, key=lambda one: -_interval(one, kind).value)
        failed = [one for one in ordered if _p(one, kind) < level]
        worst = _interval(ordered[0], kind)
        return self.result(
            Verdict.REJECT if failed else Verdict.ACCEPT,
            _CODES[kind] if failed else None,
            words,
            self._reason(kind, bound, failed or ordered[:1], bool(failed)),
            worst,
        )

    def _uncompared(self, bound: str) -> RuleResult:
        champion = self.inputs.champion
        if champion is None and self.inputs.other is None:
            reason = f"there is no champion yet that a slice of {self.name} could be worse than"
            return self._counted(self._asked(), reason)
        served = "the champion" if champion is None else f"champion v{champion.version}"
        if self.inputs.other is None:
            reason = f"not compared with {served}, so no drop in a slice of {self.name} could be judged"
            return self.result(Verdict.INCONCLUSIVE, ReasonCode.NOT_EVALUATED, bound, reason)
        reason = f"{served} gave predictions that are not finite: no drop in a slice of {self.name} can be judged"
        return self.result(Verdict.REJECT, ReasonCode.METRIC_NOT_FINITE, bound, reason)

    def _reason(self, kind: Kind, bound: float, named: list[SliceMeasurements], failed: bool) -> str:
        metric = metric_label(self.inputs.metric.name)
        against = "the whole" if kind == "gap" else self._champion()
        shown = ", ".join(_shown(one, kind) for one in named[:NAMED])
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        start = (
            f"{len(named)} of {len(self.judged)} slices of {self.name} are worse than {against} by more than"
            f" {bound:g} of {metric}: {shown}{more}"
            if failed
            else f"none of {len(self.judged)} slices of {self.name} is shown to be worse than {against} by more than"
            f" {bound:g} of {metric}; nearest is {shown}"
        )
        return start + self._unjudged()

    def _champion(self) -> str:
        return "the champion" if self.inputs.champion is None else f"champion v{self.inputs.champion.version}"

    def _unjudged(self) -> str:
        why = Counter(one.why for one in self.slices if one.why)
        named = ", ".join(f"{count} {words}" for words, count in why.most_common())
        return f"; not judged: {named}" if named else ""

    def result(
        self, verdict: Verdict, code: ReasonCode | None, bound: str, reason: str, seen: Interval | None = None
    ) -> RuleResult:
        """A result on this column's judged rows."""
        return RuleResult(
            rule="slices",
            metric=self.name,
            verdict=verdict,
            value=None if seen is None else seen.value,
            # infinite where the metric is undefined in too many resamples: no verdict is made of the interval
            lower=None if seen is None or not math.isfinite(seen.lower) else seen.lower,
            upper=None if seen is None or not math.isfinite(seen.upper) else seen.upper,
            bound=bound,
            rows=sum(len(one.rows.index) for one in self.judged),
            code=code,
            reason=reason,
        )


def _broken(inputs: RuleInput, column: str) -> RuleResult:
    reason = f"predictions or labels are not finite numbers, or there are none: no slice of {column} can be judged"
    return _SliceColumn(inputs, column, ()).result(
        Verdict.REJECT, ReasonCode.METRIC_NOT_FINITE, "a finite metric in every slice", reason
    )


def _several(asked: Any) -> list[Any]:
    if isinstance(asked, list | tuple):
        return list(asked)
    return [] if asked is None else [asked]


def _interval(one: SliceMeasurements, kind: Kind) -> Interval:
    found = one.drop if kind == "drop" else one.gap
    return Interval(value=0.0, lower=0.0, upper=0.0) if found is None else found


def _p(one: SliceMeasurements, kind: Kind) -> float:
    found = one.drop_p if kind == "drop" else one.gap_p
    return 1.0 if found is None else found


def _shown(one: SliceMeasurements, kind: Kind) -> str:
    seen, p = _interval(one, kind), _p(one, kind)
    return f"{one.rows.value} ({kind} {seen.value:.4g} on {len(one.rows.index):,} rows, p {p:.2g})"


def _listed(measured: list[SliceMeasurements], cuts: dict[str, Cut], level: float) -> tuple[SliceResult, ...]:
    """Failed slices first, then judged ones by how bad they are, then the others by size; at most `LISTED`."""

    def rank(one: SliceMeasurements) -> tuple[bool, bool, float, int]:
        failed = min(_p(one, "drop"), _p(one, "gap")) < level
        worst = max((seen.value for seen in (one.drop, one.gap) if seen is not None), default=0.0)
        return not failed, bool(one.why), -worst, -len(one.rows.index)

    ordered = sorted(measured, key=rank)
    if len(ordered) <= LISTED:
        return tuple(one.result for one in ordered)
    kept, rest = ordered[: LISTED - len(cuts)], ordered[LISTED - len(cuts) :]
    sums = []
    for column in cuts:
        mine = [one for one in rest if one.rows.column == column]
        if mine:
            rows = sum(len(one.rows.index) for one in mine)
            sums.append(_sum(column, len(mine), rows))
    return (*(one.result for one in kept), *sums)


def _sum(column: str, count: int, rows: int) -> SliceResult:
    return SliceResult(
        column=column,
        value=f"{count} others",
        rows=rows,
        judged=False,
        candidate=None,
        champion=None,
        drop=None,
        drop_p=None,
        gap=None,
        gap_p=None,
    )


def _owed(asked: Asked) -> Iterator[str | None]:
    rule = asked.spec.gate.slices
    if rule.columns and (rule.max_drop is not None or rule.max_gap is not None):
        yield None


RULE = Rule(
    name="slices",
    owed=_owed,
    judge=judge,
    part=True,
    evidence=frozenset({"slices", "segments"}),
    sections=sections,
    rank=7,
    advice={
        ReasonCode.SLICE_MISSING: "Find out why these rows are missing from the source.",
        ReasonCode.SLICE_WORSE: "Look at the slices below. Overriding means that these rows get worse predictions.",
        ReasonCode.SLICE_WEAK: "Look at the slices below: the model is weak there, whoever the champion is.",
    },
)
