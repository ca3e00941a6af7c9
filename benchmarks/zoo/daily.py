"""The specification's own policy at the cadence that a new specification has: it looks every day.

A backtest with a step a day would train a model for every day, which no policy here asks for; this trains when the
controller says so.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, cast

from benchmarks.report import Table

if TYPE_CHECKING:
    from airflow_mlops.core.backtest.inputs import Inputs
    from airflow_mlops.core.records.backtest import Trained
    from benchmarks.zoo.measure import Zoo

LONGEST_REASON = 400


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


class _LazyTrained:
    """The model of a step, which is trained when somebody looks at it."""

    def __init__(self, inputs: Inputs, version: int) -> None:
        self._inputs, self._version = inputs, version

    def __getattr__(self, name: str) -> Any:
        from airflow_mlops.core.backtest.tasks import train

        return getattr(train(self._inputs, self._version), name)


def measure_daily(zoo: Zoo, name: str) -> tuple[Table, dict[str, Any]]:
    """Replay a stream day by day; the table has each day on which something was done."""
    from benchmarks.zoo.run import open_inputs

    stream, work = zoo.stream(name), zoo.runs / f"{name}-daily"
    days = tuple(replay_days(open_inputs(stream, work, every_days=1)))
    counts = {what: dict(Counter(getattr(day, what) for day in days)) for what in ("action", "drift", "performance")}
    promoted = sum(day.promoted for day in days)
    kept = {"stream": name, "seed": zoo.seed, "promoted": promoted, **counts, "days": [asdict(day) for day in days]}
    (work / "days.json").write_text(json.dumps(kept, indent=1) + "\n")
    table = Table(
        title=f"{name}, looked at every day of {len(days)}: {stream.truth.what}",
        heads=("day", "as of", "action", "promoted", "drift", "performance", "reason"),
        rows=tuple(_row(day) for day in days if day.tells),
        notes=(f"Promoted {promoted}; days by {'; '.join(f'{what}: {found}' for what, found in counts.items())}.",),
    )
    return table, kept


def replay_days(inputs: Inputs) -> Iterator[Day]:
    """Lead the specification's own policy through every step after the first, and train only what it asks for.

    Raises
    ------
    ValueError
        If the first step trained no model: then there is none to watch.
    """
    from airflow_mlops.core.backtest.policies import ControlledPolicy, PolicyContext
    from airflow_mlops.core.backtest.tasks import train

    policy, served = ControlledPolicy(inputs, inputs.spec), [(0, 1)]
    names = {field.name for field in fields(PolicyContext)}
    first = train(inputs, 1)
    if first.outcome != "trained":
        raise ValueError(f"the first day trains no model: {'; '.join(first.problems[:3])}")
    for step, window in enumerate(inputs.plan.steps[1:], 1):
        given: dict[str, Any] = {
            "step": step,
            "as_of": window.start,
            "trained": cast("Trained", _LazyTrained(inputs, step + 1)),
            "version": step + 1,
            "served": tuple(served),
        }
        # With --code this runs other working trees, in which a version is not always a field, and not always chosen.
        chosen = policy(PolicyContext(**{name: value for name, value in given.items() if name in names}))
        version = getattr(chosen, "version", 0) or step + 1
        served.append((step, version if chosen.promoted else served[-1][1]))
        yield Day(
            day=step,
            as_of=f"{window.start:%Y-%m-%d}",
            action=chosen.action,
            promoted=chosen.promoted,
            rule=chosen.reason.partition(":")[0],
            reason=chosen.reason[:LONGEST_REASON],
            drift=policy.drift[0].verdict,
            performance=policy.performance[0].verdict,
        )


def _row(day: Day) -> tuple[str, ...]:
    promoted = "yes" if day.promoted else ""
    return (str(day.day), day.as_of, day.action, promoted, day.drift, day.performance, day.reason)
