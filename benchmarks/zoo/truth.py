"""What a stream is made of: rows whose truth is known, that truth, and the numbers that may be drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

Kind = Literal["stable", "harmless", "decay", "sudden", "recurring", "fault", "growth"]
Task = Literal["binary", "multiclass", "regression"]
Floats: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = Mapping[str, Any]
"""Rates, sizes, days and magnitudes of a stream by name: floats, and integers where the shared one is one."""

HISTORY = 95
"""Days of rows before the replay: enough for the longest window."""
EVERY = 7
"""Days between two steps."""
CLASSIFIER = "sklearn.ensemble.HistGradientBoostingClassifier"
REGRESSOR = "sklearn.ensemble.HistGradientBoostingRegressor"
LINE = "sklearn.linear_model.Ridge"


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What happens, in days after the replay's start, and what is expected of the loop."""

    kind: Kind
    what: str
    learn: tuple[tuple[float, float], ...] = ()
    """Spans (after this day, up to this one) in which the oracle retrains at every step."""
    fault: tuple[float, float] | None = None
    """From this day, and before this one, rows are broken."""
    change: float | None = None
    """Day of the first change."""
    most_retrainings: int = 0
    label_delay: float = 1.0
    """Days."""
    escalation_ok: bool = False
    point_loss_day: float | None = None
    """Day by which a model that is never trained again would have lost 5 points of accuracy; None: it never does."""

    @property
    def block_wanted(self) -> bool:
        """Whether there are windows that ought to be blocked."""
        return self.fault is not None


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Rows in order of time, their truth, and what the specification says that a new user's would not."""

    frame: pd.DataFrame
    truth: Truth
    task: Task = "binary"
    estimator: str = CLASSIFIER
    window_days: int = 60
    key: str = "id"


@dataclass(frozen=True, kw_only=True)
class Span:
    """How long a stream is replayed."""

    start: date
    weeks: int = 52

    @property
    def end(self) -> date:
        """Where the last step's future ends."""
        return self.start + timedelta(days=self.days)

    @property
    def days(self) -> int:
        """Days of the replay."""
        return self.weeks * EVERY

    @property
    def all_days(self) -> int:
        """Days that have rows: the replay's, and those before it."""
        return HISTORY + self.days


Maker: TypeAlias = Callable[[np.random.Generator, Span, Numbers], Stream]

# -- numbers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """A number of the shared zoo, and between which bounds another zoo draws it."""

    shared: float
    low: float
    high: float
    is_day: bool = False
    """A day of a replay of 52 weeks: in a shorter one it comes as much sooner."""

    def draw(self, rng: np.random.Generator) -> float:
        """Uniform; a whole number where the shared one is."""
        if isinstance(self.shared, int):
            return int(rng.integers(int(self.low), int(self.high) + 1))
        return float(rng.uniform(self.low, self.high))

    def fit(self, value: float, span: Span) -> float:
        """What a number is in a replay of this length."""
        return round(value * span.weeks / 52) if self.is_day else value


@dataclass(frozen=True)
class Choice:
    """A number that is one of a few."""

    shared: float
    among: tuple[float, ...]

    def draw(self, rng: np.random.Generator) -> float:
        """Each is as likely as any other."""
        return self.among[int(rng.integers(len(self.among)))]

    def fit(self, value: float, span: Span) -> float:  # noqa: ARG002 - as for a range
        """Return it as it is."""
        return value


# -- rows -------------------------------------------------------------------------------------------------------------


def draw_times(
    rng: np.random.Generator, rows_a_day: float, span: Span, spread: float = 0.15
) -> tuple[pd.DatetimeIndex, Floats]:
    """Draw event times: a Poisson number of rows a day, whose mean itself differs from day to day.

    Parameters
    ----------
    spread
        Standard deviation of the logarithm of a day's mean.

    Returns
    -------
    tuple
        Sorted times, and each one's day after the start of the replay (negative before it); both of shape `(rows,)`.
    """
    mean = rows_a_day * np.exp(rng.normal(0, spread, span.all_days) - spread**2 / 2)
    day = np.repeat(np.arange(span.all_days), np.maximum(1, rng.poisson(mean)))
    seconds = rng.integers(0, 86400, len(day))
    order = np.lexsort((seconds, day))
    day, seconds = day[order] - HISTORY, seconds[order]
    times = midnight(span) + pd.to_timedelta(day, unit="D") + pd.to_timedelta(seconds, unit="s")
    return pd.DatetimeIndex(times), day + seconds / 86400


def midnight(span: Span) -> pd.Timestamp:
    """Instant at which the replay starts."""
    return pd.Timestamp(span.start, tz="UTC")


def make_frame(times: pd.DatetimeIndex, **columns: Any) -> pd.DataFrame:
    """Put columns beside a key `id` and the `event_time`."""
    frame = pd.DataFrame(columns)
    frame.insert(0, "event_time", times)
    frame.insert(0, "id", np.arange(len(frame)))
    return frame


def draw_labels(rng: np.random.Generator, logits: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Draw 0 or 1, with log odds `logits`."""
    chances = 1 / (1 + np.exp(-np.asarray(logits, dtype=float)))
    found: npt.NDArray[np.int64] = (rng.random(len(chances)) < chances).astype(int)
    return found


def draw_turned(rng: np.random.Generator, angle: Floats, noise: float) -> dict[str, Any]:
    """Draw three Gaussian inputs, and a label that is the side of a line through the first two.

    Parameters
    ----------
    angle
        Of the line, in radians, at each row. A model that learned it at 0 is wrong on `angle / pi` of the rows more.
    noise
        Share of the labels that are turned over.
    """
    x1, x2, x3 = rng.normal(size=(3, len(angle)))
    side = np.cos(angle) * x1 + np.sin(angle) * x2 > 0
    label = np.where(rng.random(len(angle)) < noise, ~side, side).astype(int)
    return {"x1": x1, "x2": x2, "x3": x3, "label": label}


def ramp(day: Floats, start: float, end: float) -> Floats:
    """0 up to the day `start`, 1 from the day `end` on, and a straight line between them."""
    found: Floats = np.clip((day - start) / (end - start), 0, 1)
    return found


def look_up(names: npt.ArrayLike, values: Mapping[str, float]) -> Floats:
    """Value of each name."""
    return np.array([values[name] for name in np.asarray(names).tolist()], dtype=float)


def day_of_loss(start: float, end: float, angle: float, noise: float) -> float | None:
    """Day on which a line that turns from one day to another has cost a fixed model 5 points of accuracy.

    A turn by `angle` costs `(1 - 2 noise) angle / pi`: see `draw_turned`.
    """
    share = 0.05 / ((1 - 2 * noise) * angle / np.pi)
    return float(start + share * (end - start)) if share < 1 else None


def most_for(days: float) -> int:
    """Retrainings that a change which takes so long may ask for: one in twenty days."""
    return int(days // 20)
