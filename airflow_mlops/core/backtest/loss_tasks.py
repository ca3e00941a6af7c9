"""Measure the losses of every model at every step: the matrix that the oracle and the peers go by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array, finite_or_none
from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.losses import LossTable, RowErrors, signed
from airflow_mlops.core.backtest.plan import FEWEST_BEFORE
from airflow_mlops.core.backtest.tasks import look_settings, serving_version, train
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.backtest import LossBlock, ModelLosses, StepLoss, Trained
from airflow_mlops.core.records.snapshot import Window

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlops.core.metrics.labelled import LabelledPredictions
    from airflow_mlops.core.metrics.measure import Metric

LONGEST_BLOCK = timedelta(days=1)


def measure_losses(inputs: Inputs, version: int) -> ModelLosses:
    """What a version achieves in the futures of its own step and of every later one, and on its holdout.

    By the labels as they are known in the end; `LossTable` says what of it is known when. A step that a model cannot
    predict has no loss.
    """

    def compute() -> ModelLosses:
        steps = range(inputs.plan.step_of(version), len(inputs.plan.steps))
        # A refitted model has learned from the holdout: what is known of it is what its recipe achieved there.
        judged = inputs.plan.judged_of(version)
        loss, blocks = _measure(inputs, judged, inputs.candidate(judged).holdout, _holdout(inputs, judged))
        return ModelLosses(
            steps=tuple(_step_loss(inputs, version, step) for step in steps),
            holdout_loss=loss,
            holdout=blocks,
            seconds=0,
        )

    on = [version, look_settings(inputs.spec)]
    return inputs.cache.remember(ModelLosses, f"losses of version {version}", on, compute)


def measure_served(inputs: Inputs, version: int) -> ModelLosses:
    """Measure what serves when a version is promoted unseen: itself, or its refit (`training.refit`)."""
    return measure_losses(inputs, _served(inputs, version))


def _served(inputs: Inputs, version: int) -> int:
    return serving_version(inputs, inputs.spec, version, None, gated=False)[0]


def _step_loss(inputs: Inputs, version: int, step: int) -> StepLoss:
    rows = 0
    try:
        found = inputs.future(step, inputs.candidate(version))
        rows = len(found[0])
        loss, blocks = _measure(inputs, version, inputs.plan.steps[step], found)
    except DataError:  # rows that this model cannot predict from: the step counts for no policy
        return StepLoss(step=step, rows=rows, loss=None, blocks=())
    return StepLoss(step=step, rows=rows, loss=loss, blocks=blocks)


def _holdout(inputs: Inputs, version: int) -> tuple[pd.DataFrame, pd.Series[Any]]:
    from airflow_mlops.core.rows.labels import clean_labels
    from airflow_mlops.core.rows.windows import rows_within

    candidate, (_, frame) = inputs.candidate(version), inputs.rows(version)
    held = rows_within(frame, inputs.spec.data.time, candidate.holdout)
    return clean_labels(inputs.spec, held, candidate.task != "regression")


def _measure(
    inputs: Inputs, version: int, window: Window, rows: tuple[pd.DataFrame, pd.Series[Any]]
) -> tuple[float | None, tuple[LossBlock, ...]]:
    """Return a version's primary metric on rows, whole and in blocks."""
    import numpy as np

    frame, labels = rows
    windows = cut_window(window, min(LONGEST_BLOCK, inputs.plan.every))
    if not len(frame):
        return None, tuple(LossBlock(start=part.start, end=part.end, rows=0, loss=None) for part in windows)
    metric, judged = _judged(inputs, version, frame, labels)
    block = _block_of(frame[inputs.spec.data.time], windows)
    counts = np.bincount(block, minlength=len(windows))
    values = metric.weighted(judged).collapse(block, len(windows))(np.eye(len(windows)))
    return finite_or_none(metric(judged)), tuple(
        LossBlock(start=part.start, end=part.end, rows=int(count), loss=finite_or_none(value) if count else None)
        for part, count, value in zip(windows, counts.tolist(), values.tolist(), strict=True)
    )


