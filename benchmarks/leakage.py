"""How often the gate's leakage rule refuses honest tasks, and finds planted leaks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from airflow_mlops.core.records.decision import Verdict
from benchmarks.report import Table
from tests.support.leakage_worlds import HONEST, HONEST_TOO, PLANTED, look


def measure(*, share: float, planted: int, seeds: tuple[int, ...] = (0, 1)) -> tuple[Table, dict[str, Any]]:
    """Look at `share` of the 200 honest tasks, and so many of each leak, with every seed."""
    counts: dict[tuple[str, str], Counter[Verdict]] = {}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for family, number in (*HONEST, *HONEST_TOO):
            seen = counts.setdefault(("honest", family.__name__.replace("_", " ")), Counter())
            seen.update(look(*family(rng)).verdict for _ in range(max(1, round(share * number))))
        for name, make in PLANTED.items():
            seen = counts.setdefault(("planted", name), Counter())
            seen.update(look(*make(rng)).verdict for _ in range(planted))
    for kind in ("honest", "planted"):
        every: Counter[Verdict] = sum((seen for key, seen in counts.items() if key[0] == kind), Counter())
        counts[kind, "all"] = every
    rows = [
        (kind, name, str(seen.total()), *(f"{seen[verdict] / seen.total():.1%}" for verdict in Verdict))
        for (kind, name), seen in counts.items()
    ]
    table = Table(
        title=f"Verdicts of the leakage rule, {len(seeds)} seeds",
        heads=("task", "family", "worlds", *(f"{verdict}" for verdict in Verdict)),
        rows=tuple(rows),
        notes=(
            (
                "Honest tasks must not be rejected (goal: at most 1 %); inconclusive is the question whether a strong "
                "feature is known before the event. A planted leak must not be accepted."
            ),
        ),
    )
    found = [
        {"task": kind, "family": name, **{str(v): seen[v] for v in Verdict}} for (kind, name), seen in counts.items()
    ]
    return table, {"seeds": list(seeds), "share": share, "runs": found}
