"""What came of a step: what the model that served achieved, and what a fresh one would have."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import finite_or_none
from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.backtest.tasks import look_settings
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.backtest import Future
from airflow_mlops.core.records.candidate import Candidate

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlops.core.metrics.measure import Metric
    from airflow_mlops.core.stats.bootstrap import Gain

POOLED = 4
"""Steps at most whose rows say together whether a fresh model is better: one alone may have too few blocks."""
CONFIDENCE = 0.95
"""At which a fresh model is surely better: fixed, so that points of a grid are measured alike."""


def measure_future(inputs: Inputs, step: int, version: int, newest: int) -> Future:
    """What a version achieves in the future of a step, by the labels as they are known in the end.

    Parameters
    ----------
    newest
        The newest version there is at the step: what a fresh model would achieve.
    """
    on = [version, step, newest, look_settings(inputs.spec)]
    return inputs.cache.remember(
        Future, f"future of version {version}", on, lambda: _compare_future(inputs, step, version, newest)
    )


def _compare_future(inputs: Inputs, step: int, version: int, newest: int) -> Future:
    from airflow_mlops.core.metrics import measure as metric
    from airflow_mlops.core.pipeline.predict import predict
    from airflow_mlops.core.rows.weights import row_weights

    mine, rows = inputs.candidate(version), 0
    try:
        frame, labels = inputs.future(step, mine)
        rows = len(frame)
        if not rows:
            return Future(rows=0, loss=None, seconds=0)
        (weights,) = row_weights(inputs.spec, frame)
        served = predict(inputs.pipeline(version), frame, mine)
        primary = metric.metrics_of(inputs.spec)[metric.primary(inputs.spec, mine.task)]
        found = Future(rows=rows, loss=finite_or_none(primary(metric.judge(labels, served, None, weights))), seconds=0)
        if newest == version:
            return found
        over = _gain_from(inputs, primary, (newest, version), step, (frame, labels))
    except DataError:  # rows that no model can predict from: the step counts for no policy
        return Future(rows=rows, loss=None, seconds=0)
    return replace(
        found, gain=finite_or_none(over.value), lower=finite_or_none(over.lower), upper=finite_or_none(over.upper)
    )


def _gain_from(
    inputs: Inputs,
    primary: Metric,
    versions: tuple[int, int],
    step: int,
    own: tuple[pd.DataFrame, pd.Series[Any]],
) -> Gain:
    """Gain of the first version over the second from a step on; by its own rows alone where later ones are broken."""
    pooled = _pooled(inputs, step, inputs.candidate(versions[1]), own)
    if pooled[0] is own[0]:
        return _gain(inputs, primary, versions, *own)
    try:
        return _gain(inputs, primary, versions, *pooled)
    except DataError:
        return _gain(inputs, primary, versions, *own)


def _pooled(
    inputs: Inputs, step: int, model: Candidate, own: tuple[pd.DataFrame, pd.Series[Any]]
) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Labelled rows of a step's future, and of the next steps', until there are blocks enough for an interval.

    A week has seven days, of which no interval can be made; two weeks have. The question is whether the model is
    behind from that step on, whoever serves by then.
    """
    import pandas as pd

    from airflow_mlops.core.stats.bootstrap import MIN_BLOCKS, blocks_of

    frame, labels = own
    for later in range(step + 1, min(step + POOLED, len(inputs.plan.steps))):
        block = blocks_of(inputs.spec, frame)
        if (len(frame) if block is None else len(set(block.tolist()))) >= MIN_BLOCKS:
            break
        try:
            more, more_labels = inputs.future(later, model)
        except DataError:
            break
        if len(more) and list(more.columns) == list(frame.columns):
            frame = pd.concat([frame, more], ignore_index=True)
            labels = pd.concat([labels, more_labels], ignore_index=True)
    return frame, labels


def _gain(
    inputs: Inputs, primary: Metric, versions: tuple[int, int], frame: pd.DataFrame, labels: pd.Series[Any]
) -> Gain:
    """Gain of the first version over the second on labelled rows, with bounds."""
    from airflow_mlops.core.metrics import measure as metric
    from airflow_mlops.core.pipeline.predict import predict
    from airflow_mlops.core.rows.weights import row_weights
    from airflow_mlops.core.stats.bootstrap import blocks_of, gain

    spec, models = inputs.spec, [inputs.candidate(version) for version in versions]
    (weights,) = row_weights(spec, frame)
    said = [predict(inputs.pipeline(one), frame, model) for one, model in zip(versions, models, strict=True)]
    known = tuple(dict.fromkeys((*said[1].classes, *said[0].classes)))
    ours, theirs = (metric.judge(labels, each, known, weights) for each in said)
    return gain(
        primary,
        ours,
        theirs,
        blocks_of(spec, frame),
        confidence=CONFIDENCE,
        resamples=spec.gate.champion.resamples,
        seed=spec.training.seed,
    )
