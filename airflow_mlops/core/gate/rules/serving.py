"""The gate's rule about serving: a fresh interpreter must predict what was recorded, and fast enough.

This is also the check for skew between training and serving: what is compared are the predictions of the trained
pipeline before it was stored, and those of the stored one, loaded by another process and given the rows both together
and one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.gate.rule import Asked, Rule, Seen
from airflow_mlops.core.gate.rule_input import RuleOutcome, StoredModel
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import ServingReport
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.records.wording import STOP
from airflow_mlops.core.text import format_number
from airflow_mlops.spec.gate import ServingRule
from airflow_mlops.spec.problems import Problem, ReasonCode

PREDICTIONS = "predictions"
"""The rule's metric that is always judged; the others are `load_seconds`, `row_ms`, `batch_ms` and `size_mb`."""
_MB = 1_000_000


@dataclass(frozen=True, kw_only=True)
class _Finding:
    metric: str
    setting: str
    value: float | None
    bound: float
    code: ReasonCode | None
    """None: within the bound."""
    reason: str


def judge(inputs: StoredModel) -> RuleOutcome:
    """Judge what a fresh interpreter saw: one result for the predictions, and one for each bound that is set."""
    report = inputs.serving() if callable(inputs.serving) else inputs.serving
    rules = tuple(
        RuleResult(
            rule="serving",
            metric=finding.metric,
            verdict=Verdict.REJECT if finding.code else Verdict.ACCEPT,
            value=finding.value,
            bound=f"<= {finding.bound:g}",
            rows=report.rows if report else 0,
            code=finding.code,
            reason=finding.reason,
        )
        for finding in _findings(report, inputs.spec.gate.serving)
    )
    return RuleOutcome(rules=rules, evidence={} if report is None else {"serving": report})


def require_serving(report: ServingReport | None, rule: ServingRule, subject: str) -> None:
    """Refuse a version that cannot be served as the rule says; for whoever makes it serve without the gate.

    Raises
    ------
    RecordError
        With every bound that is broken.
    """
    problems = [
        Problem(
            code=finding.code,
            field=f"gate.serving.{finding.setting}",
            found=finding.reason,
            allowed=f"at most {finding.bound:g}",
            fix="choose another version, or mend what the sentence names",
        )
        for finding in _findings(report, rule)
        if finding.code
    ]
    if problems:
        raise RecordError(problems, subject=subject)


def _findings(report: ServingReport | None, rule: ServingRule) -> Iterator[_Finding]:
    for metric, setting, bound in bounds(rule):
        if report is None:
            words = "the stored model was not tried in a fresh interpreter, and what is missing does not pass"
            yield _Finding(
                metric=metric, setting=setting, value=None, bound=bound, code=ReasonCode.NOT_EVALUATED, reason=words
            )
        elif report.failure is not None or report.rows < 1:
            words = report.failure or "the golden batch has no row"
            yield _Finding(
                metric=metric, setting=setting, value=None, bound=bound, code=ReasonCode.SERVING_FAILED, reason=words
            )
        else:
            yield _compared(report, metric, setting, bound)


def bounds(rule: ServingRule) -> list[tuple[str, str, float]]:
    """Metric, setting and bound of everything that is judged."""
    always = [(PREDICTIONS, "tolerance", rule.tolerance)]
    settings = {
        "load_seconds": "max_load_seconds",
        "row_ms": "max_row_ms",
        "batch_ms": "max_batch_ms",
        "size_mb": "max_size_mb",
    }
    found = [(metric, setting, getattr(rule, setting)) for metric, setting in settings.items()]
    return always + [(metric, setting, bound) for metric, setting, bound in found if bound is not None]


def _compared(report: ServingReport, metric: str, setting: str, bound: float) -> _Finding:
    value, code, words = {
        PREDICTIONS: (
            report.max_difference,
            ReasonCode.SERVING_DIFFERS,
            f"on {report.rows} rows, the served predictions differ from the recorded ones by at most {{value}}",
        ),
        "load_seconds": (report.load_seconds, ReasonCode.SERVING_TOO_SLOW, "the model loads in {value} s"),
        "row_ms": (report.row_ms[1], ReasonCode.SERVING_TOO_SLOW, "99 % of single rows are scored in {value} ms"),
        "batch_ms": (
            report.batch_ms[1],
            ReasonCode.SERVING_TOO_SLOW,
            f"99 % of batches of {report.rows} rows are scored in {{value}} ms",
        ),
        "size_mb": (report.size_bytes / _MB, ReasonCode.SERVING_TOO_LARGE, "the stored model has {value} MB"),
    }[metric]
    if not math.isfinite(value):
        said = "a served prediction is missing or not finite" if metric == PREDICTIONS else f"{metric} was not measured"
        return _Finding(metric=metric, setting=setting, value=value, bound=bound, code=code, reason=said)
    passed = value <= bound
    reason = f"{words.format(value=f'{value:.3g}')}; at most {bound:g} is allowed"
    return _Finding(
        metric=metric, setting=setting, value=value, bound=bound, code=None if passed else code, reason=reason
    )


def _owed(asked: Asked) -> Iterator[str | None]:
    yield from (name for name, _, _ in bounds(asked.spec.gate.serving))


def sections(seen: Seen) -> Iterator[Section]:
    """Word what the fresh interpreter saw."""
    report = seen.evaluation.evidence.serving
    yield Section(key="serving", title="Serving", facts={} if report is None else _facts(report))


def _facts(report: ServingReport) -> dict[str, str]:
    """Without numbers when it could not serve."""
    place = {"current": "this worker's packages", "fresh": "a new environment from the model's own requirements"}
    tried = {"served in": f"{place[report.environment]}, Python {report.python}"}
    if report.failure is not None:
        return {"could not be served": report.failure, **tried}
    return {
        "largest difference": f"{_exact(report.max_difference)} over {report.rows:,} rows of the golden batch",
        "load": f"{format_number(report.load_seconds)} s",
        "one row": f"{_ms(report.row_ms[0])} (p50), {_ms(report.row_ms[1])} (p99)",
        "golden batch": f"{_ms(report.batch_ms[0])} (p50), {_ms(report.batch_ms[1])} (p99)",
        "size": f"{report.size_bytes / 1e6:,.2f} MB",
        **tried,
    }


def _ms(value: float) -> str:
    return f"{value:,.1f} ms" if math.isfinite(value) else format_number(value)


def _exact(value: float) -> str:
    """Zero is said to be exactly that: the predictions are identical."""
    return "none: identical" if value == 0 else format_number(value)


RULE = Rule(
    name="serving",
    owed=_owed,
    judge=judge,
    judge_model=judge,
    part=True,
    evidence=frozenset({"serving"}),
    sections=sections,
    rank=6,
    advice={
        ReasonCode.SERVING_FAILED: f"{STOP} the stored model cannot be served.",
        ReasonCode.SERVING_DIFFERS: f"{STOP} it predicts differently when served. Compare the packages.",
        ReasonCode.SERVING_TOO_SLOW: "Look whether the machine was busy; run the task again before you override.",
        ReasonCode.SERVING_TOO_LARGE: "Make the model smaller, or raise gate.serving.max_size_mb.",
    },
)
