"""The specification's own policy at the cadence that a new specification has: it looks every day.

A backtest with a step a day would train a model for every day, which no policy here asks for; this trains when the
controller says so.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.report import Table
from benchmarks.zoo.own import replay_own

if TYPE_CHECKING:
    from airflow_mlops.core.backtest.inputs import Inputs
    from benchmarks.zoo.measure import Zoo

LONGEST_REASON = 400
DAYS_A_YEAR = 365.25


@dataclass(frozen=True, kw_only=True)
class Day:
    """What was seen on a day, and done."""

    day: int
    as_of: str
    action: str
    promoted: bool
    rule: str
    reason: str
    drift: str
    performance: str

    @property
    def tells(self) -> bool:
        """Whether somebody was told, or something was done."""
        return self.action != "wait"


def measure_daily(zoo: Zoo, name: str) -> tuple[Table, dict[str, Any]]:
    """Replay a stream day by day; the table has each day on which something was done."""
    from benchmarks.zoo.run import open_inputs

    stream, work = zoo.stream(name), zoo.runs / f"{name}-daily"
    days = tuple(replay_days(open_inputs(stream, work, every_days=1)))
    counts = {what: dict(Counter(getattr(day, what) for day in days)) for what in ("action", "drift", "performance")}
    promoted = sum(day.promoted for day in days)
    which = {"stream": name, "seed": zoo.seed, "variant": zoo.variant}
    kept = {**which, "promoted": promoted, **counts, "days": [asdict(day) for day in days]}
    (work / "days.json").write_text(json.dumps(kept, indent=1) + "\n")
    table = Table(
        title=f"{name}, looked at every day of {len(days)}: {stream.truth.what}",
        heads=("day", "as of", "action", "promoted", "drift", "performance", "reason"),
        rows=tuple(_row(day) for day in days if day.tells),
        notes=(f"Promoted {promoted}; days by {'; '.join(f'{what}: {found}' for what, found in counts.items())}.",),
    )
    return table, kept


def make_daily_table(kept: Sequence[Mapping[str, Any]]) -> tuple[Table, dict[str, float | None]]:
    """Count what was done on streams that were looked at every day, and how often that is in a stream's year.

    Parameters
    ----------
    kept
        What `measure_daily` gives of each.

    Returns
    -------
    tuple
        The table, and of each action how often there was one a stream and year; None without a day.
    """
    years = sum(len(one["days"]) for one in kept) / DAYS_A_YEAR
    counts = {what: sum(one["action"].get(what, 0) for one in kept) for what in _ACTIONS}
    rates = {what: count / years if years else None for what, count in counts.items()}
    said = ", ".join(f"{what} {'-' if rate is None else f'{rate:.3g}'}" for what, rate in rates.items())
    table = Table(
        title=f"{len(kept)} streams looked at every day",
        heads=("stream", "seed", "days", *_ACTIONS, "promoted"),
        rows=tuple(_counts(one) for one in kept),
        notes=(f"A stream and year: {said}.",),
    )
    return table, rates


_ACTIONS = ("retrain", "escalate", "block")


def _counts(one: Mapping[str, Any]) -> tuple[str, ...]:
    done = [str(one["action"].get(what, 0)) for what in _ACTIONS]
    return one["stream"], f"{one['seed']}, {one['variant']}", str(len(one["days"])), *done, str(one["promoted"])


def replay_days(inputs: Inputs) -> Iterator[Day]:
    """Lead the specification's own policy through every day after the first model's."""
    for turn in replay_own(inputs):
        if turn.chosen.action != "start":
            yield Day(
                day=turn.step,
                as_of=f"{inputs.plan.steps[turn.step].start:%Y-%m-%d}",
                action=turn.chosen.action,
                promoted=turn.chosen.promoted,
                rule=turn.chosen.reason.partition(":")[0],
                reason=turn.chosen.reason[:LONGEST_REASON],
                drift=turn.drift,
                performance=turn.performance,
            )


def _row(day: Day) -> tuple[str, ...]:
    promoted = "yes" if day.promoted else ""
    return (str(day.day), day.as_of, day.action, promoted, day.drift, day.performance, day.reason)
