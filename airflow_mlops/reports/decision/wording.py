"""A decision in words: numbers, verdicts, what the rows could have shown, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from airflow_mlops.core.records.decision import GateDecision, RuleResult, Verdict
from airflow_mlops.core.records.wording import STOP, comparison_words
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

    An accepting decision was made by every rule: then it is the comparison with the champion, or with the baseline, in
    the words of :func:`comparison_words`; of a decision of before, in those of its rule.
    """
    counted = [rule for rule in decision.evaluation.rules if rule.enforced and rule.verdict is decision.verdict]
    waived_rules = tuple(f"recorded only: {rule.reason}" for rule in ignored(decision))
    words = comparison_words(decision.evaluation) if decision.verdict is Verdict.ACCEPT else None
    if words is not None and decision.reasons and words in decision.reasons[0]:
        return (decision.reasons[0], *waived_rules)  # of a refit, whose evidence it is stands before the words
    if decision.verdict is Verdict.ACCEPT:
        counted = [rule for name in COMPARISONS for rule in counted if rule.rule == name][:1] or counted[:1]
    texts = {rule.reason: power(rule) for rule in counted}
    ordered = [reason for reason in decision.reasons if reason in texts]
    told_too = [text for reason in ordered if (text := texts[reason])]
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
        judged = decision.refit_of
        what = "this candidate" if judged is None else f"this model, a refit of v{judged.version} on all rows,"
        return f"Accepted{but}: {what} may serve {place}."
    if decision.verdict is Verdict.REJECT:
        return f"Rejected: {serves}."
    if any(rule.enforced and rule.code is ReasonCode.LEAKAGE_ASKED for rule in decision.evaluation.rules):
        return f"Inconclusive: a question has to be answered; {serves}."
    return f"Inconclusive: these rows do not decide it; {serves}."


def tone(decision: GateDecision) -> str:
    """Colour of the verdict: one that would have been another is not green."""
    return "unsure" if ignored(decision) else TONE[decision.verdict]


def superseded(version: int, alarm: tuple[str, str] | None) -> tuple[str, str]:
    """Heading and sentence of the page of a decision that the same run made anew, before any other warning.

    >>> superseded(3, None)[0]
    'Superseded by version 3'
    """
    said = (
        f"The same run was judged anew, from other rows or another specification: version {version} is what came of "
        "it. This page says what was decided before."
    )
    return f"Superseded by version {version}", " ".join((said, *(alarm or ())))


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


def next_steps(decision: GateDecision, advice: Sequence[str]) -> tuple[str, ...]:
    """What a person who is asked now should do, the most important first; `advice` is that of the rules."""
    if ignored(decision):
        return (
            "Read the failed rules first: promotion follows, after a person's approval where one is asked for.",
            f"If it should not serve: airflow mlops rollback {decision.model} --reason '...', once it does.",
        )
    if decision.verdict is Verdict.ACCEPT:
        return ("Nothing to do: promotion follows, after a person's approval where the specification asks for one.",)
    return tuple(_steps(decision, advice))


def _steps(decision: GateDecision, advice: Sequence[str]) -> Iterator[str]:
    if decision.champion_version is None:
        yield "No model serves, before and after this decision."
    else:
        yield f"Nothing is urgent: champion v{decision.champion_version} keeps serving, unchanged."
    yield from advice
    if not any(step.startswith(STOP) for step in advice):
        yield (
            f"To serve it all the same: airflow mlops promote {decision.model} VERSION --force --reason '...'. "
            "It is recorded in the audit trail with your name."
        )
