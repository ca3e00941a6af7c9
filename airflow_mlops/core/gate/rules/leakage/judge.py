"""Does anything know the label that will not be known when the model serves? The gate's leakage rule.

It looks at single features, at pairs of them, at rows that are in both parts, at values that are missing exactly
where the label is, and at times. A leak spread over three or more features is not found, and neither is one that only
helps a little: a flight's air time, say, where rows without a label were removed before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from airflow_mlops.core.gate.rule import Asked, Rule
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.gate.rules.leakage.feature_pairs import strong_pairs
from airflow_mlops.core.gate.rules.leakage.rows import (
    KNOWN_SHARE,
    LUCK,
    UNKNOWN_SHARE,
    Missing,
    late_times,
    missing_with_label,
    shared_content,
    shared_keys,
)
from airflow_mlops.core.gate.rules.leakage.sections import sections
from airflow_mlops.core.gate.rules.leakage.separation import CERTAIN, MOST_DECIDED
from airflow_mlops.core.gate.rules.leakage.single_features import FeaturePower, measure_power, single_feature_power
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import Leak
from airflow_mlops.core.records.wording import STOP
from airflow_mlops.spec.gate import LeakageRule
from airflow_mlops.spec.problems import ReasonCode, Refusal

__all__ = ["judge", "single_feature_power"]

MOST_TOLD = 20
"""Features that are listed though they do not leak: those with the most power."""
Kind = Literal["power", "function", "known_with_label", "overlap", "time"]
_ADVICE = "take it out of features, or list it under gate.leakage.reviewed if it is known before the event"


def judge(inputs: RuleInput) -> RuleOutcome:
    """Look for leaks; features that are `reviewed` are listed, and do not count.

    One result each for `single_feature_power`, `function_of_label`, `overlap`, `known_with_label` (unless it is
    turned off) and `time`. What cannot be computed is a rejection.
    """
    rule = inputs.spec.gate.leakage
    checks: dict[str, tuple[Callable[[RuleInput], RuleOutcome], str]] = {
        "single_feature_power": (_features, f"<= {rule.max_power:g}"),
        "overlap": (_overlap, f"<= {rule.max_overlap:g}"),
        "time": (_time, "0 times after as-of"),
    }
    if rule.known_with_label:
        checks["known_with_label"] = (_known_with_label, "0 features")
    found = [_safely(name, *check, inputs) for name, check in checks.items()]
    leaks = tuple(leak for each in found for leak in each.evidence.get("leaks", ()))
    return RuleOutcome(rules=tuple(result for each in found for result in each.rules), evidence={"leaks": leaks})


def _safely(metric: str, check: Callable[[RuleInput], RuleOutcome], bound: str, inputs: RuleInput) -> RuleOutcome:
    try:
        return check(inputs)
    except Refusal as refusal:
        why = "; ".join(f"{problem.field}: {problem.found}" for problem in refusal.problems)
    except Exception as error:  # noqa: BLE001 - whatever rows do to it, a check that was not made does not pass
        why = f"{type(error).__name__} while it was looked for"
    reason = f"leakage ({metric.replace('_', ' ')}) could not be judged: {why}"
    return RuleOutcome(rules=(_result(inputs, metric, None, bound, ReasonCode.NOT_EVALUATED, reason),))


def _result(  # noqa: PLR0917 - as the columns of the gate's table
    inputs: RuleInput, metric: str, value: float | None, bound: str, code: ReasonCode | None, reason: str
) -> RuleResult:
    return RuleResult(
        rule="leakage",
        metric=metric,
        verdict=Verdict.ACCEPT if code is None else Verdict.REJECT,
        value=value,
        bound=bound,
        rows=len(inputs.rows),
        code=code,
        reason=reason,
    )


def _leak(  # noqa: PLR0917 - a line of the page's table
    kind: Kind, what: str, value: float, bound: float, leaking: bool, words: str, reviewed: Sequence[str] = ()
) -> Leak:
    if what in reviewed:
        words, leaking = f"{words} (reviewed: does not count)", False
    return Leak(kind=kind, what=what, value=value, bound=bound, leaking=leaking, words=words)


def _features(inputs: RuleInput) -> RuleOutcome:
    """Power of single features, functions of the label, and pairs."""
    rule, features = inputs.spec.gate.leakage, inputs.candidate.features
    train, holdout = (inputs.train, inputs.train_labels), (inputs.rows, inputs.labels)
    task = inputs.candidate.task
    seen = measure_power(task, features, train, holdout)
    half = len(inputs.train) // 2
    # A field that is filled when the case is closed may be empty in the newest rows, and full in the older ones.
    parts = [(inputs.train.iloc[part], inputs.train_labels.iloc[part]) for part in (slice(half), slice(half, None))]
    before = measure_power(task, features, parts[0], parts[1])
    powers = [_power(name, one, rule) for name, one in seen.items()]
    powers.sort(key=lambda leak: (-leak.leaking, -leak.value if math.isfinite(leak.value) else 1))
    functions = [
        *(_partly(name, one, rule) for name, one in seen.items() if one.decides),
        *(
            _earlier(name, one, rule)
            for name, one in before.items()
            if _over(one, rule) and one.surely > rule.max_power
        ),
        *_together(inputs, seen, rule),
    ]
    told = [leak for place, leak in enumerate(powers) if leak.leaking or place < MOST_TOLD]
    results = (_power_result(inputs, seen, powers), _function_result(inputs, functions))
    return RuleOutcome(rules=results, evidence={"leaks": (*told, *functions)})


def _over(seen: FeaturePower, rule: LeakageRule) -> bool:
    """Above the bound, and not by luck among few rows of a class."""
    return (seen.power > rule.max_power or seen.power >= 1.0) and seen.luck <= LUCK


def _power(name: str, seen: FeaturePower, rule: LeakageRule) -> Leak:
    over = _over(seen, rule)
    words = f"{name} alone has the power {seen.power:.3f}"
    if seen.power > rule.max_power and not over:
        words += ", which luck may give among so few rows of a class"
    return _leak("power", name, seen.power, rule.max_power, over, words, rule.reviewed)


def _partly(name: str, seen: FeaturePower, rule: LeakageRule) -> Leak:
    words = (
        f"{name} alone decides {seen.decided:.0%} of one class's rows with {CERTAIN:.0%} certainty, where one of its "
        f"power ({seen.power:.3f}) would decide about {seen.explained:.0%}"
    )
    return _leak("function", name, seen.decided, MOST_DECIDED, True, words, rule.reviewed)


def _earlier(name: str, seen: FeaturePower, rule: LeakageRule) -> Leak:
    words = f"{name} alone has the power {seen.power:.3f} in the training part"
    return _leak("function", name, seen.power, rule.max_power, True, words, rule.reviewed)


def _together(inputs: RuleInput, seen: Mapping[str, FeaturePower], rule: LeakageRule) -> Iterator[Leak]:
    pairs = strong_pairs(
        inputs.candidate.task,
        inputs.candidate.features,
        (inputs.train, inputs.train_labels),
        (inputs.rows, inputs.labels),
        alone=seen,
        max_power=rule.max_power,
    )
    for pair in pairs[:MOST_TOLD]:
        over = pair.luck <= LUCK and not {pair.first, pair.second} <= set(rule.reviewed)
        words = f"{pair.first} and {pair.second} together have the power {pair.power:.3f}, neither of them alone"
        yield _leak("function", f"{pair.first}, {pair.second}", pair.power, rule.max_power, over, words)


def _power_result(inputs: RuleInput, seen: Mapping[str, FeaturePower], leaks: Sequence[Leak]) -> RuleResult:
    bound = inputs.spec.gate.leakage.max_power
    over = [leak for leak in leaks if leak.leaking]
    known = bool(seen) and all(math.isfinite(one.power) for one in seen.values())
    named = ", ".join(f"{leak.what} ({leak.value:.3f})" for leak in over)
    value = max((leak.value for leak in leaks), default=None) if known or over else None
    if over:
        code, reason = (
            ReasonCode.LABEL_LEAKAGE,
            f"by itself {named} nearly gives the label away, above gate.leakage.max_power = {bound:g}: {_ADVICE}",
        )
    elif not known:
        code, reason = ReasonCode.METRIC_NOT_FINITE, "the power of single features could not be computed"
    else:
        top = max(seen, key=lambda name: seen[name].power)
        reason = f"no single feature gives the label away; the strongest is {top} with {seen[top].power:.3f}"
        return _result(inputs, "single_feature_power", value, f"<= {bound:g}", None, reason)
    return _result(inputs, "single_feature_power", value, f"<= {bound:g}", code, reason)


def _function_result(inputs: RuleInput, leaks: Sequence[Leak]) -> RuleResult:
    over = [leak for leak in leaks if leak.leaking]
    names = len({leak.what for leak in over})
    code = ReasonCode.LABEL_LEAKAGE if over else None
    reason = "no feature, and no pair of features, is nearly a function of the label"
    if over:
        reason = f"nearly a function of the label: {'; '.join(leak.words for leak in over[:5])}: {_ADVICE}"
    return _result(inputs, "function_of_label", float(names), "0 features", code, reason)


def _overlap(inputs: RuleInput) -> RuleOutcome:
    bound = inputs.spec.gate.leakage.max_overlap
    keys = shared_keys(inputs.snapshot.key, inputs.train, inputs.rows)
    same = shared_content(inputs.candidate.features, (inputs.train, inputs.train_labels), (inputs.rows, inputs.labels))
    by_key = f"{keys:.2%} of the holdout rows have the key of a training row"
    by_content = f"{same.share:.2%} have features and label of a training row"
    if not same.judged(bound):
        by_content += ", which says nothing, as the training rows also equal each other"
    elif same.chance > bound:
        by_content += f", where chance gives up to {same.chance:.2%}"
    leaks = (
        _leak("overlap", "key", keys, bound, keys > bound, by_key),
        _leak("overlap", "content", same.share, bound + 3 * same.chance, same.too_many(bound), by_content),
    )
    over = any(leak.leaking for leak in leaks)
    value = max(keys, same.share if leaks[1].leaking else max(0.0, same.share - 3 * same.chance))
    reason = f"{by_key}, and {by_content}"
    if over:
        reason += (
            f"; gate.leakage.max_overlap = {bound:g}: the metrics are of rows that the model knows. Look for rows that "
            "were loaded twice, or for a key that does not identify a row"
        )
    code = ReasonCode.ROWS_OVERLAP if over else None
    return RuleOutcome(
        rules=(_result(inputs, "overlap", value, f"<= {bound:g}", code, reason),), evidence={"leaks": leaks}
    )


def _known_with_label(inputs: RuleInput) -> RuleOutcome:
    """Features that are missing exactly where the label is."""
    nulls, unlabelled = inputs.snapshot.unlabelled_nulls, inputs.snapshot.unlabelled
    if nulls is None or not unlabelled:
        why = "every row has a label" if nulls is not None else "the snapshot, of an older format, did not count them"
        reason = f"no rows without a label to compare with: {why}"
        return RuleOutcome(rules=(_result(inputs, "known_with_label", 0.0, "0 features", None, reason),))
    found = missing_with_label(inputs.candidate.features, (inputs.train, inputs.rows), unlabelled, nulls)
    rule = inputs.spec.gate.leakage
    leaks = [_comes_with(name, one, rule) for name, one in found.items() if one.with_label]
    over = [leak for leak in leaks if leak.leaking]
    reason = f"no feature is missing where the label is ({unlabelled:,} rows without one)"
    if over:
        reason = f"known only together with the label: {'; '.join(leak.words for leak in over[:10])}: {_ADVICE}"
    code = ReasonCode.LABEL_LEAKAGE if over else None
    result = _result(inputs, "known_with_label", float(len(over)), "0 features", code, reason)
    return RuleOutcome(rules=(result,), evidence={"leaks": tuple(leaks)})


def _comes_with(name: str, missing: Missing, rule: LeakageRule) -> Leak:
    words = (
        f"{name} is missing in {missing.unlabelled:.1%} of the rows without a label (leak: from {UNKNOWN_SHARE:.0%}) "
        f"and in {missing.labelled:.2%} of those with one (leak: up to {KNOWN_SHARE:.0%})"
    )
    return _leak("known_with_label", name, missing.unlabelled, UNKNOWN_SHARE, True, words, rule.reviewed)


def _time(inputs: RuleInput) -> RuleOutcome:
    """Event times, and times among the features, that lie after as-of; other columns are only told of."""
    import pandas as pd

    spec, as_of = inputs.spec, inputs.snapshot.as_of
    frame = pd.concat([inputs.train, inputs.rows])
    features = {feature.name for feature in inputs.candidate.features}
    leaks, late = [], 0
    for column in frame.columns:
        found = late_times(frame, column, spec.data.time, as_of, spec.data.label_delay)
        if found is None or not (found.after_as_of or found.after_label):
            continue
        counts = (column == spec.data.time or column in features) and found.after_as_of > 0
        words = (
            f"{column}: {found.after_as_of:,} of {found.values:,} times after as-of, {found.after_label:,} after the "
            "row's label was known"
        )
        share = max(found.after_as_of, found.after_label) / max(1, found.values)
        leaks.append(_leak("time", column, share, 0.0, counts, words, spec.gate.leakage.reviewed))
        late += found.after_as_of if leaks[-1].leaking else 0
    over = [leak for leak in leaks if leak.leaking]
    reason = "no event time, and no time among the features, is after as-of"
    if over:
        reason = f"times after as-of: {'; '.join(leak.words for leak in over)}: {_ADVICE}"
    code = ReasonCode.TIME_IN_FUTURE if over else None
    result = _result(inputs, "time", float(late), "0 times after as-of", code, reason)
    return RuleOutcome(rules=(result,), evidence={"leaks": tuple(leaks)})


def _owed(asked: Asked) -> Iterator[str | None]:
    yield from ("single_feature_power", "function_of_label", "overlap", "time")
    if asked.spec.gate.leakage.known_with_label:
        yield "known_with_label"


RULE = Rule(
    name="leakage",
    owed=_owed,
    judge=judge,
    part=True,
    evidence=frozenset({"leaks"}),
    sections=sections,
    rank=5,
    advice={
        ReasonCode.LABEL_LEAKAGE: f"{STOP} the model would fail on rows whose label is not known yet. Take the "
        "column out of features, or name it in gate.leakage.reviewed if it is known before the event.",
        ReasonCode.ROWS_OVERLAP: f"{STOP} rows were trained on and judged on. Look for duplicates in the source.",
    },
)
