"""How often a champion that never changes is called decayed, and how late one that says too much or too little is.

Nothing here is a matter of speed. A stream has 14 days of reference and a year in service, or `CHANGE` days and 120
after a change of what is true; a champion that was right says a probability for each row. It is looked at every second
day by the rule of the product (`core.monitoring.performance.series`), with a tenth of the gain on a constant as bound.
`itself` and `recalibrated` are the two rises that are looked for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.report import Table

if TYPE_CHECKING:
    import numpy as np

    from airflow_mlops.core.arrays import Array
    from airflow_mlops.core.records.performance import BlockExcess

REFERENCE, YEAR, CHANGE, AFTER = 14, 364, 80, 120
LEARNED, LATE = 46, 1
"""Days that a training of `data.window: 60d` learns from, and after which a label is known."""
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class World:
    """What the rows of a day are like; log odds."""

    rows: int
    middle: float = -1.0
    spread: float = 1.0
    shared: float = 0.0
    """Standard deviation of what all rows of a day have in common, and nobody knows before."""
    dependence: float = 0.0
    """Of that on the day before."""


STILL = {
    "500 rows a day": World(rows=500),
    "50 rows a day": World(rows=50),
    "20 rows a day, a twelfth positive": World(rows=20, middle=-2.5),
    "days differ by 0.2": World(rows=1_000, middle=0.0, spread=0.5, shared=0.2, dependence=0.5),
    "days differ by 0.5": World(rows=500, shared=0.5),
    "days differ by 0.5, neighbours 0.6": World(rows=500, shared=0.5, dependence=0.6),
    "days differ by 0.3, neighbours 0.7, a seventh positive": World(
        rows=200, middle=-2.0, spread=0.7, shared=0.3, dependence=0.7
    ),
}
CHANGES = {
    "what is true falls by 0.3 in log odds": (-0.3, 1.0),
    "by 0.6": (-0.6, 1.0),
    "what is true rises by 0.3 in log odds": (0.3, 1.0),
    "by 0.6 ": (0.6, 1.0),
    "features mean half as much": (-0.5, 0.5),
}
"""Level and slope of what is true over what is said."""


def days(
    rng: np.random.Generator, world: World, count: int, change: tuple[int, float, float] | None = None
) -> list[BlockExcess]:
    """Return the blocks of a champion that was right.

    Parameters
    ----------
    change
        From which day on what is true has which level and slope over what is said; None: never.
    """
    import numpy as np
    from scipy.special import expit

    blocks, effect = [], rng.normal() * world.shared
    for number in range(count):
        effect = world.dependence * effect + world.shared * np.sqrt(1 - world.dependence**2) * rng.normal()
        place = rng.normal(world.middle, world.spread, world.rows)
        level, slope = change[1:] if change is not None and number >= change[0] else (0.0, 1.0)
        label = (rng.random(world.rows) < expit(level + slope * place + effect)).astype(int)
        blocks.append(block_of(number, expit(place), label, constant=float(expit(world.middle))))
    return blocks


def block_of(day: int, said: Array, label: Array, *, constant: float) -> BlockExcess:
    """Return the block of a day, of log loss.

    Parameters
    ----------
    said, label
        Probabilities of the positive class, and what came; shape (rows,).
    constant
        The probability that the trivial model says.
    """
    import numpy as np

    from airflow_mlops.core.metrics.labelled import LabelledPredictions
    from airflow_mlops.core.metrics.measure import METRICS
    from airflow_mlops.core.monitoring.performance.recalibrated import LineMeter
    from airflow_mlops.core.records.performance import BlockExcess

    log_loss = METRICS["log_loss"]
    judged, trivial = (
        LabelledPredictions("binary", label, (one > 0.5).astype(int), np.column_stack([1 - one, one]))
        for one in (said, np.full(len(said), constant))
    )
    expects = float(-(said * np.log(said) + (1 - said) * np.log1p(-said)).mean())
    loss = log_loss(judged)
    (line,) = LineMeter(metric="log_loss", calibration=None).measure(judged, np.zeros(len(said), int), 1)
    begins = START + timedelta(days=day)
    gain = log_loss(trivial) - loss
    return BlockExcess(start=begins, rows=len(said), excess=loss - expects, gain=gain, line=line)


def first_call(blocks: list[BlockExcess], *, from_day: int, every: int) -> tuple[int, str] | None:
    """Return the day on which decay is first called, and beside what; None: never."""
    from airflow_mlops.core.monitoring.performance.series import series_of

    gains = [one.gain for one in blocks[:REFERENCE] if one.gain is not None]
    bound = max(0.1 * sum(gains) / len(gains), 1e-4)
    for count in range(from_day, len(blocks) + 1, every):
        seen = tuple(blocks[REFERENCE:count])
        found = series_of(blocks[:REFERENCE], seen, bound, 5 * bound, new=1, learned=LEARNED, late=LATE)
        if found.rise is not None and found.sure:
            return count, found.rise.beside
    return None


def measure(*, years: int, changes: int) -> tuple[Table, dict[str, Any]]:
    """Count the years in which a stream without a change is called, and how late one with a change is."""
    import numpy as np

    rng = np.random.default_rng(1)
    found: list[dict[str, Any]] = []
    for name, world in STILL.items():
        streams = [days(rng, world, REFERENCE + YEAR) for _ in range(years)]
        calls = [first_call(one, from_day=REFERENCE + 3, every=2) for one in streams]
        found.append({"stream": name, **_counted(calls, years)})
    for name, change in CHANGES.items():
        begins = REFERENCE + CHANGE
        streams = [days(rng, World(rows=500), begins + AFTER, (begins, *change)) for _ in range(changes)]
        calls = [first_call(one, from_day=begins, every=1) for one in streams]
        delays = [call[0] - begins for call in calls if call is not None]
        found.append(
            {"stream": name, **_counted(calls, changes), "delay": float(np.median(delays)) if delays else None}
        )
    return Table(
        title=f"Called decayed: in a year without a change (of {years}), in {AFTER} days after one (of {changes})",
        heads=("stream", "called", "by itself", "recalibrated", "median delay, days"),
        rows=tuple(
            (
                one["stream"].strip(),
                *(f"{one[what]:.0%}" for what in ("called", "itself", "recalibrated")),
                "" if one.get("delay") is None else f"{one['delay']:.0f}",
            )
            for one in found
        ),
        notes=("By which of the two rises it was called first.", "A bound of a tenth of the gain on a constant."),
    ), {"years": years, "changes": changes, "runs": found}


def _counted(calls: list[tuple[int, str] | None], of: int) -> dict[str, float]:
    beside = Counter(call[1] for call in calls if call is not None)
    return {
        "called": sum(beside.values()) / of,
        "itself": beside["itself"] / of,
        "recalibrated": beside["recalibrated"] / of,
    }
