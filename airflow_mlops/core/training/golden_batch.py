"""The golden batch: some rows of the holdout and what the trained pipeline said of them, before it was stored.

Whoever serves the model later must get the same numbers from the same rows. Format 1: `rows.parquet` holds the feature
columns as the pipeline is given them, `predictions.json` is a :class:`Golden`.
"""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.pipeline.predict import Described, Predicted, predict
from airflow_mlops.core.records.base import Record
from airflow_mlops.core.records.candidate import Feature, Label, Task
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd

ROWS = 200
"""Enough to meet most branches of a pipeline; few enough to be scored one by one in a second."""
Kind = Literal["probabilities", "values", "labels"]


@dataclass(frozen=True, kw_only=True)
class Golden(Record):
    """What the pipeline said of the golden rows, before it was stored."""

    model: str
    task: Task
    features: tuple[Feature, ...]
    classes: tuple[Label, ...] = ()
    output: Kind
    """`probabilities`; `values` of a regression; `labels` of a classifier without probabilities."""
    predictions: tuple[tuple[float, ...], ...]
    """One tuple for each row: a probability for each class, or one number, which for labels is a place in `classes`."""
    rows_digest: str
    """SHA-256 of the bytes of `rows.parquet`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GoldenBatch:
    """Golden rows with their predictions; not a record itself, as it holds data."""

    record: Golden
    rows: pd.DataFrame
    """Feature columns only: float64, and text with NaN where it is missing."""


def sample(frame: pd.DataFrame, seed: int, rows: int = ROWS) -> pd.DataFrame:
    """Take rows spread over a frame: one at random out of each of `rows` equal stretches, in their order.

    A holdout is sorted by event time, so its first and its last days are both in the sample.
    """
    import numpy as np

    if len(frame) <= rows:
        return frame
    edges = np.linspace(0, len(frame), rows + 1).astype(np.int64)
    return frame.iloc[np.random.default_rng(seed).integers(edges[:-1], edges[1:])]


def make_golden(pipeline: Any, frame: pd.DataFrame, model: Described, *, name: str, seed: int) -> tuple[Golden, bytes]:
    """Score a sample of the holdout.

    Parameters
    ----------
    pipeline, model
        As trained, and what says its task, features and classes.
    frame
        The holdout's feature columns, shape (n, features).

    Returns
    -------
    tuple
        The record, and the Parquet file that its digest is of.
    """
    rows = sample(frame, seed)
    content = to_parquet(rows, model.features)
    kind, numbers = as_numbers(predict(pipeline, rows, model), model.classes)
    record = Golden(
        model=name,
        task=model.task,
        features=model.features,
        classes=model.classes,
        output=kind,
        predictions=tuple(map(tuple, numbers.tolist())),
        rows_digest=hashlib.sha256(content).hexdigest(),
    )
    return record, content


def read_golden(record: Golden, content: bytes) -> GoldenBatch:
    """Read the golden rows.

    Raises
    ------
    RecordError
        If they are not the rows that the record was made with.
    """
    if hashlib.sha256(content).hexdigest() != record.rows_digest:
        raise RecordError(
            Problem(
                code=ReasonCode.RECORD_CONFLICT,
                field="golden/rows.parquet",
                found="rows that are not those of golden/predictions.json",
                allowed="the rows that were written with the candidate",
                fix="train the model again, and find out who changed them",
            ),
            subject=record.model,
        )
    return GoldenBatch(record=record, rows=from_parquet(content, record.features))


def as_numbers(predicted: Predicted, classes: Sequence[Label] | None = None) -> tuple[Kind, np.ndarray[Any, Any]]:
    """Predictions as floats, shape (n, classes) or (n, 1), and what they are.

    A label becomes its class's place in the order of the classes, and NaN when it is none of them.

    Parameters
    ----------
    classes
        The order of the columns: a pipeline's own is not the one that predictions are judged in. As they are when None.
    """
    import numpy as np

    wanted = predicted.classes if classes is None else tuple(classes)
    if predicted.probabilities is not None:
        if wanted != predicted.classes and set(wanted) == set(predicted.classes):
            return "probabilities", predicted.probabilities[:, [predicted.classes.index(label) for label in wanted]]
        return "probabilities", predicted.probabilities
    if predicted.task == "regression":
        return "values", predicted.values.reshape(-1, 1)
    places = {label: float(place) for place, label in enumerate(wanted)}
    return "labels", np.array([places.get(v, math.nan) for v in predicted.values.tolist()], dtype=float).reshape(-1, 1)


def largest_difference(kind: Kind, recorded: Any, served: Any) -> float:
    """Return the largest difference between two arrays of predictions of the same rows.

    Parameters
    ----------
    kind
        Of probabilities and labels it is ``|served - recorded|``; of a regression's values
        ``|served - recorded| / max(1, |recorded|)``, because a float64 of a million is exact to 1e-10 only.
    recorded, served
        Shape (n, k).

    Returns
    -------
    float
        NaN when the shapes differ, there is no row, or any of the numbers is not finite.

    Examples
    --------
    >>> largest_difference("probabilities", [[0.25, 0.75]], [[0.5, 0.5]])
    0.25
    >>> largest_difference("values", [[2000.0]], [[1000.0]])
    0.5
    >>> largest_difference("values", [[1.0]], [[float("nan")]])
    nan
    """
    import numpy as np

    one, other = np.asarray(recorded, dtype=float), np.asarray(served, dtype=float)
    if one.shape != other.shape or not one.size or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return math.nan
    gap = np.abs(other - one)
    return float((gap / np.maximum(1.0, np.abs(one)) if kind == "values" else gap).max())


def to_parquet(rows: pd.DataFrame, features: Sequence[Feature]) -> bytes:
    """Write feature columns as Parquet: numbers as float64 with their NaN, text and times with nulls."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = {
        "numeric": lambda column: pa.array(column.to_numpy(dtype="float64"), type=pa.float64(), from_pandas=False),
        "categorical": lambda column: pa.array(column.to_numpy(dtype=object), type=pa.string(), from_pandas=True),
        "time": lambda column: pa.array(column, type=pa.timestamp("us"), from_pandas=True),
    }
    columns = {f.name: written[f.role](rows[f.name]) for f in features}
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, compression="zstd")
    return stream.getvalue()


def from_parquet(content: bytes, features: Sequence[Feature]) -> pd.DataFrame:
    """Read what :func:`to_parquet` wrote, as the pipeline was given it: missing text is NaN again."""
    import numpy as np
    import pandas as pd
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    columns: dict[str, Any] = {}
    for feature in features:
        column = table.column(feature.name)
        if feature.role != "categorical":
            columns[feature.name] = column.to_numpy()
        else:
            texts = [math.nan if text is None else text for text in column.to_pylist()]
            columns[feature.name] = np.array(texts, dtype=object)
    return pd.DataFrame(columns, columns=[f.name for f in features])
