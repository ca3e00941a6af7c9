"""How often the row of blocks of a champion that never changes is called decayed in a year, and how late one that does.

Nothing here is a matter of speed. Every stream has 14 blocks of reference and 364 in service, is looked at every day,
and nothing is allowed for: a bound makes false calls rarer.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

from benchmarks.report import Table

if TYPE_CHECKING:
    import numpy as np

    from airflow_mlops.core.arrays import Array

REFERENCE, YEAR, CHANGE = 14, 364, 80
"""Blocks of reference, in service, and in service before a change."""
FIRST_LOOK, LATER = 20, 60
"""Blocks in service after which a champion that cured a change is first asked whether it goes on, and last."""


def neighbours(rng: np.random.Generator, dependence: float, count: int) -> Array:
    """Blocks of a first-order autoregression, of variance 1."""
    import numpy as np

    noise = rng.normal(size=count) * np.sqrt(1 - dependence**2)
    values = np.empty(count)
    values[0] = rng.normal()
    for place in range(1, count):
        values[place] = dependence * values[place - 1] + noise[place]
    return values


def _squared_errors(rng: np.random.Generator) -> Array:
    """Root mean squares of 250 errors of log-normal amounts: tails that no mean of a day can hide."""
    import numpy as np

    amounts = np.exp(3 + 1.2 * rng.normal(size=(REFERENCE + YEAR, 250)))
    found: Array = np.sqrt(((amounts - 41.0) ** 2).mean(axis=1))
    return found


def _few_rows(rng: np.random.Generator) -> Array:
    """Log loss of 40 labels, less what a calibrated model expects of them."""
    import numpy as np

    score = 1.2 * rng.normal(size=(REFERENCE + YEAR, 40))
    probability = 1 / (1 + np.exp(-score))
    label = rng.random(score.shape) < probability
    found: Array = -((label - probability) * score).mean(axis=1)
    return found


def _rare(rng: np.random.Generator) -> Array:
    return rng.poisson(2, REFERENCE + YEAR) * 5.0


def _weekends(rng: np.random.Generator) -> Array:
    import numpy as np

    return rng.normal(size=REFERENCE + YEAR) + (np.arange(REFERENCE + YEAR) % 7 >= 5)


STREAMS: dict[str, Callable[[np.random.Generator], Array]] = {
    "independent": lambda rng: neighbours(rng, 0.0, REFERENCE + YEAR),
    "neighbours 0.4": lambda rng: neighbours(rng, 0.4, REFERENCE + YEAR),
    "neighbours 0.7": lambda rng: neighbours(rng, 0.7, REFERENCE + YEAR),
    "log-normal errors": _squared_errors,
    "40 labels a block": _few_rows,
    "two positives a block": _rare,
    "weekends are harder": _weekends,
}


def changed(rng: np.random.Generator, size: float, dependence: float = 0.0) -> Array:
    """A stream that rises by so many standard deviations of a block."""
    values = neighbours(rng, dependence, REFERENCE + CHANGE + 120)
    values[REFERENCE + CHANGE :] += size
    return values


def calls(values: Array, *, every: int) -> int | None:
    """Return after how many blocks behind `CHANGE` a stream is called, looked at so often; None: never."""
    from airflow_mlops.core.stats.mean_rise import find_rise

    for count in range(REFERENCE + 3, len(values) + 1, every):
        found = find_rise(values[:count].tolist(), REFERENCE, 0.0)
        if found is not None and found.sure:
            return count - REFERENCE - CHANGE
    return None


def looks_at_a_cure(rng: np.random.Generator, slope: float, dependence: float) -> tuple[bool, bool]:
    """Whether a change seems to go on after a champion that learned it: at the first look, and at any of two months.

    Parameters
    ----------
    slope
        Of what goes on, in standard deviations of a block for each block; 0: the change is over.
    """
    import numpy as np

    from airflow_mlops.core.retraining.signals import GOES_ON
    from airflow_mlops.core.stats.mean_rise import chance_of_no_rise

    count = REFERENCE + LATER
    values = (neighbours(rng, dependence, count) + slope * np.arange(count)).tolist()
    ends = range(REFERENCE + FIRST_LOOK, count + 1, 7)
    chances = [chance_of_no_rise(values[:REFERENCE], values[REFERENCE:end]) for end in ends]
    asks = [chance is not None and chance <= GOES_ON for chance in chances]
    return asks[0], any(asks)


def measure(*, years: int, changes: int) -> tuple[Table, dict[str, Any]]:
    """Count the years in which a stream without a change is called, and how late one with a change is."""
    import numpy as np

    rng = np.random.default_rng(1)
    false = {name: sum(calls(make(rng), every=1) is not None for _ in range(years)) for name, make in STREAMS.items()}
    found: list[dict[str, Any]] = [{"blocks": name, "called": count / years} for name, count in false.items()]
    for dependence, size in product((0.0, 0.4, 0.7), (0.5, 1.0, 2.0, 5.0)):
        delays = [calls(changed(rng, size, dependence), every=1) for _ in range(changes)]
        late = [delay for delay in delays if delay is not None and delay >= 0]
        delay = float(np.median(late)) if late else None
        what = f"a rise of {size:g} standard deviations, neighbours {dependence:g}"
        found.append({"blocks": what, "called": len(late) / changes, "delay": delay})
    for dependence, slope in product((0.0, 0.4, 0.7), (0.0, 0.04, 0.08)):
        asked = [looks_at_a_cure(rng, slope, dependence) for _ in range(changes)]
        at_once, ever = (sum(one[place] for one in asked) / changes for place in (0, 1))
        what = "is over" if not slope else f"goes on by {slope:g} standard deviations a block"
        name = f"a cured change {what}, neighbours {dependence:g}: followed within two months"
        found.append({"blocks": name, "called": ever, "at_once": at_once})
    return Table(
        title=f"Called in a year of blocks without a change (of {years}), or in 120 after one (of {changes})",
        heads=("blocks", "called", "median delay, blocks"),
        rows=tuple((one["blocks"], f"{one['called']:.1%}", _delay(one.get("delay"))) for one in found),
        notes=("Nothing is allowed for: a bound makes false calls rarer.",),
    ), {"years": years, "changes": changes, "runs": found}


def _delay(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
