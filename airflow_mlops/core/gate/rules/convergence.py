"""Did the optimiser end because it was done: what the estimator said while it was trained, and the verdict on it.

An optimiser that stopped early gives coefficients that depend on where it stopped: another seed, another order of
rows or one more iteration gives another model, and its metrics are luck.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_mlops.core.gate.rule import Rule, Seen, one_result
from airflow_mlops.core.gate.rule_input import RuleOutcome, StoredModel
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.text import format_number
from airflow_mlops.spec.problems import ReasonCode

METRIC = "convergence"
"""What the rule's result is about."""
_MOST_FACTS = 20
"""What an estimator tells beside warnings and iterations, that is shown."""


def judge(inputs: StoredModel) -> RuleOutcome:
    """Refuse a candidate whose optimiser warned, or stopped at its limit.

    The rule's value is the number of signs of an unfinished optimiser. A candidate without the record is refused too:
    candidates are judged right after they are trained, so that one without it was trained by another version.
    """
    record = inputs.candidate.convergence
    path = inputs.spec.training.estimator
    rows = inputs.candidate.train_rows
    warned = record.get("warnings")
    if not isinstance(warned, list | tuple):
        why = f"what {path} said while it was trained is not recorded: train the candidate again"
        return RuleOutcome(
            rules=(_result(None, rows, ReasonCode.NOT_EVALUATED, why),), evidence={"convergence": record}
        )
    iterations, limit = _number(record, "iterations"), _number(record, "limit")
    stopped = iterations is not None and limit is not None and not iterations < limit
    signs = len(warned) + stopped
    if signs:
        says = " ".join(str(warned[0]).split()) if warned else f"it stopped at its limit of {limit:g} iterations"
        more = f" (and {len(warned) - 1} more)" if len(warned) > 1 else ""
        reason = (
            f"{path} did not converge: {says}{more}; raise training.parameters.max_iter, scale the features, "
            "or loosen tol"
        )
        return RuleOutcome(
            rules=(_result(float(signs), rows, ReasonCode.NOT_CONVERGED, reason),), evidence={"convergence": record}
        )
    return RuleOutcome(
        rules=(_result(0.0, rows, None, f"{path} {_fine(iterations, limit)}"),), evidence={"convergence": record}
    )


def _number(record: Mapping[str, Any], name: str) -> float | None:
    """A number of the record; NaN when what stands there is none, which no comparison passes."""
    value = record.get(name)
    if value is None:
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _fine(iterations: float | None, limit: float | None) -> str:
    if iterations is None:
        return "gave no warning of convergence, and tells no number of iterations"
    if limit is None:
        return f"gave no warning of convergence in {iterations:g} iterations"
    return f"converged after {iterations:g} of at most {limit:g} iterations, without a warning"


def _result(value: float | None, rows: int, code: ReasonCode | None, reason: str) -> RuleResult:
    return RuleResult(
        rule="convergence",
        metric=METRIC,
        verdict=Verdict.ACCEPT if code is None else Verdict.REJECT,
        value=value,
        bound="no warning, and fewer iterations than the limit",
        rows=rows,
        code=code,
        reason=reason,
    )


def sections(seen: Seen) -> Iterator[Section]:
    """Word what the estimator said of its own training, which is known where the rule is off too."""
    found = seen.evaluation.evidence.convergence or seen.candidate.convergence
    yield Section(
        key="convergence",
        title="Convergence",
        sentences=() if found else ("The estimator said nothing of its own training.",),
        facts=_facts(found) if found else {},
    )


def _facts(found: Mapping[str, Any]) -> dict[str, str]:
    warnings = found.get("warnings") or []
    told = [warnings] if isinstance(warnings, str) else list(warnings)
    shown = {"warnings": "; ".join(map(str, told)) or "none"}
    shown |= {name: _plain(found[name]) for name in ("iterations", "limit") if found.get(name) is not None}
    rest = {
        str(name): _plain(value) for name, value in found.items() if name not in {"warnings", "iterations", "limit"}
    }
    return shown | dict(list(rest.items())[:_MOST_FACTS])


def _plain(value: Any) -> str:
    return format_number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


RULE = Rule(
    name="convergence",
    owed=one_result,
    judge=judge,
    judge_model=judge,
    part=True,
    evidence=frozenset({"convergence"}),
    sections=sections,
    advice={
        ReasonCode.NOT_CONVERGED: "Raise the limit of iterations or scale the features, then train again.",
    },
)
