"""Drift where days differ: how often a stationary stream is in drift, and whether what changes for good is found."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from benchmarks.report import Table
from tests.support.day_streams import ALIKE, ONE_HAS_HALF, DayStream, watched

DAYS = ((0.0, 0.0), (0.1, 0.0), (0.2, 0.0), (0.2, 0.6), (0.3, 0.0), (0.3, 0.6), (0.5, 0.0), (0.5, 0.6), (0.5, 0.9))
"""Standard deviation of the days' means, in that of the rows, and correlation of one day with the next."""
WORLDS = (
    *(("8 columns alike", DayStream(sd=0, rho=0, weights=ALIKE, rows=rows)) for rows in (6, 20, 100, 400)),
    *(("one of 4 has half", DayStream(sd=0, rho=0, weights=ONE_HAS_HALF, rows=rows)) for rows in (100, 400)),
    ("half of 8 independent", DayStream(sd=0, rho=0, weights=ALIKE, mixed=True)),
)
SHIFT, LOOKS = 1.0, 4


def measure(*, streams: int, weeks: int, shifted: int) -> tuple[Table, dict[str, Any]]:
    """Watch `streams` stationary streams for so many weeks, and the first weeks of `shifted` that change for good."""
    found: list[dict[str, Any]] = []
    for number, (name, world) in enumerate(WORLDS):
        for sd, rho in DAYS:
            stream = replace(world, sd=sd, rho=rho)
            still = watched(stream, streams, weeks=weeks, seed=number)
            moved = watched(replace(stream, shift=SHIFT), shifted, weeks=LOOKS, seed=100 + number)
            case = {"world": name, "rows": stream.rows, "sd": sd, "rho": rho}
            found.append({**case, "still": asdict(still), "first": moved.first, "shifted": moved.shifted})
    table = Table(
        title=f"Drift where days differ: stationary streams, and a shift of {SHIFT:g} sd",
        heads=("columns", "rows a day", "sd of days", "rho", "column", "model", "signal", "found at once", "each week"),
        rows=tuple(_row(one) for one in found),
        notes=(
            f"Weekly windows, 44 days of reference, default settings; {streams} streams of {weeks} weeks a line.",
            "sd of the days' means in that of the rows, rho the correlation of one day with the next.",
            "column, model, signal: share of windows in which a column, the model is in drift; that make a signal.",
            f"found: the mean of one column moves by {SHIFT:g} sd of the rows for good, in {shifted} streams; share in",
            f"whose first window it is in drift, and of their first {LOOKS} windows.",
        ),
    )
    return table, {"streams": streams, "weeks": weeks, "shifted": shifted, "runs": found}


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    still = (f"{one['still'][name]:.1%}" for name in ("column", "model", "signal"))
    case = (one["world"], f"{one['rows']:,}", f"{one['sd']:.1f}", f"{one['rho']:.1f}")
    return (*case, *still, f"{one['first']:.0%}", f"{one['shifted']:.0%}")
