"""How far estimates without outcomes are from what is realised, where nothing changes and where only inputs do."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.report import Table
from tests.support.estimate_worlds import CONFIDENCE, WORLDS, compare


def measure(*, worlds: int) -> tuple[Table, dict[str, Any]]:
    """Compare estimate and truth in so many worlds of each kind."""
    found: list[dict[str, Any]] = []
    for place, world in enumerate(WORLDS):
        seen = [compare(world, np.random.default_rng([place, number])) for number in range(worlds)]
        ratio = np.array([one.ratio for one in seen])
        found.append(
            {
                "world": world.name,
                "metric": "log_loss" if world.classes else "rmse",
                "rows a day": world.rows,
                "mean": float(ratio.mean()),
                "low": float(np.quantile(ratio, 0.05)),
                "high": float(np.quantile(ratio, 0.95)),
                "off by more than 10 %": float((np.abs(ratio - 1) > 0.1).mean()),
                "inside": float(np.mean([one.inside for one in seen])),
            }
        )
    table = Table(
        title=f"Estimate over realised, 30 days, {worlds} worlds each",
        heads=("metric", "world", "rows a day", "mean", "5 % to 95 %", "off by more than 10 %", "inside the interval"),
        rows=tuple(
            (
                one["metric"], one["world"], str(one["rows a day"]), f"{one['mean']:.3f}",
                f"{one['low']:.3f} to {one['high']:.3f}", f"{one['off by more than 10 %']:.0%}", f"{one['inside']:.0%}",
            )
            for one in found
        ),
        notes=(f"Each bound of the interval is one-sided at {CONFIDENCE:.0%}: {2 * CONFIDENCE - 1:.0%} are promised.",),
    )  # fmt: skip
    return table, {"worlds": worlds, "runs": found}
