"""The champion's excess loss by blocks of event time: realised less what it expects itself of the same rows.

A loss rises with the season without the model being any worse: the rows are harder. A calibrated model knows how hard
they are, so that the difference between what it expects and what comes measures the model, and not the rows: a test of
decay on it is a sequential test of calibration (Dawid, 1982; Spiegelhalter, 1986). Where no expectation is to be had,
as for numbers, the excess is the realised metric itself.

Blocks are whole ones of the champion's own calendar, which begins where its holdout rows end: so that every look cuts
the same ones, and reports of different looks can be put together. What the holdout rows show is the reference.

References
----------
A. P. Dawid (1982), The well-calibrated Bayesian, JASA 77.
D. J. Spiegelhalter (1986), Probabilistic prediction in patient management and clinical trials, Statistics in
Medicine 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import Metric
from airflow_mlops.core.monitoring.performance import cbpe
from airflow_mlops.core.monitoring.performance.recalibrated import LineMeter, line_meter_of
from airflow_mlops.core.pipeline.predict import Predicted
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.performance import BlockExcess, PerformanceReport
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

DAY = timedelta(days=1)
FEWEST_ROWS = 20
"""Rows of a block on average: of fewer a mean is far from normal, and most metrics are not defined."""
FEWEST_BLOCKS = 8
"""Blocks of the holdout rows in which a metric has to be defined, to be taken for one of blocks of this length."""
MOST_BLOCKS = 400
"""Blocks in service that are remembered: more than a year of days."""
_LENGTHS = (1, 2, 3, 5, 7)
"""Times the shortest block: tried in turn until the metric is defined in all blocks of the holdout rows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExcessRows:
    """Predictions whose outcomes are known; n rows."""

    times: pd.Series[Any]
    judged: LabelledPredictions
    predicted: Predicted
    """The same predictions as they were made."""
    constant: LabelledPredictions | None = None
    """What a model without features says of the same rows."""

    def expected(self, calibration: cbpe.Calibration | None) -> LabelledPredictions | None:
        """The rows as the calibrated model expects them, each once for each class; None where it expects nothing."""
        if calibration is None or self.predicted.probabilities is None:
            return None
        return cbpe.expected(self.predicted, calibration, self.judged.weights)


@dataclass(frozen=True, kw_only=True, eq=False)
class ExcessMeter:
    """Measures blocks of one champion, always in the same way."""

    metric: Metric
    origin: datetime
    """Where its calendar of blocks begins, in both directions."""
    length: timedelta
    rows: float
    """Of a block, as many as there were among the holdout rows on average."""
    calibration: cbpe.Calibration | None
    line: LineMeter | None
    learned: int
    """Blocks that a retraining would learn from."""
    late: int
    """Blocks before one whose outcomes are not known when it begins."""

    def measure(self, found: ExcessRows, window: Window) -> tuple[BlockExcess, ...]:
        """Return the whole blocks in a window in which the metric is defined and that have a quarter of the usual rows.

        In the order of time.
        """
        import numpy as np

        if not len(found.times):
            return ()
        since = (found.times - self.origin) / self.length
        number = np.floor(since.to_numpy(dtype=float)).astype(int)
        numbers, block = np.unique(number, return_inverse=True)
        counts = np.bincount(block)
        realised = _values(self.metric, found.judged, block, len(numbers))
        beside = found.expected(self.calibration)
        expected = np.zeros(len(numbers))
        if beside is not None:
            expected = _values(self.metric, beside, np.repeat(block, len(found.predicted.classes)), len(numbers))
        sign = -1.0 if self.metric.greater_is_better else 1.0
        excess = sign * (realised - expected)
        gain = np.full(len(numbers), np.nan)
        if found.constant is not None:
            gain = sign * (_values(self.metric, found.constant, block, len(numbers)) - realised)
        lines = [None] * len(numbers) if self.line is None else self.line.measure(found.judged, block, len(numbers))
        blocks = []
        for place, one in enumerate(numbers):
            start = self.origin + int(one) * self.length
            whole = window.start <= start and start + self.length <= window.end
            if whole and np.isfinite(excess[place]) and 4 * counts[place] >= self.rows:
                gained = float(gain[place]) if np.isfinite(gain[place]) else None
                blocks.append(
                    BlockExcess(
                        start=start,
                        rows=int(counts[place]),
                        excess=float(excess[place]),
                        gain=gained,
                        line=lines[place],
                    )
                )
        return tuple(blocks)


