"""A decision in words: numbers, verdicts, what the rows could have shown, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from airflow_mlops.core.records.decision import GateDecision, RuleResult, Verdict
from airflow_mlops.core.text import format_number
from airflow_mlops.spec.problems import ReasonCode

TONE = {Verdict.ACCEPT: "good", Verdict.REJECT: "bad", Verdict.INCONCLUSIVE: "unsure"}
PASS = {Verdict.ACCEPT: "pass", Verdict.REJECT: "fail", Verdict.INCONCLUSIVE: "open"}

COMPARISONS = ("champion", "first_model", "baseline")
"""Rules that are decided on a gain and its interval, the most telling first."""
_ORDER = (Verdict.REJECT, Verdict.INCONCLUSIVE, Verdict.ACCEPT)


def sorted_rules(rules: Iterable[RuleResult]) -> list[RuleResult]:
    """Failed rules first, those that were only recorded after those that count; then the comparison before others."""

    def weight(rule: RuleResult) -> tuple[bool, bool, int, int]:
        first = COMPARISONS.index(rule.rule) if rule.rule in COMPARISONS else len(COMPARISONS)
        return rule.verdict is Verdict.ACCEPT, not rule.enforced, _ORDER.index(rule.verdict), first

    return sorted(rules, key=weight)


def deciding(decision: GateDecision) -> tuple[str, ...]:
    """The reasons that made the verdict, the most telling first.

    An accepting decision was made by every rule: then it is the comparison with the champion, or with the baseline.
    """
    counted = [rule for rule in decision.evaluation.rules if rule.enforced and rule.verdict is decision.verdict]
    if decision.verdict is Verdict.ACCEPT:
        counted = [rule for name in COMPARISONS for rule in counted if rule.rule == name][:1] or counted[:1]
    texts = {rule.reason: power(rule) for rule in counted}
    ordered = [reason for reason in decision.reasons if reason in texts]
    told_too = [text for reason in ordered if (text := texts[reason])]
    waived_rules = [f"recorded only: {rule.reason}" for rule in ignored(decision)]
    return (*ordered, *told_too, *waived_rules) if ordered else decision.reasons


def ignored(decision: GateDecision) -> list[RuleResult]:
    """Rules that did not pass and did not count, although they would have changed the verdict."""
    if decision.would in {None, decision.verdict}:
        return []
    return [r for r in sorted_rules(decision.evaluation.rules) if not r.enforced and r.verdict is decision.would]


def power(rule: RuleResult) -> str:
    """What these rows could have shown, of a comparison that was not decided; empty for others.

    >>> from airflow_mlops.core.records.decision import RuleResult
    >>> print(power(RuleResult(rule="champion", metric="log_loss", verdict=Verdict.INCONCLUSIVE, value=0.002,
    ...     bound="lower bound > 0", rows=27_500, code=None, reason="", detectable=0.004, rows_needed=91_000)))
    a gain of 0.0040 would have been shown on these rows; the observed 0.0020 needs about 91,000 rows, 3.3 times these
    """
    if rule.verdict is Verdict.ACCEPT or (rule.detectable is None and rule.rows_needed is None):
        return ""
    parts = []
    if rule.detectable is not None and math.isfinite(rule.detectable):
        parts.append(f"a gain of {format_number(rule.detectable)} would have been shown on these rows")
    if rule.rows_needed is not None:
        times = f", {rule.rows_needed / rule.rows:.1f} times these" if rule.rows else ""
        parts.append(f"the observed {format_number(rule.value)} needs about {rule.rows_needed:,} rows{times}")
    elif rule.verdict is Verdict.INCONCLUSIVE and rule.value is not None:
        parts.append(f"no number of rows would show the observed {format_number(rule.value)}")
    return "; ".join(parts)


def sentence(decision: GateDecision) -> str:
    """The verdict, and who serves after it."""
    serves = (
        "no model serves yet" if decision.champion_version is None else f"champion v{decision.champion_version} stays"
    )
    if decision.verdict is Verdict.ACCEPT:
        place = "as the first one" if decision.champion_version is None else f"in place of v{decision.champion_version}"
        but = ", because rules that failed did not count" if ignored(decision) else ""
        return f"Accepted{but}: this candidate may serve {place}."
    if decision.verdict is Verdict.REJECT:
        return f"Rejected: {serves}."
    return f"Inconclusive: these rows do not decide it; {serves}."


def tone(decision: GateDecision) -> str:
    """Colour of the verdict: one that would have been another is not green."""
    return "unsure" if ignored(decision) else TONE[decision.verdict]


def waived(decision: GateDecision) -> tuple[str, str] | None:
    """Heading and sentence of the warning that rules did not count; None when all did."""
    if decision.mode == "off":
        return (
            "The gate is off: this model was not judged",
            "gate.mode is off. Only a finite metric and the order in time were looked at; no comparison was made.",
        )
    if decision.mode != "dry_run":
        return None
    would = decision.would or decision.verdict
    meant = {Verdict.ACCEPT: "accepted", Verdict.REJECT: "rejected", Verdict.INCONCLUSIVE: "inconclusive"}[would]
    differ = would is not decision.verdict and decision.verdict is Verdict.ACCEPT
    return (
        f"Dry run: the rules did not count. Had they counted: {meant}",
        "The candidate goes on to promotion although the gate would have kept it back. To make the rules count, set "
        "gate.mode: enforce."
        if differ
        else "The verdict below is the same as if they had counted. To make the rules count, set gate.mode: enforce.",
    )


_STOP = "Do not override:"
_BROKEN = f"{_STOP} the numbers cannot be trusted."
_NEXT: dict[ReasonCode, str] = {
    ReasonCode.HOLDOUT_TOO_SMALL: f"{_BROKEN} Find out why so few labelled rows arrived, then run again.",
    ReasonCode.METRIC_NOT_FINITE: f"{_BROKEN} Look at the task's log for what could not be computed.",
    ReasonCode.PREDICTIONS_CONSTANT: "Do not override: the model says the same of every row. Look at the features.",
    ReasonCode.NOT_EVALUATED: f"{_BROKEN} A rule that was asked for could not be evaluated; its reason says why.",
    ReasonCode.METRIC_OUT_OF_BOUNDS: "Find out whether data or bound is wrong. The bound was set by the model's owner.",
    ReasonCode.BASELINE_NOT_BEATEN: "Do not override: a constant prediction is as good. Look at labels and features.",
    ReasonCode.CHAMPION_NOT_BEATEN: "Nothing to do: the champion is the better model on these rows.",
    ReasonCode.CHAMPION_INCONCLUSIVE: "Nothing to do now. Wait for more rows, lengthen gate.holdout, or declare "
    "noninferiority with a margin if as good is good enough.",
    ReasonCode.CHAMPION_TRAINED_ON_HOLDOUT: "Wait until enough rows are newer than the champion's training, or judge "
    "with a later as-of.",
    ReasonCode.CHAMPION_UNREADABLE: "Look at the champion first: it serves, and could not be scored. "
    "Consider a rollback to a version that can be read.",
    ReasonCode.FIRST_MODEL_REFUSED: "A person sets the first champion, with an override.",
    ReasonCode.LABEL_LEAKAGE: "Do not override: the model would fail on rows whose label is not known yet. Take the "
    "column out of features, or name it in gate.leakage.reviewed if it is known before the event.",
    ReasonCode.ROWS_OVERLAP: "Do not override: rows were trained on and judged on. Look for duplicates in the source.",
    ReasonCode.SLICE_MISSING: "Find out why these rows are missing from the source.",
    ReasonCode.SLICE_WORSE: "Look at the slices below. Overriding means that these rows get worse predictions.",
    ReasonCode.SLICE_WEAK: "Look at the slices below: the model is weak there, whoever the champion is.",
    ReasonCode.GROUP_MISSING: "Find out why this group is missing from the source.",
    ReasonCode.GROUPS_DIFFER: "Do not override alone: who answers for fairness must see the groups below.",
    ReasonCode.NOT_CALIBRATED: "Probabilities are off: see the reliability diagram. Do not use them as probabilities.",
    ReasonCode.NOT_CONVERGED: "Raise the limit of iterations or scale the features, then train again.",
    ReasonCode.NOT_ROBUST: "See the drops below: the model leans on input that may be missing one day.",
    ReasonCode.SERVING_FAILED: "Do not override: the stored model cannot be served.",
    ReasonCode.SERVING_DIFFERS: "Do not override: it predicts differently when served. Compare the packages.",
    ReasonCode.SERVING_TOO_SLOW: "Look whether the machine was busy; run the task again before you override.",
    ReasonCode.SERVING_TOO_LARGE: "Make the model smaller, or raise gate.serving.max_size_mb.",
    ReasonCode.AS_OF_BACKWARDS: "Nothing to do: an older model never replaces a newer one. To go back, roll back.",
}


def next_steps(decision: GateDecision) -> tuple[str, ...]:
    """What a person who is asked now should do, the most important first."""
    if ignored(decision):
        return (
            "Read the failed rules first: promotion follows, after a person's approval where one is asked for.",
            f"If it should not serve: airflow mlops rollback {decision.model} --reason '...', once it does.",
        )
    if decision.verdict is Verdict.ACCEPT:
        return ("Nothing to do: promotion follows, after a person's approval where the specification asks for one.",)
    return tuple(_steps(decision))


def _steps(decision: GateDecision) -> Iterator[str]:
    if decision.champion_version is None:
        yield "No model serves, before and after this decision."
    else:
        yield f"Nothing is urgent: champion v{decision.champion_version} keeps serving, unchanged."
    failed = [rule for rule in decision.evaluation.rules if rule.enforced and rule.verdict is decision.verdict]
    steps = [_NEXT[rule.code] for rule in failed if rule.code in _NEXT]
    yield from sorted(dict.fromkeys(steps), key=lambda step: not step.startswith(_STOP))
    if not any(step.startswith(_STOP) for step in steps):
        yield (
            f"To serve it all the same: airflow mlops promote {decision.model} VERSION --force --reason '...'. "
            "It is recorded in the audit trail with your name."
        )
