"""How often the gate is wrong: acceptance of equal models, and of models that are better by a known amount."""

from __future__ import annotations

from math import sqrt
from typing import Any

from benchmarks.report import Table
from tests.support.worlds import CASES, CONFIDENCE, METRICS, POWER, accepted, with_detectable_gain


def measure(*, worlds: int, resamples: int) -> tuple[Table, dict[str, Any]]:
    """Run every case with every metric."""
    alpha = 1 - CONFIDENCE
    found: list[dict[str, Any]] = []
    for metric in METRICS:
        for name, world, by_group in CASES:
            share = accepted(metric, world, by_group, worlds=worlds, resamples=resamples)
            wanted = f"at most {alpha:.0%}" if by_group or not world.groups else "no promise"
            found.append({"case": f"equal models, {name}", "metric": metric, "accepted": share, "wanted": wanted})
        world, true = with_detectable_gain(metric, 400_000)
        share = accepted(metric, world, False, worlds=worlds, resamples=resamples)
        case = f"better by the detectable {true:.4f}, {world.rows} rows"
        found.append({"case": case, "metric": metric, "accepted": share, "wanted": f"{POWER:.0%}"})
    errors = [sqrt(one["accepted"] * (1 - one["accepted"]) / worlds) for one in found]
    table = Table(
        title=f"Acceptance by the superiority rule at {CONFIDENCE:.0%}, in {worlds:,} worlds",
        heads=("metric", "case", "accepted", "Monte Carlo error", "wanted"),
        rows=tuple(
            (one["metric"], one["case"], f"{one['accepted']:.2%}", f"{error:.2%}", one["wanted"])
            for one, error in zip(found, errors, strict=True)
        ),
        notes=("Days and entities err together: resampled row by row, equal models are accepted too often.",),
    )
    return table, {"worlds": worlds, "resamples": resamples, "runs": found}
