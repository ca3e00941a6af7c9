"""How often the fairness rule decides, and rightly, on just as many rows as it asks for."""

from __future__ import annotations

from collections import Counter
from typing import Any

from airflow_mlops.core.gate.rules.fairness.group_sizes import rows_to_decide
from airflow_mlops.core.records.decision import Verdict
from benchmarks.report import Table
from tests.support.fairness_worlds import verdict_of

BOUND, CONFIDENCE, SLACK = 0.1, 0.95, 1.05
"""Rows are a little more than asked for: the rate that all groups have in common is estimated, too."""
WORLDS: dict[str, dict[str, float]] = {
    "rows alike": {},
    "days shift all groups": {"shared": 0.1},
    "days shift one group": {"own": 0.1},
}


def measure(*, worlds: int) -> tuple[Table, dict[str, Any]]:
    """Ask the rule of so many holdouts of each kind."""
    found: list[dict[str, Any]] = []
    for groups, rate in ((2, 0.5), (2, 0.1), (4, 0.5), (8, 0.3)):
        rows = int(SLACK * rows_to_decide(rate * (1 - rate), BOUND, groups, CONFIDENCE))
        for gap in (0.0, 2 * BOUND):
            rates = [rate + gap, *[rate] * (groups - 1)]
            for name, days in WORLDS.items():
                seen = Counter(verdict_of(rates, rows, seed, **days) for seed in range(worlds))
                found.append({"groups": groups, "rate": rate, "rows": rows, "gap": gap, "days": name, "seen": seen})
    table = Table(
        title=f"Verdicts of the fairness rule, bound {BOUND:g}, {worlds} holdouts each",
        heads=("groups", "rate", "rows of each", "true difference", "days", *(str(verdict) for verdict in Verdict)),
        rows=tuple(
            (
                str(one["groups"]),
                f"{one['rate']:g}",
                str(one["rows"]),
                f"{one['gap']:g}",
                str(one["days"]),
                *(f"{one['seen'][verdict] / worlds:.1%}" for verdict in Verdict),
            )
            for one in found
        ),
        notes=(
            f"Of fair models (difference 0), {CONFIDENCE:.0%} must be accepted; of those twice the bound apart, few.",
        ),
    )
    plain = [{**one, "seen": {str(verdict): one["seen"][verdict] for verdict in Verdict}} for one in found]
    return table, {"worlds": worlds, "runs": plain}
