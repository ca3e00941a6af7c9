"""What single features, and a few together, know of the label: leaks, and questions to the team."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.gate.rules.leakage.combinations import combination_of
from airflow_mlops.core.gate.rules.leakage.feature_pairs import strong_pairs
from airflow_mlops.core.gate.rules.leakage.findings import ADVICE, Kind, make_result, question
from airflow_mlops.core.gate.rules.leakage.own_row import own_rows
from airflow_mlops.core.gate.rules.leakage.rows import LUCK
from airflow_mlops.core.gate.rules.leakage.separation import CERTAIN, MOST_DECIDED
from airflow_mlops.core.gate.rules.leakage.shifted import Shift, shifts_of
from airflow_mlops.core.gate.rules.leakage.single_features import FeaturePower, measure_power, spaced, targets
from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.records.decision import RuleResult
from airflow_mlops.core.records.evidence import Leak
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.types import format_duration

if TYPE_CHECKING:
    import pandas as pd

MOST_TOLD = 20
"""Features that are listed though they do not leak: those with the most power."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Something that knows the label, before it is weighed."""

    kind: Kind
    names: tuple[str, ...]
    value: float
    bound: float
    words: str
    certain: bool
    """Whether it is surely a leak; else it is asked about."""


def judge_features(inputs: RuleInput) -> RuleOutcome:
    """Power of single features, functions of the label, pairs and combinations.

    A feature that leaves nothing open, or is the label of a later row, is a leak. One above `max_power` is asked about:
    unless it is reviewed; or is the label of an earlier row that was known by then; or the champion has it already: the
    question is not put to a model that serves, where a fresh model with the same features can do no new harm.
    """
    features = inputs.candidate.features
    train, holdout = (inputs.train, inputs.train_labels), (inputs.rows, inputs.labels)
    seen = measure_power(inputs.candidate.task, features, train, holdout)
    shifts = _shifts(inputs)
    singles = [one for name, power in seen.items() if (one := _single(inputs, name, power, shifts.get(name)))]
    named = {one.names: one.certain for one in singles}
    others = [one for one in _functions(inputs, seen, shifts) if named.get(one.names, -1) < one.certain]
    powers = [_weigh(inputs, one) for one in singles]
    told = {leak.what for leak in powers}
    rest = sorted((one for one in seen.items() if one[0] not in told), key=lambda pair: -_finite(pair[1].power))
    functions = [_weigh(inputs, one) for one in others]
    lines = [*sorted(powers, key=lambda leak: (not leak.leaking, not leak.asked)), *_plain(inputs, rest, shifts)]
    return RuleOutcome(
        rules=(_power_result(inputs, seen, powers), _function_result(inputs, functions)),
        evidence={"leaks": (*lines, *functions)},
    )


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -1.0


def _plain(inputs: RuleInput, rest: Sequence[tuple[str, FeaturePower]], shifts: Mapping[str, Shift]) -> Iterator[Leak]:
    bound = inputs.spec.gate.leakage.max_power
    for name, seen in rest[:MOST_TOLD]:
        words = f"{name} alone has the power {seen.power:.3f}"
        if name in shifts:
            words += f", and is {_shift_words(inputs, shifts[name])}"
        elif seen.power > bound and not _over(seen, bound):
            words += ", which luck may give among so few rows of a class"
        yield Leak(kind="power", what=name, value=seen.power, bound=bound, leaking=False, words=words)


def _over(seen: FeaturePower, bound: float) -> bool:
    """Above the bound, and not by luck among few rows of a class."""
    return (seen.power > bound or seen.power >= 1.0) and seen.luck <= LUCK


def _single(inputs: RuleInput, name: str, seen: FeaturePower, shift: Shift | None) -> _Found | None:
    """What one feature says on the holdout rows; None: it does not say too much, or is known to be known before."""
    bound = inputs.spec.gate.leakage.max_power
    exact = seen.exact and (seen.luck <= LUCK or inputs.candidate.task == "regression")
    if (shift is not None and _was_known(inputs, shift)) or not (exact or _over(seen, bound)):
        return None
    words = f"{name} alone has the power {seen.power:.3f}"
    if shift is not None:
        words += f", and is {_shift_words(inputs, shift)}"
    elif exact:
        words = f"{name} {_away(inputs, name)}"
    return _Found(
        kind="power",
        names=(name,),
        value=seen.power,
        bound=bound,
        words=words,
        certain=exact if shift is None else shift.later,
    )


def _away(inputs: RuleInput, name: str) -> str:
    """How a feature that leaves nothing open does so: of a date that stands where a customer left, that it stands."""
    gone = inputs.rows[name].isna().to_numpy()
    classes = inputs.labels.groupby(gone).nunique()
    by = ", by whether it is missing" if len(classes) > 1 and classes.max() == 1 else ""
    return f"gives every label away{by or _rounding(inputs)}"


