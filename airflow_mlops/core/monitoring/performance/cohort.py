"""The champion's predictions of a span of time, as metrics read them: with outcomes, or waiting for these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import judge
from airflow_mlops.core.monitoring.performance.estimated import UnlabelledRows
from airflow_mlops.core.monitoring.performance.outcomes import EACH, PLACE, JoinedOutcomes, known_labels
from airflow_mlops.core.monitoring.performance.prediction_log import LoggedPredictions
from airflow_mlops.core.pipeline.predict import Predicted
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.weights import row_weights
from airflow_mlops.core.rows.windows import utc
from airflow_mlops.core.stats.bootstrap import blocks_of
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd


def cohort_window(spec: ModelSpec, as_of: datetime) -> Window:
    """Event times of the newest predictions whose outcomes are mature as of `as_of`; as long as performance.window.

    Mature as in :func:`~airflow_mlops.core.rows.windows.label_window`: ``event time + label delay <= as_of``.

    Examples
    --------
    >>> from datetime import UTC
    >>> spec = ModelSpec.model_validate({
    ...     "name": "m", "owner": "o", "training": {"estimator": "sklearn.dummy.DummyClassifier"},
    ...     "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y", "label_delay": "7d"}})
    >>> print(cohort_window(spec, datetime(2013, 3, 31, tzinfo=UTC)))
    [2013-03-10T00:00:00+00:00, 2013-03-24T00:00:00.000001+00:00)
    """
    mature = utc(as_of, "as-of") - spec.data.label_delay
    end = mature + timedelta(microseconds=1) if spec.data.label_delay else mature
    return Window(start=mature - spec.monitoring.performance.window, end=end)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cohort:
    """The champion's predictions whose outcomes are known; n rows."""

    places: Array
    """Among the champion's predictions, shape (n,)."""
    rows: pd.DataFrame
    """Event time, outcome, and what was read beside."""
    labels: pd.Series[Any]
    judged: LabelledPredictions
    estimable: UnlabelledRows
    """The same predictions, as if nobody knew their outcomes."""

    @property
    def block(self) -> Array | None:
        """Number of each row's block."""
        return self.estimable.block


def cohort_of(spec: ModelSpec, logged: LoggedPredictions, joined: JoinedOutcomes) -> Cohort:
    """Bring predictions and outcomes together.

    Raises
    ------
    DataError
        If the rows lack the weight or entity column, or a weight is not one.
    """
    classification = logged.predicted.task != "regression"
    places, rows, labels = known_labels(spec, logged, joined, classification)
    rows = rows.reset_index(drop=True)
    predicted = take(logged.predicted, places)
    weights = row_weights(spec, rows)[0] if len(rows) else None
    block = blocks_of(spec, rows) if len(rows) else None
    losses = rows[EACH].to_numpy(dtype=float) if EACH in rows else None
    return Cohort(
        places=places,
        rows=rows,
        labels=labels,
        judged=judge(labels, predicted, weights=weights),
        estimable=UnlabelledRows(predicted=predicted, weights=weights, block=block, losses=losses),
    )


def waiting(
    spec: ModelSpec, parts: list[tuple[LoggedPredictions, JoinedOutcomes | None, Array]]
) -> UnlabelledRows | None:
    """Put together predictions that wait for their outcomes; None when there are none.

    Parameters
    ----------
    parts
        Predictions, the source's rows of them where these are needed (weights, entities, expected losses), and which
        of the champion's predictions are wanted. Those without a row in the source are left out then.

    Raises
    ------
    DataError
        As :func:`cohort_of`.
    """
    import numpy as np
    import pandas as pd

    frames, chosen = [], []
    for logged, joined, wanted in parts:
        places = np.flatnonzero(wanted)
        frame = pd.DataFrame({spec.data.time: logged.times.iloc[places].reset_index(drop=True)})
        if joined is not None:
            mine = logged.mine[joined.rows[PLACE].to_numpy(dtype=int)]
            usable = mine >= 0
            usable[usable] = wanted[mine[usable]]
            places = mine[usable]
            frame = joined.rows[usable].reset_index(drop=True)
            frame[spec.data.time] = logged.times.iloc[places].reset_index(drop=True)
        if len(places):
            frames.append(frame)
            chosen.append(take(logged.predicted, places))
    if not frames:
        return None
    rows = pd.concat(frames, ignore_index=True)
    return UnlabelledRows(
        predicted=_joined(chosen),
        weights=row_weights(spec, rows)[0],
        block=blocks_of(spec, rows),
        losses=rows[EACH].to_numpy(dtype=float) if EACH in rows else None,
    )


def take(predicted: Predicted, rows: Array) -> Predicted:
    """Some of the predictions: a mask or positions, shape (m,)."""
    probabilities = None if predicted.probabilities is None else predicted.probabilities[rows]
    return Predicted(
        task=predicted.task, classes=predicted.classes, values=predicted.values[rows], probabilities=probabilities
    )


def _joined(parts: list[Predicted]) -> Predicted:
    import numpy as np

    known = [part.probabilities for part in parts if part.probabilities is not None]
    return Predicted(
        task=parts[0].task,
        classes=parts[0].classes,
        values=np.concatenate([part.values for part in parts]),
        probabilities=np.concatenate(known) if len(known) == len(parts) else None,
    )
