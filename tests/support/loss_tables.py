"""Matrices of losses made by hand or drawn, without a model behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from airflow_mlops.core.backtest.losses import LossTable, RowErrors
from airflow_mlops.core.records.backtest import LossBlock, ModelLosses, StepLoss
from airflow_mlops.core.records.snapshot import Window

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = 7 * DAY
BLOCKS, ROWS = 7, 20
"""Of a step; of a block."""
Loss = Callable[[int, int, int], float | None]
"""Step of the training, step that is predicted, and block of it (-1, -2, ... on the holdout), to a loss."""


def table(
    steps: int, loss: Loss, *, delay: timedelta = DAY, untrained: Sequence[int] = (), rows: Sequence[int] = ()
) -> LossTable:
    """Weeks with a model each, whose version is one above its step.

    Parameters
    ----------
    untrained
        Steps at which nothing could be trained.
    rows
        Of a block, by step; `ROWS` where it is left out.
    """
    windows = tuple(Window(start=START + n * WEEK, end=START + (n + 1) * WEEK) for n in range(steps))
    models = {
        trained + 1: ModelLosses(
            steps=tuple(_step(windows, loss, trained, used, rows) for used in range(trained, steps)),
            holdout_loss=_mean([loss(trained, trained, -1 - n) for n in range(14)]),
            holdout=tuple(_block(START + n * DAY, loss(trained, trained, -1 - n), ROWS) for n in range(14)),
            seconds=0,
        )
        for trained in range(steps)
        if trained not in untrained
    }
    return LossTable(steps=windows, delay=delay, models=models, trained_at={version: version - 1 for version in models})


def drawn(seed: int, steps: int = 10, **changes: object) -> LossTable:
    """Losses that grow with age, more so after a change half-way, in random blocks; and errors of rows to them."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.03, size=(steps, steps, 21))
    slope = rng.uniform(0, 0.05)

    def loss(trained: int, used: int, block: int) -> float:
        age = 0 if block < 0 else used - trained
        broken = block >= 0 and trained < steps // 2 <= used
        return float(max(0.01, 0.3 + slope * age + 0.3 * broken + noise[trained, used, block]))

    made = table(steps, loss, **changes)  # type: ignore[arg-type]
    return with_errors(made, seed)


def with_errors(made: LossTable, seed: int) -> LossTable:
    """Add rows, each wrong with the probability that is its block's loss."""
    from dataclasses import replace

    def errors_of(step: int, version: int) -> RowErrors:
        rng = np.random.default_rng([seed, step, version])
        blocks = made.blocks(version, step)
        times = [block.start + n * (block.end - block.start) / 40 for block in blocks for n in range(40)]
        wrong = [rng.random() < (block.loss or 0.0) for block in blocks for _ in range(40)]
        return RowErrors(
            times=np.array([time.replace(tzinfo=None) for time in times], "datetime64[us]"),
            errors=np.array(wrong, dtype=float),
        )

    return replace(made, errors_of=errors_of)


def constant(matrix: Sequence[Sequence[float]], **changes: object) -> LossTable:
    """Losses that are the same in all blocks: row i, column j, of which only j >= i is looked at."""
    return table(len(matrix), lambda trained, used, block: matrix[trained][used], **changes)  # type: ignore[arg-type]


def _step(windows: Sequence[Window], loss: Loss, trained: int, used: int, rows: Sequence[int]) -> StepLoss:
    count = rows[used] if rows else ROWS
    blocks = tuple(
        _block(windows[used].start + n * DAY, loss(trained, used, n) if count else None, count) for n in range(BLOCKS)
    )
    return StepLoss(step=used, rows=count * BLOCKS, loss=_mean([block.loss for block in blocks]), blocks=blocks)


def _block(start: datetime, loss: float | None, rows: int) -> LossBlock:
    return LossBlock(start=start, end=start + DAY, rows=rows, loss=loss)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
