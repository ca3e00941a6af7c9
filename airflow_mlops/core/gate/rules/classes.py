"""Was every class learned that the holdout has: rows of each class in both parts, and the verdict on those too few.

A class with no training row cannot be predicted right, and of one with a handful nothing is known: each of its rows
weighs more than all others together, in the model and in metrics such as recall. Ten events for each thing that is
learned is what P. Peduzzi et al. (A simulation study of the number of events per variable in logistic regression,
Journal of Clinical Epidemiology 49, 1996) found to be the least, for one coefficient; a class has at least one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_mlops.core.gate.rule import Rule, Seen, one_result
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.pipeline.predict import plain_classes
from airflow_mlops.core.records.candidate import Label
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import ClassRows
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.text import format_percent
from airflow_mlops.spec.problems import ReasonCode

METRIC = "rows_of_rare_classes"
"""What the rule's result is about."""
_NAMED = 10


def judge(inputs: RuleInput) -> RuleOutcome:
    """Refuse a candidate that was not taught a class which its rows have.

    The rule's value is the share of judged rows whose class has fewer than `min_rows` training rows. Of two classes,
    neither may be so rare, however few rows that is: it is half of the question.
    """
    rows, rule = len(inputs.rows), inputs.spec.gate.classes
    if inputs.candidate.task == "regression":
        return RuleOutcome(rules=(_result(0.0, rule.max_share, rows, None, "a regression has no classes"),))
    found = class_rows(inputs)
    rare = [one for one in found if one.train < rule.min_rows]
    share = sum(one.judged for one in rare) / max(1, rows)
    half = inputs.candidate.task == "binary" and bool(rare)
    over = half or share > rule.max_share
    reason = f"each of {len(found)} classes has at least {rule.min_rows} training rows"
    if rare:
        named = ", ".join(
            f"{str(one.label)!r} ({one.train:,} to train, {one.judged:,} judged)" for one in rare[:_NAMED]
        )
        more = f" and {len(rare) - _NAMED} more" if len(rare) > _NAMED else ""
        reason = (
            f"{format_percent(share)} of the judged rows are of classes with fewer than gate.classes.min_rows = "
            f"{rule.min_rows} training rows: {named}{more}"
        )
        if half:
            reason += "; of two classes neither may be so rare"
    code = ReasonCode.CLASS_RARE if over else None
    return RuleOutcome(rules=(_result(share, rule.max_share, rows, code, reason),), evidence={"classes": tuple(found)})


def class_rows(inputs: RuleInput) -> list[ClassRows]:
    """Rows of each class in the training part and among those that are judged, the rarest to train first."""
    trained = _counts(plain_classes(list(inputs.train_labels)))
    judged = _counts(_labels(inputs.judged, inputs.labels))
    positive = _positive(inputs)
    every = dict.fromkeys((*inputs.candidate.classes, *trained, *judged))
    found = [
        ClassRows(label=label, train=trained.get(label, 0), judged=judged.get(label, 0), positive=label == positive)
        for label in every
    ]
    return sorted(found, key=lambda one: (one.train, str(one.label)))


def _labels(judged: LabelledPredictions, labels: Any) -> tuple[Label, ...]:
    return plain_classes(list(judged.labels[0])) if judged.names else plain_classes(list(labels))


def _positive(inputs: RuleInput) -> Label | None:
    candidate = inputs.candidate
    if candidate.task != "binary" or not candidate.classes:
        return None
    return candidate.classes[-1] if candidate.positive is None else candidate.positive


def _counts(labels: tuple[Label, ...]) -> dict[Label, int]:
    from collections import Counter

    return dict(Counter(labels))


def _result(value: float, bound: float, rows: int, code: ReasonCode | None, reason: str) -> RuleResult:
    return RuleResult(
        rule="classes",
        metric=METRIC,
        verdict=Verdict.ACCEPT if code is None else Verdict.REJECT,
        value=value,
        bound=f"<= {bound:g}",
        rows=rows,
        code=code,
        reason=reason,
    )


def sections(seen: Seen) -> Iterator[Section]:
    """Word how many rows of each class there were, and which is the positive one."""
    found = seen.evaluation.evidence.classes
    positive = [str(one.label) for one in found if one.positive]
    none = "A regression has no classes." if seen.candidate.task == "regression" else ""
    yield Section(
        key="classes",
        title="Classes",
        sentences=(f"Metrics of one class and `probability` are about {positive[0]!r}, the positive class.",)
        if positive
        else ((none,) if none else ()),
        headings=("class", "training rows", "judged rows"),
        rows=tuple((str(one.label), f"{one.train:,}", f"{one.judged:,}") for one in found[:100]),
    )


RULE = Rule(
    name="classes",
    owed=one_result,
    judge=judge,
    part=True,
    evidence=frozenset({"classes"}),
    sections=sections,
    advice={
        ReasonCode.CLASS_RARE: "Lengthen the training window until the rare class has rows to learn from, put it "
        "together with another one, or leave its rows out.",
    },
)