def meter_of(
    spec: ModelSpec,
    champion: Champion,
    metric: Metric,
    calibration: cbpe.Calibration | None,
    held: ExcessRows | None,
) -> ExcessMeter:
    """Choose the length of the blocks: the shortest that hold enough rows, and in which the metric is defined.

    Parameters
    ----------
    held
        The holdout rows; None where they are not to be had: then by their number and span alone.
    """
    candidate = champion.candidate
    window = candidate.holdout
    span = (window.end - window.start).total_seconds()
    rate = candidate.holdout_rows / span if span else 0.0
    shortest = spec.gate.champion.block or DAY
    wanted = timedelta(seconds=FEWEST_ROWS / rate) if rate else shortest
    base = shortest * max(1, -(-wanted // shortest))
    learned = max(spec.data.window - (window.end - window.start), base)
    line = line_meter_of(metric.name, None if held is None else held.judged, calibration)
    meters = [
        ExcessMeter(
            metric=metric,
            origin=window.end,
            length=base * times,
            rows=rate * base.total_seconds() * times,
            calibration=calibration,
            line=line,
            learned=-(-learned // (base * times)),
            late=-(-spec.data.label_delay // (base * times)),
        )
        for times in _LENGTHS
    ]
    if held is None:
        return meters[0]
    return next((meter for meter in meters if _is_defined(meter, held, window)), meters[0])


def _is_defined(meter: ExcessMeter, held: ExcessRows, window: Window) -> bool:
    """Whether the metric is defined in nearly all blocks of the holdout rows, and these are enough of a reference."""
    possible = (window.end - window.start) // meter.length
    return possible >= FEWEST_BLOCKS and len(meter.measure(held, window)) >= max(FEWEST_BLOCKS, 0.8 * possible)


def earlier_blocks(
    champion: Champion, as_of: datetime, history: Iterable[PerformanceReport], length: timedelta
) -> tuple[BlockExcess, ...]:
    """Return the blocks that earlier looks at the same champion have kept, oldest first; of several, the newest look's.

    What was cut otherwise (the specification's block was changed) does not count.
    """
    known: dict[datetime, BlockExcess] = {}
    mine = [
        report
        for report in history
        if report.champion_version == champion.version
        and report.as_of < as_of
        and report.block_seconds == length.total_seconds()
    ]
    for report in sorted(mine, key=lambda report: report.as_of):
        known |= {block.start: block for block in report.blocks}
    return tuple(known[start] for start in sorted(known))


def join_blocks(
    before: Sequence[BlockExcess], now: Sequence[BlockExcess], window: Window, length: timedelta
) -> tuple[BlockExcess, ...]:
    """Put earlier blocks and those of this look together: what this look's window holds whole is this look's.

    A block that is not among this look's any more (its rows were put in quarantine) is forgotten.
    """
    kept = [one for one in before if one.start < window.start or one.start + length > window.end]
    every = sorted((*kept, *now), key=lambda one: one.start)
    return tuple(every[-MOST_BLOCKS:])


def _values(metric: Metric, judged: LabelledPredictions, block: Array, count: int) -> Array:
    """The metric of each block, shape (count,); NaN where it is not defined."""
    import numpy as np

    values: Array = metric.weighted(judged).collapse(block, count)(np.eye(count))
    return values
