"""A finding of the leakage rule, as the page lists it, and a result, as the gate counts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import Leak
from airflow_mlops.spec.problems import ReasonCode

Kind = Literal["power", "function", "known_with_label", "overlap", "time", "question"]
ADVICE = "take it out of features, or list it under gate.leakage.reviewed if it is known before the event"
_VERDICTS = {None: Verdict.ACCEPT, ReasonCode.LEAKAGE_ASKED: Verdict.INCONCLUSIVE}


def make_result(  # noqa: PLR0917 - as the columns of the gate's table
    inputs: RuleInput, metric: str, value: float | None, bound: str, code: ReasonCode | None, reason: str
) -> RuleResult:
    """A result: without a code it accepts, a question is inconclusive, everything else rejects."""
    return RuleResult(
        rule="leakage",
        metric=metric,
        verdict=_VERDICTS.get(code, Verdict.REJECT),
        value=value,
        bound=bound,
        rows=len(inputs.rows),
        code=code,
        reason=reason,
    )


def make_leak(  # noqa: PLR0917 - a line of the page's table
    kind: Kind, what: str, value: float, bound: float, leaking: bool, words: str, reviewed: Sequence[str] = ()
) -> Leak:
    """A finding about one thing; it does not count where somebody reviewed it."""
    if what in reviewed:
        words, leaking = f"{words} (reviewed: does not count)", False
    return Leak(kind=kind, what=what, value=value, bound=bound, leaking=leaking, words=words)


def question(names: Sequence[str]) -> str:
    """What the team is asked, and the line that answers it.

    >>> question(["list_price"])
    'known before the event? if so, write gate: {leakage: {reviewed: [list_price]}}; if not, take it out of features'
    """
    which = "it" if len(names) == 1 else "them"
    return (
        f"known before the event? if so, write gate: {{leakage: {{reviewed: [{', '.join(names)}]}}}}; if not, take "
        f"{which} out of features"
    )
