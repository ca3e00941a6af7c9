"""The gate's rules, each from numbers to a verdict with its bound and its reason in words.

Accept is said only when the numbers are there, finite and inside the bound; everything else falls through to
reject, or to inconclusive where more rows could still show it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rule import Asked, Rule
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.wording import STOP
from airflow_mlops.core.stats.bootstrap import MIN_BLOCKS, Gain, panel_key, wider
from airflow_mlops.core.stats.bootstrap import gain as estimate_gain
from airflow_mlops.core.stats.power import detectable, rows_needed
from airflow_mlops.core.text import metric_label
from airflow_mlops.spec.gate import GateSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.types import format_duration


def judge_baseline(inputs: RuleInput) -> RuleOutcome:
    """Compare the candidate with the trivial model; where no champion serves yet, say whether it may be the first."""
    own, gate = inputs.judged if inputs.own is None else inputs.own, inputs.spec.gate
    if inputs.constant is None:
        return RuleOutcome()
    name = inputs.metric.name
    values = inputs.candidate_metrics.get(name, math.nan), inputs.constant_metrics.get(name, math.nan)
    over = baseline(
        name, estimate_gain_over(inputs, own, inputs.constant), values, gate, inputs.metric.why_undefined(own)
    )
    first = () if inputs.champion is not None else (first_model(over, gate),)
    return RuleOutcome(rules=(over, *first))


def judge_champion(inputs: RuleInput) -> RuleOutcome:
    """Compare the candidate with the champion, where one serves that was trained on none of the rows."""
    if inputs.champion_refused is not None:
        return RuleOutcome(rules=(inputs.champion_refused,))
    if inputs.champion is None or inputs.other is None:
        return RuleOutcome()
    values = inputs.metric(inputs.judged), inputs.metric(inputs.other)
    over = estimate_gain_over(inputs, inputs.judged, inputs.other)
    why = None if math.isfinite(over.value) else _why_no_gain(inputs, inputs.other)
    gate, version = inputs.spec.gate, inputs.champion.version
    return RuleOutcome(rules=(champion(inputs.metric.name, over, values, gate, version, why),))


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
        confidence=gate.champion.confidence,
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
        confidence=rule.confidence,
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
    entity = gain.by or gate.champion.entity
    if entity:
        units = f"in {gain.units:,} blocks by {entity}"
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


def _why_no_gain(inputs: RuleInput, other: LabelledPredictions) -> str | None:
    """Why one of the two models has no metric, in words; None when nothing is known against it."""
    mine, theirs = inputs.metric.why_undefined(inputs.judged), inputs.metric.why_undefined(other)
    return mine if mine is not None or theirs is None else f"of the champion, {theirs}"


def estimate_gain_over(inputs: RuleInput, judged: LabelledPredictions, other: LabelledPredictions) -> Gain:
    """Estimate the gain over another model on the judged rows.

    By the blocks of the specification; of panel data by its entities, too, whichever tells less.
    """
    found = _gain_by(inputs.block, inputs, judged, other)
    if inputs.entities is None:
        return found
    by_entity = _gain_by(inputs.entities, inputs, judged, other)
    return wider(found, replace(by_entity, by=" and ".join(panel_key(inputs.spec))))


def _gain_by(block: Array | None, inputs: RuleInput, judged: LabelledPredictions, other: LabelledPredictions) -> Gain:
    rule = inputs.spec.gate.champion
    return estimate_gain(
        inputs.metric,
        judged,
        other,
        block,
        confidence=rule.confidence,
        resamples=rule.resamples,
        seed=inputs.spec.training.seed,
    )


def _owed_primary(asked: Asked) -> Iterator[str | None]:
    yield asked.primary


def _owed_as_of(asked: Asked) -> Iterator[str | None]:
    if asked.champion_version is not None:
        yield "as_of"


def _owed_first(asked: Asked) -> Iterator[str | None]:
    if asked.champion_version is None:
        yield asked.primary


def _owed_champion(asked: Asked) -> Iterator[str | None]:
    """A comparison, unless too few rows are new to the champion: that is said by the holdout's rule, and waited for."""
    seen = ReasonCode.CHAMPION_TRAINED_ON_HOLDOUT
    waits = any(rule.code is seen and rule.verdict is not Verdict.ACCEPT for rule in asked.found)
    if asked.champion_version is not None and not waits:
        yield asked.primary


BASELINE = Rule(
    name="baseline",
    owed=_owed_primary,
    judge=judge_baseline,
    interval=True,
    rank=4,
    advice={
        ReasonCode.BASELINE_NOT_BEATEN: f"{STOP} a constant prediction is as good. Look at labels and features.",
    },
)
FIRST_MODEL = Rule(
    name="first_model",
    owed=_owed_first,  # made beside the baseline's, whose verdict it repeats
    rank=2,
    advice={
        ReasonCode.FIRST_MODEL_REFUSED: "Nothing serves until a candidate is accepted, or a person sets the first "
        "champion.",
    },
)
CHAMPION = Rule(
    name="champion",
    owed=_owed_champion,
    judge=judge_champion,
    interval=True,
    rank=1,
    advice={
        ReasonCode.CHAMPION_NOT_BEATEN: "Nothing to do: the champion is the better model on these rows.",
        ReasonCode.CHAMPION_INCONCLUSIVE: "Nothing to do now. Wait for more rows, lengthen gate.holdout, or declare "
        "noninferiority with a margin if as good is good enough.",
        ReasonCode.CHAMPION_UNREADABLE: "Look at the champion first: it serves, and could not be scored. "
        "Consider a rollback to a version that can be read.",
    },
)
AS_OF = Rule(
    name="as_of",
    owed=_owed_as_of,  # made before the rows are chosen: it needs none
    always=True,
    rank=3,
    advice={
        ReasonCode.AS_OF_BACKWARDS: "Nothing to do: an older model never replaces a newer one. To go back, roll back.",
    },
)