def _rounding(inputs: RuleInput) -> str:
    """Of classes nothing is rounded."""
    return ", but for rounding" if inputs.candidate.task == "regression" else ""


def _was_known(inputs: RuleInput, shift: Shift) -> bool:
    return not shift.later and shift.apart >= inputs.spec.data.label_delay


def _shift_words(inputs: RuleInput, shift: Shift) -> str:
    if shift.later:
        return f"the label of a later row ({-shift.steps} ahead)"
    words = f"the label {format_duration(shift.apart)} before"
    if _was_known(inputs, shift):
        return f"{words}, known by then"
    delay = format_duration(inputs.spec.data.label_delay)
    return f"{words}, where data.label_delay = {delay} says that labels are known only then"


def _shifts(inputs: RuleInput) -> dict[str, Shift]:
    data = inputs.spec.data
    named = (inputs.spec.gate.champion.entity, *data.key)
    entities = [
        name
        for name in dict.fromkeys(named)
        if name is not None and name != data.time and inputs.rows[name].duplicated().any()
    ]
    parts = [(inputs.train, inputs.train_labels), (inputs.rows, inputs.labels)]
    return shifts_of([feature.name for feature in inputs.candidate.features], parts, data.time, entities)


def _functions(inputs: RuleInput, seen: Mapping[str, FeaturePower], shifts: Mapping[str, Shift]) -> Iterator[_Found]:
    for name, shift in shifts.items():
        if shift.later:
            words = f"{name} is {_shift_words(inputs, shift)}"
            yield _Found(kind="function", names=(name,), value=1.0, bound=0.0, words=words, certain=True)
    known = {name for name, shift in shifts.items() if _was_known(inputs, shift)}
    yield from (_partly(name, one) for name, one in seen.items() if one.decides and name not in known)
    yield from (one for one in _earlier(inputs) if one.names[0] not in shifts)
    yield from _encodings(inputs)
    yield from _combination(inputs, seen)
    yield from _together(inputs, seen)


def _partly(name: str, seen: FeaturePower) -> _Found:
    words = (
        f"{name} alone decides {seen.decided:.0%} of one class's rows with {CERTAIN:.0%} certainty, where one of its "
        f"power ({seen.power:.3f}) would decide about {seen.explained:.0%}"
    )
    return _Found(kind="function", names=(name,), value=seen.decided, bound=MOST_DECIDED, words=words, certain=False)


def _earlier(inputs: RuleInput) -> Iterator[_Found]:
    """A field that is filled when the case is closed may be empty in the newest rows, and full in the older ones."""
    half, bound = len(inputs.train) // 2, inputs.spec.gate.leakage.max_power
    parts = [(inputs.train.iloc[part], inputs.train_labels.iloc[part]) for part in (slice(half), slice(half, None))]
    for name, one in measure_power(inputs.candidate.task, inputs.candidate.features, *parts).items():
        if _over(one, bound) and (one.exact or one.surely > bound):
            words = f"{name} alone has the power {one.power:.3f} in the training part"
            if one.exact:
                words = f"{name} gives every label of the training part away{_rounding(inputs)}"
            yield _Found(kind="function", names=(name,), value=one.power, bound=bound, words=words, certain=one.exact)


def _numbers(inputs: RuleInput) -> list[tuple[pd.DataFrame, pd.Series[Any]]]:
    """Numeric features and labels, of both parts, evenly spaced."""
    numeric = [feature for feature in inputs.candidate.features if feature.role == "numeric"]
    parts = [spaced(part) for part in ((inputs.train, inputs.train_labels), (inputs.rows, inputs.labels))]
    return [(as_features(rows, numeric), labels) for rows, labels in parts]


def _encodings(inputs: RuleInput) -> Iterator[_Found]:
    import numpy as np
    import pandas as pd

    numeric = [feature for feature in inputs.candidate.features if feature.role == "numeric"]
    parts = [(inputs.train, inputs.train_labels), (inputs.rows, inputs.labels)]  # every row: means are of all of them
    rows = pd.concat([as_features(frame, numeric) for frame, _ in parts])
    goals = [np.concatenate(goal) for goal in targets(inputs.candidate.task, parts[0][1], parts[1][1])]
    tests = max(1, len(goals) * len(numeric))
    for feature in numeric:
        found = [one for goal in goals if (one := own_rows(rows[feature.name], goal, tests)) and one.used]
        if found:
            best = min(found, key=lambda one: one.share)
            words = (
                f"{feature.name} holds mean labels that were computed with the rows that have it: off from their own "
                f"means by {best.share:.0%} of what means of other rows are"
            )
            yield _Found(kind="function", names=(feature.name,), value=best.share, bound=1.0, words=words, certain=True)


