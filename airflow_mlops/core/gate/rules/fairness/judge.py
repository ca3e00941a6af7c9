"""The rule `fairness`: how far the groups of protected attributes are treated differently.

Rates of each group are fairlearn's (Bird et al., 2020): demographic parity compares how often a class is predicted,
equalised odds how often it is predicted where it is true and where it is not (Hardt et al., 2016). For several
classes each is taken against the rest, and the largest difference counts.

The largest difference between groups is biased upwards: with m rows in a group, rates of groups that do not differ
spread by chance, and the largest less the smallest of ten rates of 100 rows is about 0.15 (M. Lum, Y. Zhang,
A. Bower, De-biasing "bias" measurement, FAccT 2022). Three things answer it: groups are compared that have the rows
which the bound needs (:mod:`.group_sizes`), for the bias falls with the root of the rows; the interval is simultaneous
over all pairs of groups, and reaches down to 0 where there is no difference (`core.stats.multiple_testing`); and only a
lower bound above what is allowed is a rejection, a value above it alone is inconclusive. fairlearn's own bootstrap was
rejected: it resamples row by row, and rows of one day or customer are not independent.

Where there are no two groups with rows enough, or no interval, nothing can be decided. That is told with the rows which
are missing, and `gate.fairness.undecided` says what follows. A difference above its bound is never waived by it:
between groups that have the rows, whether it is sure or not, and between smaller ones where it is sure.

References
----------
S. Bird et al. (2020), Fairlearn: a toolkit for assessing and improving fairness in AI, MSR-TR-2020-32.
M. Hardt, E. Price, N. Srebro (2016), Equality of opportunity in supervised learning, NeurIPS.
M. Lum, Y. Zhang, A. Bower (2022), De-biasing "bias" measurement, FAccT.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from airflow_mlops.core.gate.rule import Asked, Rule
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.gate.rules.fairness.compare import ComparedAttribute, ProtectedAttribute
from airflow_mlops.core.gate.rules.fairness.pooled import PooledRows, pool_windows
from airflow_mlops.core.gate.rules.fairness.sections import sections
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.spec.problems import ReasonCode


def judge(inputs: RuleInput) -> RuleOutcome:
    """Compare the groups of each protected attribute.

    Returns
    -------
    RuleOutcome
        One result for each attribute and bound: accept when the difference is at most the bound, reject when the lower
        bound of its interval is above it, else inconclusive, as without an interval or without two groups that have
        rows enough; a rejection for an attribute that is missing or has one group only, and for a difference that is
        not defined. Evidence: `groups`, `disparities`.
    """
    columns = inputs.spec.gate.fairness.columns
    if not columns:
        return RuleOutcome()
    if not inputs.judged.finite:
        return RuleOutcome(rules=tuple(_not_finite(inputs, column) for column in columns))
    found = [ProtectedAttribute.of(inputs, column).compare() for column in columns]
    if inputs.spec.gate.fairness.undecided == "pool" and any(one.undecided for one in found):
        pooled = pool_windows(inputs)
        found = [_with_pooled(one, pooled) for one in found]
    results = [_recorded(inputs, result) for one in found for result in one.results]
    return RuleOutcome(
        rules=tuple(results),
        evidence={
            "groups": tuple(group for one in found for group in one.groups),
            "disparities": tuple(disparity for one in found for disparity in one.disparities),
        },
    )


def _with_pooled(one: ComparedAttribute, pooled: PooledRows) -> ComparedAttribute:
    """What is said with earlier windows beside the holdout, of what the holdout alone does not decide."""
    if not one.undecided:
        return one
    if pooled.inputs is None:
        told = f"; gate.fairness.undecided = pool: {pooled.words}"
        results = (
            replace(result, reason=result.reason + told) if result.verdict is Verdict.INCONCLUSIVE else result
            for result in one.results
        )
        return replace(one, results=tuple(results))
    more = ProtectedAttribute.of(pooled.inputs, one.name, pooled=pooled.words).compare()
    wanted = {result.metric for result in one.results if result.verdict is Verdict.INCONCLUSIVE}
    known = {result.metric: result for result in more.results}
    # Where the pooled rows speak of another thing (an attribute that has groups now), all that they say counts.
    if not wanted <= known.keys():
        return replace(one, results=more.results, disparities=more.disparities)
    return replace(
        one,
        results=tuple(known[result.metric] if result.metric in wanted else result for result in one.results),
        disparities=tuple(
            disparity
            for part in (one, more)
            for disparity in part.disparities
            if (disparity.measure in wanted) == (part is more)
        ),
    )


def _recorded(inputs: RuleInput, result: RuleResult) -> RuleResult:
    """The result, marked as recorded only where the specification says so of what rows are missing for."""
    recorded = inputs.spec.gate.fairness.undecided == "record" and result.code is ReasonCode.GROUPS_UNDECIDED
    return replace(result, enforced=False) if recorded else result


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
    recordable=frozenset({ReasonCode.GROUPS_UNDECIDED}),
    owed=_owed,
    judge=judge,
    part=True,
    evidence=frozenset({"groups", "disparities"}),
    sections=sections,
    rank=8,
    advice={
        ReasonCode.GROUP_MISSING: "Find out why this group is missing from the source.",
        ReasonCode.GROUPS_UNDECIDED: "The rule's reason says which rows are missing: lengthen gate.holdout, pool "
        "windows, or record only (gate.fairness.undecided).",
        ReasonCode.GROUPS_DIFFER: "Do not override alone: who answers for fairness must see the groups below.",
    },
)
