"""The gate's rules, each from numbers to a verdict with its bound and its reason in words.

Accept is said only when the numbers are there, finite and inside the bound; everything else falls through to
reject, or to inconclusive where more rows could still show it.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.stats.bootstrap import MIN_BLOCKS, Gain
from airflow_mlops.core.stats.power import detectable, rows_needed
from airflow_mlops.core.text import metric_label
from airflow_mlops.spec.gate import GateSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.types import format_duration


def baseline(
    metric: str, gain: Gain, values: tuple[float, float], gate: GateSpec, why: str | None = None
) -> RuleResult:
    """The candidate beats the model that ignores its input by more than chance; `values` are (candidate, baseline).

    `why` says in words why there is no gain.
    """
    least = gate.baseline.min_gain
    verdict = compare(gain, least)
    if verdict is Verdict.INCONCLUSIVE and gain.conclusive:
        verdict = Verdict.REJECT  # a candidate that cannot be told from a constant is of no use
    return RuleResult(
        rule="baseline",
        metric=metric,
        verdict=verdict,
        value=gain.value,
        lower=gain.lower,
        upper=gain.upper,
        bound=f"lower bound > {least:g}",
        rows=gain.rows,
        code=_code(verdict, gain, ReasonCode.BASELINE_NOT_BEATEN, ReasonCode.BASELINE_NOT_BEATEN),
        reason=_sentence(metric, (*values, "the constant prediction's"), gain, least, gate, why),
        **_shown_by(gain, least, gate),
    )


def champion(  # noqa: PLR0917 - as `baseline`, and whom
    metric: str, gain: Gain, values: tuple[float, float], gate: GateSpec, version: int, why: str | None = None
) -> RuleResult:
    """The candidate beats the champion, or is not worse by the margin; `values` are (candidate, champion)."""
    rule = gate.champion
    least = rule.margin if rule.hypothesis == "superiority" else 0.0 - rule.margin  # -0.0 would be shown as -0
    verdict = compare(gain, least)
    return RuleResult(
        rule="champion",
        metric=metric,
        verdict=verdict,
        value=gain.value,
        lower=gain.lower,
        upper=gain.upper,
        bound=f"lower bound > {least:g} ({rule.hypothesis})",
        rows=gain.rows,
        code=_code(verdict, gain, ReasonCode.CHAMPION_NOT_BEATEN, ReasonCode.CHAMPION_INCONCLUSIVE),
        reason=_sentence(metric, (*values, f"champion v{version}'s"), gain, least, gate, why),
        **_shown_by(gain, least, gate),
    )


def champion_unreadable(metric: str, version: int, rows: int, why: str) -> RuleResult:
    """The champion could not be scored: nobody knows whether the candidate is better."""
    return RuleResult(
        rule="champion",
        metric=metric,
        verdict=Verdict.REJECT,
        value=None,
        bound="a champion that can be scored on the same rows",
        rows=rows,
        code=ReasonCode.CHAMPION_UNREADABLE,
        reason=f"champion v{version} could not be scored: {why}; roll back to a version that can be read",
    )


def as_of_forward(candidate: datetime, champion: Champion) -> RuleResult:
    """The champion's as-of time does not move backwards."""
    served = champion.candidate.as_of
    fine = candidate >= served
    return RuleResult(
        rule="as_of",
        metric="as_of",
        verdict=Verdict.ACCEPT if fine else Verdict.REJECT,
        value=(candidate - served).total_seconds() / 86400,
        bound=">= 0 days after the champion's as-of",
        rows=0,
        code=None if fine else ReasonCode.AS_OF_BACKWARDS,
        reason=f"as of {candidate:%Y-%m-%d %H:%M} against champion v{champion.version}'s {served:%Y-%m-%d %H:%M}"
        + ("" if fine else ": an older model never replaces a newer one; roll back if that is what you want"),
    )


