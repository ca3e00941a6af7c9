"""How often a shadow challenger calls for a retraining: where nothing changes, and where something does.

Nothing here is a matter of speed. A stream of labels has three features and what all rows of a day have in common and
nobody knows before. A champion learns 46 days, is judged on the next 14, and serves a year; `changes` turn what the
first feature means, all at once or a little each day. Every second day it is looked at by the rules of the product:
`core.monitoring.performance.series` calls decay, `core.retraining.shadow` says when a fresh model is compared, and
`core.stats.bootstrap`, at the gate's confidence and in blocks of a day, whether it is surely better. Decay is not acted
upon here, so that both columns are of the same years.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.recalibration import START, block_of
from benchmarks.report import Table

if TYPE_CHECKING:
    import numpy as np

    from airflow_mlops.core.arrays import Array
    from airflow_mlops.core.metrics.labelled import LabelledPredictions
    from airflow_mlops.core.records.performance import BlockExcess

LEARNED, HOLDOUT, YEAR, CHANGE = 46, 14, 364, 120
"""Days that a training learns from and is judged on, in service, and in service before something changes."""
EVERY = 2
"""Days from one look to the next."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What the rows of a day are like; log odds."""

    rows: int = 300
    shared: float = 0.0
    """Standard deviation of what all rows of a day have in common."""
    dependence: float = 0.0
    """Of that on the day before."""
    turn: float = 0.0
    """By which what the first feature means has fallen at the end of a change."""
    over: int = 1
    """Days that the change takes."""


WORLDS = {
    "nothing changes": World(),
    "nothing changes, 50 rows a day": World(rows=50),
    "nothing changes, days differ by 0.5": World(shared=0.5),
    "nothing changes, days differ by 0.5, neighbours 0.6": World(shared=0.5, dependence=0.6),
    "a feature means half as much at once": World(turn=0.5),
    "... and days differ by 0.5": World(turn=0.5, shared=0.5),
    "... and days differ by 0.5, neighbours 0.6": World(turn=0.5, shared=0.5, dependence=0.6),
    "a feature means nothing any more, over 120 days": World(turn=1.0, over=120),
    "... over 120 days, and days differ by 0.5": World(turn=1.0, over=120, shared=0.5),
}


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Rows of every day, and what is right about them; the first day is that on which the champion's training began."""

    features: Array
    """Shape (days, rows, 3)."""
    labels: Array
    """Shape (days, rows); 0 or 1."""


def draw(rng: np.random.Generator, world: World) -> Stream:
    """Draw a stream of as many days as a champion learns from, is judged on and serves."""
    import numpy as np
    from scipy.special import expit

    count = LEARNED + HOLDOUT + YEAR
    features = rng.normal(size=(count, world.rows, 3))
    effects, effect = np.empty(count), rng.normal() * world.shared
    for day in range(count):
        effect = world.dependence * effect + world.shared * np.sqrt(1 - world.dependence**2) * rng.normal()
        effects[day] = effect
    begins = LEARNED + HOLDOUT + CHANGE
    turned = np.clip((np.arange(count) - begins + 1) / world.over, 0, 1) * world.turn
    odds = (1 - turned)[:, None] * features[:, :, 0] + 0.5 * features[:, :, 1] - 1 + effects[:, None]
    return Stream(features=features, labels=(rng.random(odds.shape) < expit(odds)).astype(int))


def learn(stream: Stream, end: int) -> Any:
    """Return a model of the days that a training learns from which is judged on the days up to `end`."""
    from sklearn.linear_model import LogisticRegression

    days = slice(max(0, end - HOLDOUT - LEARNED), end - HOLDOUT)
    return LogisticRegression().fit(stream.features[days].reshape(-1, 3), stream.labels[days].ravel())


def said(model: Any, stream: Stream, first: int, last: int) -> LabelledPredictions:
    """What a model says of the rows of days, beside what was true."""
    from airflow_mlops.core.metrics.labelled import LabelledPredictions

    probabilities = model.predict_proba(stream.features[first:last].reshape(-1, 3))
    return LabelledPredictions("binary", stream.labels[first:last].ravel(), probabilities.argmax(axis=1), probabilities)


