"""A decision's texts, cut so that it fits into one value of the log."""

from __future__ import annotations

import json
from dataclasses import replace

from airflow_mlops.core.retrain_record import RetrainDecision
from airflow_mlops.core.trail import _storable

LONGEST = 5500
"""Characters of a decision as JSON; its number is added later, and MLflow cuts a value at 6,000, without a word."""
_SIZES = ((600, 12), (400, 12), (250, 10), (120, 10), (60, 8), (24, 4))
"""Longest text and most reasons, from one try to the next."""


def fitting(decision: RetrainDecision) -> RetrainDecision:
    """Return the decision with texts that can be stored, as long as fits: one line each, printable characters only."""
    cut = decision
    for length, most in _SIZES:
        cut = _cut(decision, length, most)
        if len(as_line(cut)) <= LONGEST:
            break
    return cut


def as_line(decision: RetrainDecision) -> str:
    """Return the decision as JSON in one line."""
    return json.dumps(decision.to_json(), ensure_ascii=False, separators=(",", ":"))


def _cut(decision: RetrainDecision, length: int, most: int) -> RetrainDecision:
    reasons = tuple(_storable(reason, length) for reason in decision.reasons[:most])
    left = len(decision.reasons) - most
    return replace(
        decision,
        reasons=(*reasons, f"And {left} more reasons.") if left > 0 else reasons,
        signals=tuple(replace(one, reason=_storable(one.reason, min(length, 300))) for one in decision.signals),
        evidence={name: _storable(value, 100) for name, value in decision.evidence.items()},
        plan=_storable(decision.plan, length),
        owner=_storable(decision.owner, 100),
    )