def _combination(inputs: RuleInput, seen: Mapping[str, FeaturePower]) -> Iterator[_Found]:
    if inputs.candidate.task != "regression":
        return
    alone = [name for name, one in seen.items() if one.exact]
    train, holdout = ((rows.drop(columns=[*alone], errors="ignore"), y.to_numpy(float)) for rows, y in _numbers(inputs))
    found = combination_of(train, holdout)
    if found is None:
        return
    what = "a linear combination" if found.how == "sum" else "a product of powers"
    left = "but for rounding" if found.exact else f"but for {found.left:.2%} of its spread"
    words = f"the label is {what} of {', '.join(found.names)}, {left}"
    yield _Found(
        kind="function", names=found.names, value=1 - found.left**2, bound=1.0, words=words, certain=found.exact
    )


def _together(inputs: RuleInput, seen: Mapping[str, FeaturePower]) -> Iterator[_Found]:
    bound = inputs.spec.gate.leakage.max_power
    pairs = strong_pairs(
        inputs.candidate.task,
        inputs.candidate.features,
        (inputs.train, inputs.train_labels),
        (inputs.rows, inputs.labels),
        alone=seen,
        max_power=bound,
    )
    for pair in [pair for pair in pairs if pair.luck <= LUCK][:MOST_TOLD]:
        much = "give every label away" if pair.exact else f"have the power {pair.power:.3f}"
        words = f"{pair.first} and {pair.second} together {much}, neither of them alone"
        names = (pair.first, pair.second)
        yield _Found(kind="function", names=names, value=pair.power, bound=bound, words=words, certain=pair.exact)


def _weigh(inputs: RuleInput, found: _Found) -> Leak:
    """A leak, a question, or neither where it is answered, or where the champion has it already."""
    champion, names = inputs.champion, set(found.names)
    kind, words, leaking = found.kind, found.words, found.certain
    if names <= set(inputs.spec.gate.leakage.reviewed):
        words, leaking = f"{words} (reviewed: known before the event, does not count)", False
    elif champion is not None and not leaking and names <= {one.name for one in champion.candidate.features}:
        words += f" (not held back, as version {champion.version} serves with it: {question(found.names)})"
    elif not leaking:
        kind = "question"
    return Leak(
        kind=kind, what=", ".join(found.names), value=found.value, bound=found.bound, leaking=leaking, words=words
    )


def _power_result(inputs: RuleInput, seen: Mapping[str, FeaturePower], leaks: Sequence[Leak]) -> RuleResult:
    bound = inputs.spec.gate.leakage.max_power
    over, asked = [leak for leak in leaks if leak.leaking], [leak for leak in leaks if leak.asked]
    known = bool(seen) and all(math.isfinite(one.power) for one in seen.values())
    value = max((one.power for one in seen.values() if math.isfinite(one.power)), default=None)
    code = None
    if over:
        code, reason = ReasonCode.LABEL_LEAKAGE, f"{_listed(over)}: {ADVICE}"
    elif not known:
        code, reason = ReasonCode.METRIC_NOT_FINITE, "the power of single features could not be computed"
    elif asked:
        names = [leak.what for leak in asked]
        code = ReasonCode.LEAKAGE_ASKED
        reason = f"{_listed(asked)}, above gate.leakage.max_power = {bound:g}: {question(names)}"
    elif leaks:
        reason = f"no single feature gives the label away unasked: {_listed(leaks)}"
    else:
        top = max(seen, key=lambda name: seen[name].power)
        reason = f"no single feature gives the label away; the strongest is {top} with {seen[top].power:.3f}"
    return make_result(inputs, "single_feature_power", value if known or over else None, f"<= {bound:g}", code, reason)


def _function_result(inputs: RuleInput, leaks: Sequence[Leak]) -> RuleResult:
    over, asked = [leak for leak in leaks if leak.leaking], [leak for leak in leaks if leak.asked]
    code, reason = None, "no feature, no pair and no combination of features is nearly a function of the label"
    if over:
        code, reason = ReasonCode.LABEL_LEAKAGE, f"{_listed(over)}: {ADVICE}"
    elif asked:
        code = ReasonCode.LEAKAGE_ASKED
        names = dict.fromkeys(name for leak in asked for name in leak.what.split(", "))
        reason = f"nearly a function of the label: {_listed(asked)}: {question([*names])}"
    elif leaks:
        reason = f"nothing is nearly a function of the label unasked: {_listed(leaks)}"
    names_found = float(len({leak.what for leak in (*over, *asked)}))
    return make_result(inputs, "function_of_label", names_found, "0 features", code, reason)


def _listed(leaks: Sequence[Leak]) -> str:
    return "; ".join(leak.words for leak in leaks[:5])
