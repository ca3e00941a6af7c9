"""The losses of every model at every step, and the part of them that is known at one.

The matrix is that of Mahadevan and Mathioudakis (2024): row i, column j is the loss of the model that was trained at
step i, in the future of step j. Losses are signed here, so that less is better whatever the metric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.records.backtest import LossBlock, ModelLosses, StepLoss
from airflow_mlops.core.records.snapshot import Window

Served = Sequence[tuple[int, int]]
"""Step and version of every window that was served, in order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RowErrors:
    """How wrong a model was on each row, in order of event time."""

    times: Array
    """Event times in UTC, ``datetime64[us]``, shape (n,)."""
    errors: Array
    """1 for a wrong class and 0 for a right one; of numbers, the absolute error in units of its mean on the holdout
    rows; shape (n,)."""

    def between(self, start: datetime, end: datetime) -> Array:
        """Errors of the rows with ``start <= event time < end``, shape (m,)."""
        import numpy as np

        first, last = (np.datetime64(each.replace(tzinfo=None), "us") for each in (start, end))
        found: Array = self.errors[(self.times >= first) & (self.times < last)]
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class LossTable:
    """Losses of models by the step at which they were trained, and by the step whose future they predicted."""

    steps: tuple[Window, ...]
    """Futures of the steps: at the start of each the policies act."""
    delay: timedelta
    """From a row's event time to the time at which its label is known."""
    models: Mapping[int, ModelLosses]
    """By version; less is better."""
    trained_at: Mapping[int, int]
    """Step by version. The first version that is named of a step is the one that a policy gets which knows no more
    than the clock."""
    errors_of: Callable[[int, int], RowErrors] | None = None
    """Step and version to the errors of single rows, for those who ask."""

    @cached_property
    def first(self) -> int:
        """Step of the first model."""
        return min(self.trained_at.values())

    @cached_property
    def _losses(self) -> Mapping[tuple[int, int], StepLoss]:
        return {(version, found.step): found for version, model in self.models.items() for found in model.steps}

    @cached_property
    def weights(self) -> Mapping[int, float]:
        """Share of all rows, of each step that counts in the mean loss: all models have a loss in it."""
        rows: dict[int, int] = {}
        for step in range(self.first, len(self.steps)):
            found = [self._losses[version, step] for version, at in self.trained_at.items() if at <= step]
            if all(loss.loss is not None for loss in found):
                rows[step] = found[0].rows
        whole = sum(rows.values())
        return {step: count / whole for step, count in rows.items()} if whole else {}

    @cached_property
    def span(self) -> timedelta:
        """Length of the steps that count, together."""
        return sum((self.steps[step].end - self.steps[step].start for step in self.weights), timedelta(0))

    @property
    def every(self) -> timedelta:
        """Time between two steps."""
        return (
            self.steps[0].end - self.steps[0].start
            if len(self.steps) == 1
            else self.steps[1].start - self.steps[0].start
        )

    def trained(self, step: int) -> tuple[int, ...]:
        """Versions that were trained at a step."""
        return tuple(version for version, at in self.trained_at.items() if at == step)

    def fresh(self, step: int) -> int | None:
        """Version that a retraining at a step gives; None where nothing could be trained."""
        return next(iter(self.trained(step)), None)

    def loss(self, version: int, step: int) -> float | None:
        """Loss of a version in the future of a step; None where it is not known, or before it was trained."""
        found = self._losses.get((version, step))
        return None if found is None else found.loss

    def rows(self, step: int) -> int:
        """Labelled rows in the future of a step."""
        return next((found.rows for (_, at), found in self._losses.items() if at == step), 0)

    def mean_loss(self, served: Served) -> float | None:
        """Mean loss of what was served, weighted by rows; None where no step counts."""
        if not self.weights:
            return None
        return math.fsum(
            self.weights[step] * self._value(version, step) for step, version in served if step in self.weights
        )

    def _value(self, version: int, step: int) -> float:
        found = self.loss(version, step)
        if found is None:
            raise ValueError(f"no loss of version {version} in step {step}, which counts: it was not trained by then")
        return found

    def cut(self, as_of: datetime) -> LossTable:
        """Leave what is known at an instant: steps are as long as the blocks whose labels are known."""

        def known(found: StepLoss) -> StepLoss:
            blocks = tuple(block for block in found.blocks if block.end + self.delay <= as_of)
            loss = mean_of(blocks)
            return replace(found, rows=sum(block.rows for block in blocks), loss=loss, blocks=blocks)

        models = {
            version: replace(model, steps=tuple(map(known, model.steps))) for version, model in self.models.items()
        }
        return replace(self, models=models)

    def known(self, step: int, served: Served) -> KnownLosses:
        """What a policy may look at when it acts at a step."""
        return KnownLosses(table=self, step=step, served=tuple(served))

    def blocks(self, version: int, step: int) -> tuple[LossBlock, ...]:
        """Blocks of a version in the future of a step."""
        found = self._losses.get((version, step))
        return () if found is None else found.blocks


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownLosses:
    """What is known when a policy acts at a step: no label that comes later, and no model of a later step.

    A label is known when its row's event time lies `delay` back.
    """

    table: LossTable
    """Rules do not look at it; what they may see is handed out by the methods."""
    step: int
    served: tuple[tuple[int, int], ...]
    """Step and version of every window that was served so far."""

    @property
    def as_of(self) -> datetime:
        """Instant at which the policy acts."""
        return self.table.steps[self.step].start

    @property
    def champion(self) -> int:
        """Version that serves."""
        return self.served[-1][1]

    @property
    def since(self) -> int:
        """Step at which the champion began to serve."""
        return next(step for step, version in self.served if version == self.champion)

    @property
    def first(self) -> int:
        """Step at which the first model began to serve."""
        return self.served[0][0]

    @property
    def every(self) -> timedelta:
        """Time between two steps."""
        return self.table.every

    @property
    def remaining(self) -> int:
        """Steps from this one to the end of the span."""
        return len(self.table.steps) - self.step

    @property
    def versions(self) -> tuple[int, ...]:
        """Versions that have served, in order."""
        return tuple(dict.fromkeys(version for _, version in self.served))

    def blocks(self, version: int, step: int) -> tuple[LossBlock, ...]:
        """Blocks of a version that has served, in the future of a step, whose labels are known."""
        if version not in self.versions:
            raise ValueError(f"version {version} has not served: a policy knows nothing of it")
        limit = self.as_of - self.table.delay
        return tuple(block for block in self.table.blocks(version, step) if block.end <= limit)

    def served_blocks(self) -> tuple[LossBlock, ...]:
        """Blocks in which the champion served, whose labels are known."""
        return tuple(block for step in range(self.since, self.step) for block in self.blocks(self.champion, step))

    def new_blocks(self) -> tuple[LossBlock, ...]:
        """Those of them whose labels were not known at the step before."""
        before = self.table.steps[self.step - 1].start - self.table.delay
        return tuple(block for block in self.served_blocks() if block.end > before)

    def step_loss(self, version: int, step: int) -> float | None:
        """Mean loss of a version in what is known of the future of a step; None where nothing is."""
        return mean_of(self.blocks(version, step))

    def holdout(self, version: int) -> tuple[LossBlock, ...]:
        """Blocks of the holdout rows of a version that has served."""
        return self.table.models[self._served(version)].holdout

    def holdout_loss(self, version: int) -> float | None:
        """Loss on the holdout rows of a version that has served."""
        return self.table.models[self._served(version)].holdout_loss

    def new_errors(self) -> Array:
        """Errors of the rows that the champion predicted in service, whose labels were not known at the step before.

        In order of event time, shape (n,).
        """
        import numpy as np

        if self.table.errors_of is None:
            raise ValueError("this table has no errors of single rows")
        delay, steps = self.table.delay, self.table.steps
        start = max(steps[self.step - 1].start - delay, steps[self.since].start)
        end = self.as_of - delay
        parts = [
            self.table.errors_of(step, self.champion).between(start, end)
            for step in range(self.since, self.step)
            if steps[step].end > start and steps[step].start < end
        ]
        found: Array = np.concatenate(parts) if parts else np.empty(0)
        return found

    def _served(self, version: int) -> int:
        if version not in self.versions:
            raise ValueError(f"version {version} has not served: a policy knows nothing of it")
        return version


def mean_of(blocks: Sequence[LossBlock]) -> float | None:
    """Mean loss of blocks, weighted by rows; blocks without a loss do not count. None without any.

    Of a metric that is no mean of rows (an area under a curve) it is the mean of its values by block.
    """
    known = [(block.rows, block.loss) for block in blocks if block.loss is not None]
    rows = sum(count for count, _ in known)
    return math.fsum(count * loss for count, loss in known) / rows if rows else None


def signed(losses: ModelLosses, sign: float) -> ModelLosses:
    """Multiply every loss by a sign: -1 where more of the metric is better."""

    def turn(loss: float | None) -> float | None:
        return None if loss is None else sign * loss

    def blocks(found: Sequence[LossBlock]) -> Iterator[LossBlock]:
        return (replace(block, loss=turn(block.loss)) for block in found)

    return replace(
        losses,
        steps=tuple(replace(step, loss=turn(step.loss), blocks=tuple(blocks(step.blocks))) for step in losses.steps),
        holdout=tuple(blocks(losses.holdout)),
        holdout_loss=turn(losses.holdout_loss),
    )