def blocks_of(model: Any, stream: Stream) -> list[BlockExcess]:
    """The blocks of a champion, a day each: of its holdout, and then of its service."""
    rate = float(stream.labels[:LEARNED].mean())
    days = range(LEARNED, len(stream.labels))
    judged = [said(model, stream, day, day + 1) for day in days]
    return [block_of(day, one.known[:, 1], one.y_true, constant=rate) for day, one in zip(days, judged, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Year:
    """On which day of service what happened first; None: never."""

    decay: int | None
    shadow: int | None
    looks: int
    """How many shadow challengers were trained up to the first that is better, or in the year."""


def live(stream: Stream) -> Year:
    """Serve a year, and look at it by the rules of the product."""
    import numpy as np

    from airflow_mlops.core.metrics.measure import METRICS
    from airflow_mlops.core.monitoring.performance.series import series_of
    from airflow_mlops.core.records.retraining import History, MonitoringInput
    from airflow_mlops.core.records.shadow import ShadowReport
    from airflow_mlops.core.records.snapshot import Window
    from airflow_mlops.core.retraining.shadow import is_time
    from airflow_mlops.core.retraining.signals import signals_of
    from airflow_mlops.core.stats.bootstrap import gain
    from tests.support.builders import make_candidate, make_champion, make_spec
    from tests.support.retrain_cases import performance

    born = START + timedelta(days=LEARNED + HOLDOUT)
    spec = make_spec(
        data={"window": f"{LEARNED + HOLDOUT}d"}, gate={"holdout": f"{HOLDOUT}d"}, retraining={"on_shadow": True}
    )
    champion, model = make_champion(make_candidate(born)), learn(stream, LEARNED + HOLDOUT)
    blocks = blocks_of(model, stream)
    bound = max(0.1 * float(np.mean([one.gain for one in blocks[:HOLDOUT] if one.gain is not None])), 1e-4)
    history, decay, looks = History(), None, 0
    for day in range(HOLDOUT + 4, len(blocks) + 1, EVERY):
        seen = tuple(blocks[HOLDOUT:day])
        found = series_of(blocks[:HOLDOUT], seen, bound, 5 * bound, new=1, learned=LEARNED, late=0)
        if found.sure and decay is None:
            decay = day - HOLDOUT
        now = START + timedelta(days=LEARNED + day)
        report = replace(
            performance("ok", now),
            rise=found.rise,
            champion_version=champion.version,
            bound=bound,
            reference=tuple(blocks[:HOLDOUT]),
            blocks=seen,
        )
        watched = MonitoringInput(performance=report)
        if not is_time(spec, champion, watched, history, now):
            continue
        looks += 1
        end = LEARNED + day
        fresh = said(learn(stream, end), stream, end - HOLDOUT, end)
        theirs = said(model, stream, end - HOLDOUT, end)
        of_days = np.repeat(np.arange(HOLDOUT), stream.labels.shape[1])
        better = gain(METRICS["log_loss"], fresh, theirs, of_days, seed=day)
        shadow = ShadowReport(
            model="m",
            as_of=now,
            champion_version=champion.version,
            verdict="accept" if better.lower > 0 else "inconclusive",
            reasons=(),
            gain=better.value,
            lower=better.lower,
            window=Window(start=now - timedelta(days=HOLDOUT), end=now),
            confidence=0.95,
        )
        history = replace(history, shadows=(shadow,))
        signals = signals_of(spec, champion, replace(watched, shadow=shadow), history)
        if any(signal.kind == "shadow" and signal.state == "on" for signal in signals):
            return Year(decay=decay, shadow=day - HOLDOUT, looks=looks)
    return Year(decay=decay, shadow=None, looks=looks)


def measure(*, years: int) -> tuple[Table, dict[str, Any]]:
    """Count the years in which a retraining is called for, and after how many days of service."""
    import numpy as np

    rng = np.random.default_rng(1)
    found: list[dict[str, Any]] = []
    for name, world in WORLDS.items():
        lived = [live(draw(rng, world)) for _ in range(years)]
        shadows = [one.shadow for one in lived if one.shadow is not None]
        # Decay is only looked for until a shadow is better: of those without one, in the whole year.
        decays = [one for one in lived if one.decay is not None]
        found.append(
            {
                "stream": name,
                "changes": bool(world.turn),
                "shadow": len(shadows) / years,
                "day": float(np.median(shadows)) if shadows else None,
                "decay": len(decays) / years,
                "either": sum(one.shadow is not None or one.decay is not None for one in lived) / years,
                "looks": float(np.mean([one.looks for one in lived])),
            }
        )
    return Table(
        title=f"A year in service: a shadow challenger is surely better, and decay is called before that (of {years})",
        heads=("stream", "shadow is better", "median day", "decay before", "either", "shadows trained"),
        rows=tuple(
            (
                one["stream"],
                f"{one['shadow']:.0%}",
                "" if one["day"] is None else f"{one['day']:.0f}",
                f"{one['decay']:.0%}",
                f"{one['either']:.0%}",
                f"{one['looks']:.1f}",
            )
            for one in found
        ),
        notes=(
            f"What changes, changes from day {CHANGE} of service on. The bound is a tenth of the gain on a constant.",
            "Shadows trained: up to the first that is better, or in the whole year.",
        ),
    ), {"years": years, "runs": found}
