"""Does anything know the label that will not be known when the model serves? The gate's leakage rule.

It looks at single features, at pairs of them, at numbers that the label is put together from, at rows that are in
both parts, at values that are missing exactly where the label is, and at times. What leaves nothing open is rejected.
What is merely strong may be honest, and nobody but the team knows when it was known: the rule asks, and is
inconclusive until the answer stands in the specification. A leak spread over three or more features of a class is not
found, and neither is one that only helps a little: a flight's air time, say, where rows without a label were removed
before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from airflow_mlops.core.gate.rule import Asked, Rule
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.gate.rules.leakage.findings import ADVICE, make_leak, make_result
from airflow_mlops.core.gate.rules.leakage.known_features import judge_features
from airflow_mlops.core.gate.rules.leakage.rows import (
    KNOWN_SHARE,
    UNKNOWN_SHARE,
    Missing,
    late_times,
    missing_with_label,
    shared_content,
    shared_keys,
)
from airflow_mlops.core.gate.rules.leakage.sections import sections
from airflow_mlops.core.gate.rules.leakage.single_features import single_feature_power
from airflow_mlops.core.gate.rules.leakage.times import times_as_days
from airflow_mlops.core.records.candidate import compared_features
from airflow_mlops.core.records.evidence import Leak
from airflow_mlops.core.records.wording import STOP
from airflow_mlops.spec.gate import LeakageRule
from airflow_mlops.spec.problems import ReasonCode, Refusal

__all__ = ["judge", "single_feature_power"]


def judge(inputs: RuleInput) -> RuleOutcome:
    """Look for leaks; features that are `reviewed` are listed, and do not count.

    One result each for `single_feature_power`, `function_of_label`, `overlap`, `known_with_label` (unless it is
    turned off) and `time`. What cannot be computed is a rejection. Only the first two ask.
    """
    rule = inputs.spec.gate.leakage
    checks: dict[str, tuple[Callable[[RuleInput], RuleOutcome], str]] = {
        "single_feature_power": (lambda given: judge_features(times_as_days(given)), f"<= {rule.max_power:g}"),
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
    return RuleOutcome(rules=(make_result(inputs, metric, None, bound, ReasonCode.NOT_EVALUATED, reason),))


def _overlap(inputs: RuleInput) -> RuleOutcome:
    bound = inputs.spec.gate.leakage.max_overlap
    keys = shared_keys(inputs.snapshot.key, inputs.train, inputs.rows)
    features = compared_features(inputs.candidate.features)
    same = shared_content(features, (inputs.train, inputs.train_labels), (inputs.rows, inputs.labels))
    by_key = f"{keys:.2%} of the holdout rows have the key of a training row"
    by_content = f"{same.share:.2%} have features and label of a training row"
    if not same.judged(bound):
        by_content += ", which says nothing, as the training rows also equal each other"
    elif same.chance > bound:
        by_content += f", where chance gives up to {same.chance:.2%}"
    leaks = (
        make_leak("overlap", "key", keys, bound, keys > bound, by_key),
        make_leak("overlap", "content", same.share, bound + 3 * same.chance, same.too_many(bound), by_content),
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
        rules=(make_result(inputs, "overlap", value, f"<= {bound:g}", code, reason),), evidence={"leaks": leaks}
    )


def _known_with_label(inputs: RuleInput) -> RuleOutcome:
    """Features that are missing exactly where the label is."""
    nulls, unlabelled = inputs.snapshot.unlabelled_nulls, inputs.snapshot.unlabelled
    if nulls is None or not unlabelled:
        why = "every row has a label" if nulls is not None else "the snapshot, of an older format, did not count them"
        reason = f"no rows without a label to compare with: {why}"
        return RuleOutcome(rules=(make_result(inputs, "known_with_label", 0.0, "0 features", None, reason),))
    found = missing_with_label(inputs.candidate.features, (inputs.train, inputs.rows), unlabelled, nulls)
    rule = inputs.spec.gate.leakage
    leaks = [_comes_with(name, one, rule) for name, one in found.items() if one.with_label]
    over = [leak for leak in leaks if leak.leaking]
    reason = f"no feature is missing where the label is ({unlabelled:,} rows without one)"
    if over:
        reason = f"known only together with the label: {'; '.join(leak.words for leak in over[:10])}: {ADVICE}"
    code = ReasonCode.LABEL_LEAKAGE if over else None
    result = make_result(inputs, "known_with_label", float(len(over)), "0 features", code, reason)
    return RuleOutcome(rules=(result,), evidence={"leaks": tuple(leaks)})


def _comes_with(name: str, missing: Missing, rule: LeakageRule) -> Leak:
    words = (
        f"{name} is missing in {missing.unlabelled:.1%} of the rows without a label (leak: from {UNKNOWN_SHARE:.0%}) "
        f"and in {missing.labelled:.2%} of those with one (leak: up to {KNOWN_SHARE:.0%})"
    )
    return make_leak("known_with_label", name, missing.unlabelled, UNKNOWN_SHARE, True, words, rule.reviewed)


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
        leaks.append(make_leak("time", column, share, 0.0, counts, words, spec.gate.leakage.reviewed))
        late += found.after_as_of if leaks[-1].leaking else 0
    over = [leak for leak in leaks if leak.leaking]
    reason = "no event time, and no time among the features, is after as-of"
    if over:
        reason = f"times after as-of: {'; '.join(leak.words for leak in over)}: {ADVICE}"
    code = ReasonCode.TIME_IN_FUTURE if over else None
    result = make_result(inputs, "time", float(late), "0 times after as-of", code, reason)
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
        ReasonCode.LEAKAGE_ASKED: "Answer the question, once: is the feature known before the event, in the rows that "
        "are trained on as in those that are scored? If so, name it in gate.leakage.reviewed, as the rule's reason "
        "writes it; if not, take it out of features. A champion that has the feature already is retrained meanwhile.",
        ReasonCode.ROWS_OVERLAP: f"{STOP} rows were trained on and judged on. Look for duplicates in the source.",
    },
)
