"""What a backtest replays: a specification, a span of time, and the steps at which it looks up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.windows import utc
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.types import format_duration

MOST_STEPS = 2000
"""More steps than this is a cadence that somebody mistyped."""

FEWEST_BEFORE, MOST_BEFORE = 3, 26
"""Steps before the span that a policy is tuned on: fewer tell nothing, and more are half a year of weeks to train."""
SLACK = 0.05
"""Of a training window, that may lie before the first row of the source."""

_VERSIONS, _MINUTE = 10_000, timedelta(minutes=1)
"""Numbers of versions up to which those lie that know of no change: more than there are steps."""
_REFITS = _VERSIONS // 2
"""From a version to the one that repeats its recipe on all rows."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A span of time that is cut into steps. Made by `plan_of`, which refuses what cannot be replayed."""

    spec: ModelSpec
    start: datetime
    end: datetime
    every: timedelta

    @cached_property
    def steps(self) -> tuple[Window, ...]:
        """The future of each step: from its as-of time, at which the policies act, to the next one.

        The last one ends where the plan ends; a rest of less than half a step belongs to the step before it.
        """
        starts = [self.start]
        while self.end - (starts[-1] + self.every) >= self.every / 2:
            starts.append(starts[-1] + self.every)
        ends = [*starts[1:], self.end]
        return tuple(Window(start=start, end=end) for start, end in zip(starts, ends, strict=True))

    def version_of(self, step: int, changed: datetime | None = None) -> int:
        """Number the model that is trained at a step; one that knows of a change has a number of its own.

        The change is known to the minute. It is counted from the step, so that the number says all of it.
        """
        if changed is None:
            return step + 1
        return step + 1 + _VERSIONS * max(1, int((self.steps[step].start - changed) / _MINUTE))

    def step_of(self, version: int) -> int:
        """Return the step at which a version is trained."""
        return version % _REFITS - 1

    def refit_of(self, version: int) -> int:
        """Number the model that repeats the recipe of a version on all rows (`training.refit`)."""
        return version + _REFITS

    def judged_of(self, version: int) -> int:
        """Return the version that is judged: of a refitted model the one whose recipe it repeats, else itself."""
        return version - _REFITS if version % _VERSIONS > _REFITS else version

    def changed_of(self, version: int) -> datetime | None:
        """Return the change that a version knows of."""
        minutes = version // _VERSIONS
        return self.steps[self.step_of(version)].start - minutes * _MINUTE if minutes else None

    @property
    def known(self) -> Window:
        """Every event time that the replay may look at."""
        monitoring = self.spec.monitoring
        history = max(self.spec.data.window, monitoring.window, monitoring.longest_window)
        return Window(start=self.start - history, end=self.end)


def plan_of(spec: ModelSpec, start: datetime, end: datetime, every: timedelta) -> Plan:
    """Cut a span of time into steps.

    Parameters
    ----------
    start
        As-of time of the first step: a first model is trained then, on `data.window` before it.
    end
        Where the last step's future ends.
    every
        Time between two steps.

    Raises
    ------
    DataError
        If a time has no zone, the span is empty or shorter than one step, or there are more than `MOST_STEPS`.

    Examples
    --------
    >>> from datetime import UTC
    >>> spec = ModelSpec.model_validate({
    ...     "name": "m", "owner": "o", "training": {"estimator": "sklearn.dummy.DummyClassifier"},
    ...     "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y"}})
    >>> plan = plan_of(spec, datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 4, 30, tzinfo=UTC), timedelta(days=14))
    >>> [step.start.strftime("%m-%d") for step in plan.steps], (plan.steps[-1].end - plan.steps[-1].start).days
    (['03-01', '03-15', '03-29', '04-12'], 18)
    """
    start, end = utc(start, "--from"), utc(end, "--to")
    problems = list(_problems(start, end, every))
    if problems:
        raise DataError(problems, subject=f"backtest of {spec.name}")
    return Plan(spec=spec, start=start, end=end, every=every)


def history_of(plan: Plan, earliest: datetime) -> Plan | None:
    """Return the steps before a span that its policies may be tuned on: at the same cadence, up to its start.

    Parameters
    ----------
    earliest
        Event time of the source's first row: the training window of each of the steps has rows from its beginning.

    Returns
    -------
    Plan
        Of at most `MOST_BEFORE` steps; None where there are fewer than `FEWEST_BEFORE`.
    """
    window = plan.spec.data.window
    count = min(MOST_BEFORE, (plan.start - window * (1 - SLACK) - earliest) // plan.every)
    if count < FEWEST_BEFORE:
        return None
    return Plan(spec=plan.spec, start=plan.start - count * plan.every, end=plan.start, every=plan.every)


def _problems(start: datetime, end: datetime, every: timedelta) -> Iterator[Problem]:
    step = format_duration(every)
    if every <= timedelta(0):
        yield _invalid("--every", step, "a duration above 0", "write 14d")
    elif start >= end:
        found = f"{start.isoformat()}, not before --to {end.isoformat()}"
        yield _invalid("--from", found, "a time before --to", "exchange or correct them")
    elif end - start < every:
        found = f"{format_duration(end - start)} from --from to --to"
        yield _invalid("--to", found, f"at least one step of {step}", "choose a later --to, or a shorter --every")
    elif (end - start) / every > MOST_STEPS:
        found = f"{step}, which makes {int((end - start) / every):,} steps"
        yield _invalid("--every", found, f"at most {MOST_STEPS:,} steps", "choose a longer one")


def _invalid(field: str, found: str, allowed: str, fix: str) -> Problem:
    return Problem(code=ReasonCode.TIME_INVALID, field=field, found=found, allowed=allowed, fix=fix)