def cut_window(window: Window, length: timedelta) -> tuple[Window, ...]:
    """Cut a window into blocks of a length; the last one ends where the window does.

    >>> from datetime import UTC, datetime
    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> parts = cut_window(Window(start=start, end=start + timedelta(hours=60)), timedelta(days=1))
    >>> [int((part.end - part.start) / timedelta(hours=1)) for part in parts]
    [24, 24, 12]
    """
    count = -(-(window.end - window.start) // length)
    edges = [*(window.start + number * length for number in range(count)), window.end]
    return tuple(Window(start=start, end=end) for start, end in pairwise(edges))


def _block_of(times: pd.Series[Any], windows: Sequence[Window]) -> Array:
    """Number of each row's block, shape (n,)."""
    import numpy as np
    import pandas as pd

    starts = _microseconds(pd.Series([part.start for part in windows]))
    found: Array = np.searchsorted(starts, _microseconds(times), side="right") - 1
    return found


def _microseconds(times: pd.Series[Any]) -> Array:
    import pandas as pd

    index = pd.DatetimeIndex(times)
    found: Array = (index if index.tz is None else index.tz_convert(None)).as_unit("us").to_numpy().astype("int64")
    return found


def _judged(
    inputs: Inputs, version: int, frame: pd.DataFrame, labels: pd.Series[Any]
) -> tuple[Metric, LabelledPredictions]:
    from airflow_mlops.core.metrics import measure as metric
    from airflow_mlops.core.pipeline.predict import predict
    from airflow_mlops.core.rows.weights import row_weights

    candidate = inputs.candidate(version)
    (weights,) = row_weights(inputs.spec, frame)
    predicted = predict(inputs.pipeline(version), frame, candidate)
    primary = metric.metrics_of(inputs.spec)[metric.primary(inputs.spec, candidate.task)]
    return primary, metric.judge(labels, predicted, None, weights)


# -- the table --------------------------------------------------------------------------------------------------------


def table_of(inputs: Inputs, served: Sequence[int] = ()) -> LossTable:
    """Put the losses of every step's model together; all of them were measured before, or are now.

    Parameters
    ----------
    served
        Versions that serve in a replay: those among them that no policy without a gate and without knowledge of a
        change would be given (models of a change, models whose refit was refused) come after the others.
    """
    from airflow_mlops.core.metrics import measure as metric

    plan, spec = inputs.plan, inputs.spec
    own = [_served(inputs, version) for version in _own_versions(inputs)]
    versions = tuple(dict.fromkeys((*own, *served)))
    task = inputs.candidate(own[0]).task
    greater = metric.metrics_of(spec)[metric.primary(spec, task)].greater_is_better
    return LossTable(
        steps=plan.steps,
        delay=spec.data.label_delay,
        models={version: signed(measure_losses(inputs, version), -1.0 if greater else 1.0) for version in versions},
        trained_at={version: plan.step_of(version) for version in versions},
        errors_of=lru_cache(maxsize=4 * len(plan.steps))(lambda step, version: row_errors(inputs, step, version)),
    )


def _own_versions(inputs: Inputs) -> list[int]:
    """Versions of the steps that trained one, which know of no change."""
    versions = range(1, len(inputs.plan.steps) + 1)
    return [version for version in versions if train(inputs, version).outcome == "trained"]


def losses_before(inputs: Inputs) -> LossTable | None:
    """Losses in the steps before the span, as far as they are known when it begins; None where too few are."""
    before = inputs.history
    if before is None or not _own_versions(before):
        return None
    found = table_of(before).cut(before.plan.end)
    return found if len(found.weights) >= FEWEST_BEFORE else None


def train_before(inputs: Inputs, version: int) -> Trained:
    """Train a version of the steps before the span."""
    return train(_before(inputs), version)


def measure_served_before(inputs: Inputs, version: int) -> ModelLosses:
    """Measure what serves when a version of the steps before the span is promoted."""
    return measure_served(_before(inputs), version)


def _before(inputs: Inputs) -> Inputs:
    if inputs.history is None:
        raise ValueError("this backtest has no steps before its span: nobody may ask for them")
    return inputs.history


def row_errors(inputs: Inputs, step: int, version: int) -> RowErrors:
    """How wrong a version is on each row of a step's future, in order of event time."""
    import numpy as np

    candidate = inputs.candidate(version)
    try:
        frame, labels = inputs.future(step, candidate)
        if not len(frame):
            return RowErrors(times=np.empty(0, "datetime64[us]"), errors=np.empty(0))
        _, judged = _judged(inputs, version, frame, labels)
    except DataError:  # rows that this model cannot predict from
        return RowErrors(times=np.empty(0, "datetime64[us]"), errors=np.empty(0))
    times = _microseconds(frame[inputs.spec.data.time])
    order = np.argsort(times, kind="stable")
    return RowErrors(
        times=times[order].astype("datetime64[us]"), errors=(_errors(judged) / _unit(inputs, version))[order]
    )


def _errors(judged: LabelledPredictions) -> Array:
    import numpy as np

    if judged.task == "regression":
        found: Array = np.abs(judged.y_true - judged.y_pred)
        return found
    return np.asarray(judged.y_true != judged.y_pred, dtype=float)


def _unit(inputs: Inputs, version: int) -> float:
    """Mean absolute error of a regression on its holdout, so that its errors have no unit; 1 of classes."""
    if inputs.candidate(version).task != "regression":
        return 1.0
    origin = inputs.plan.judged_of(version)
    _, judged = _judged(inputs, origin, *_holdout(inputs, origin))
    return float(_errors(judged).mean()) or 1.0