def first_model(over_baseline: RuleResult, gate: GateSpec) -> RuleResult:
    """With no champion yet, the specification says whether a candidate may become the first."""
    if gate.first_model == "reject":
        verdict, reason = (
            Verdict.REJECT,
            "there is no champion yet, and gate.first_model = reject: a person sets the first one",
        )
    else:
        verdict = over_baseline.verdict
        reason = (
            "there is no champion yet, and gate.first_model = beat_baseline: "
            + {
                Verdict.ACCEPT: "the constant prediction is beaten",
                Verdict.REJECT: "the constant prediction is not beaten",
                Verdict.INCONCLUSIVE: "too little data to say whether the constant prediction is beaten",
            }[verdict]
        )
    return RuleResult(
        rule="first_model",
        metric=over_baseline.metric,
        verdict=verdict,
        value=over_baseline.value,
        lower=over_baseline.lower,
        upper=over_baseline.upper,
        bound=f"gate.first_model = {gate.first_model}",
        rows=over_baseline.rows,
        code=None if verdict is Verdict.ACCEPT else ReasonCode.FIRST_MODEL_REFUSED,
        reason=reason,
    )


def compare(gain: Gain, least: float) -> Verdict:
    """Accept when the lower bound is above `least`, reject when the upper is not, else inconclusive.

    >>> compare(Gain(value=0.2, lower=0.1, upper=0.3, rows=900, units=14), 0.0)
    <Verdict.ACCEPT: 'accept'>
    >>> compare(Gain(value=0.2, lower=float("nan"), upper=0.3, rows=900, units=14), 0.0)
    <Verdict.REJECT: 'reject'>
    """
    if not math.isfinite(gain.value):
        return Verdict.REJECT
    if not gain.conclusive:
        return Verdict.INCONCLUSIVE
    if not (math.isfinite(gain.lower) and math.isfinite(gain.upper)):
        return Verdict.REJECT
    if gain.lower > least:
        return Verdict.ACCEPT
    return Verdict.REJECT if gain.upper <= least else Verdict.INCONCLUSIVE


def _shown_by(gain: Gain, least: float, gate: GateSpec) -> dict[str, Any]:
    """What such rows could have shown: the smallest gain, and the rows that would show the one observed."""
    if not gain.conclusive or not math.isfinite(gain.error):
        return {}
    smallest = detectable(gain, least, gate.champion.confidence)
    needed = rows_needed(gain, least, gate.champion.confidence)
    return {
        "detectable": smallest if math.isfinite(smallest) else None,
        "rows_needed": needed if needed is not None and needed > gain.rows else None,
    }


def _code(verdict: Verdict, gain: Gain, worse: ReasonCode, unsure: ReasonCode) -> ReasonCode | None:
    if verdict is Verdict.ACCEPT:
        return None
    if verdict is Verdict.INCONCLUSIVE:
        return unsure
    numbers = [gain.value, *([gain.lower, gain.upper] if gain.conclusive else [])]
    return worse if all(math.isfinite(number) for number in numbers) else ReasonCode.METRIC_NOT_FINITE


def _sentence(  # noqa: PLR0917 - one private maker of one sentence
    metric: str, values: tuple[float, float, str], gain: Gain, least: float, gate: GateSpec, why: str | None
) -> str:
    ours, theirs, other = values
    level = gate.champion.confidence * 100
    both = f"{metric_label(metric)} {_number(ours)} against {other} {_number(theirs)}"
    if not math.isfinite(gain.value):
        return f"{both} on {gain.rows:,} rows, so there is no gain" + ("" if why is None else f": {why}")
    start = f"{both}: gain {_number(gain.value)}"
    block = gate.champion.block
    units = "resampled row by row" if block is None else f"in {gain.units} blocks of {format_duration(block)}"
    if gate.champion.entity is not None:
        units = f"in {gain.units:,} blocks by {gate.champion.entity}"
    if not gain.conclusive:
        return (
            f"{start} on {gain.rows:,} rows {units}; an interval needs at least {MIN_BLOCKS}: "
            "lengthen gate.holdout, or shorten gate.champion.block"
        )
    lower = f"{level:g}% lower bound {_number(gain.lower)} {'>' if gain.lower > least else 'is not >'} {least:g}"
    said = f"{start}, {lower} (upper {_number(gain.upper)}) on {gain.rows:,} rows {units}"
    if compare(gain, least) is not Verdict.INCONCLUSIVE:
        return said
    could = _shown_by(gain, least, gate)
    smallest, needed = could.get("detectable"), could.get("rows_needed")
    power = "" if smallest is None else f"; a true gain of {_number(smallest)} would be shown in 4 of 5 such holdouts"
    return said + power + ("" if needed is None else f", the observed one with about {needed:,} rows")


def _number(value: float | None) -> str:
    """Four digits; + 0.0 makes 0 of -0."""
    if value is None:
        return "missing"
    return f"{value + 0.0:.4g}" if math.isfinite(value) else "not finite"
