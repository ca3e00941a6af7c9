"""The champion's predictions of a span of time, from the score log, in the least memory that a join needs.

Of each prediction a number of 64 bits stands for its key and event time (pandas' hash of rows), its probabilities and
its event time are kept: about 60 bytes for two classes. Of n predictions, two share a number by chance with
probability n^2 / 2^65: one in two million for four million.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.pipeline.predict import Predicted, judged_classes
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.keys import identities, together
from airflow_mlops.core.rows.windows import rows_outside
from airflow_mlops.core.scoring import scored_batches
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

LATENCY, ERROR = "latency_ms", "error"
"""Columns that the serving side may write beside its predictions."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LoggedPredictions:
    """Predictions of a window, each once; n of whichever version, m of them usable ones of this champion."""

    number: Array
    """64-bit number of key and event time, ascending, shape (n,)."""
    key: Array
    """64-bit number of the key alone, shape (n,)."""
    mine: Array
    """Place of each prediction among the champion's, -1 for others, shape (n,)."""
    times: pd.Series[Any]
    """Event times of the champion's, shape (m,)."""
    predicted: Predicted
    """The champion's."""
    early: int = 0
    """The champion's predictions of rows that it was trained or judged on: left out."""
    broken: int = 0
    """The champion's predictions that are missing or not finite: left out."""
    doubled: int = 0
    """Predictions of a row that has another one: the first counts."""
    latency: Array = ()
    errors: int | None = None
    kinds: dict[str, pa.DataType] = field(default_factory=dict)
    """Types of the key columns."""

    @property
    def rows(self) -> int:
        """Predictions of whichever version."""
        return len(self.number)

    def find(self, numbers: Array) -> Array:
        """Place of each row's prediction, -1 where there is none; shape of `numbers`."""
        import numpy as np

        if not self.rows:
            return np.full(len(numbers), -1)
        place = np.minimum(np.searchsorted(self.number, numbers), self.rows - 1)
        return np.where(self.number[place] == numbers, place, -1)


def read_prediction_log(
    spec: ModelSpec, champion: Champion, storage: Storage, window: Window, without: Sequence[Window] = ()
) -> LoggedPredictions:
    """Read the predictions of a window, but for those whose event times lie in a window `without`.

    Raises
    ------
    DataError, RecordError, StoreUnavailableError
        As :func:`~airflow_mlops.core.scoring.score_log.scored_batches`.
    """
    import numpy as np

    columns = _probability_columns(champion)
    kinds: dict[str, pa.DataType] = {}
    latency: list[float] = []
    errors: int | None = None
    everyone: list[tuple[Array, Array, Array]] = []
    own_rows: list[pa.RecordBatch] = []
    read = (*spec.data.key, spec.data.time, "prediction", *columns, "model_version", "model_run_id", LATENCY, ERROR)
    wanted = list(dict.fromkeys(read))  # the time may be part of the key
    for scored in scored_batches(spec, storage, window, wanted):
        batch = rows_outside(scored, spec.data.time, without)
        own = _own(batch, champion)
        everyone.append((*identities(batch, spec.data.key, spec.data.time), own))
        kept = [name for name in (spec.data.time, "prediction", *columns) if name in batch.schema.names]
        own_rows.append(_filtered(batch.select(kept), own))
        kinds |= {name: batch.schema.field(name).type for name in spec.data.key}
        latency += _numbers_of(batch, LATENCY)
        if ERROR in batch.schema.names:
            errors = (errors or 0) + _errors_in(batch)
    if not everyone:
        return _nothing(champion)
    numbers, keys, own = (np.concatenate(part) for part in zip(*everyone, strict=True))
    once, first = np.unique(numbers, return_index=True)
    mine_of_all = own[first]
    rows = together(own_rows)
    place = (np.cumsum(own) - 1)[first]
    new = (rows[spec.data.time] >= champion.candidate.holdout.end).to_numpy()
    usable = _usable(rows, [name for name in columns if name in rows], champion)
    chosen = mine_of_all.copy()
    chosen[mine_of_all] = (new & usable)[place[mine_of_all]]
    mine = np.full(len(once), -1)
    mine[chosen] = np.arange(int(chosen.sum()))
    kept_rows = rows.iloc[place[chosen]].reset_index(drop=True)
    left_out = place[mine_of_all & ~chosen]
    return LoggedPredictions(
        number=once,
        key=keys[first],
        mine=mine,
        times=kept_rows[spec.data.time],
        predicted=_predicted(kept_rows, columns, champion),
        early=int((~new[left_out]).sum()),
        broken=int(new[left_out].sum()),
        doubled=len(numbers) - len(once),
        latency=np.array(latency),
        errors=errors,
        kinds=kinds,
    )


def _nothing(champion: Champion) -> LoggedPredictions:
    import numpy as np
    import pandas as pd

    empty = np.zeros(0, dtype="uint64")
    return LoggedPredictions(
        number=empty,
        key=empty,
        mine=np.zeros(0, dtype=int),
        times=pd.Series(dtype="datetime64[us, UTC]"),
        predicted=_predicted(pd.DataFrame(), _probability_columns(champion), champion),
    )


def _filtered(batch: pa.RecordBatch, rows: Array) -> pa.RecordBatch:
    import pyarrow as pa

    return batch if rows.all() else batch.filter(pa.array(rows))


def _probability_columns(champion: Champion) -> list[str]:
    if champion.candidate.task == "regression":
        return []
    if champion.candidate.task == "binary":
        return ["probability"]
    return [f"probability_{label}" for label in champion.candidate.classes]


def _own(batch: pa.RecordBatch, champion: Champion) -> Array:
    """Which predictions this champion made."""
    import numpy as np

    found = np.ones(batch.num_rows, dtype=bool)
    for name, value in (("model_version", champion.version), ("model_run_id", champion.run_id)):
        if name in batch.schema.names:
            found &= batch.column(name).to_numpy(zero_copy_only=False) == value
    return found


def _usable(rows: pd.DataFrame, columns: list[str], champion: Champion) -> Array:
    import numpy as np

    if "prediction" not in rows:
        return np.zeros(len(rows), dtype=bool)
    found: Array = rows["prediction"].notna().to_numpy()
    numbers = [*columns, *(["prediction"] if champion.candidate.task == "regression" else [])]
    for name in numbers:
        found &= np.isfinite(rows[name].to_numpy(dtype=float, na_value=np.nan))
    return found


def _predicted(rows: pd.DataFrame, columns: list[str], champion: Champion) -> Predicted:
    import numpy as np

    task, classes = champion.candidate.task, judged_classes(champion.candidate)
    values = rows["prediction"].to_numpy() if "prediction" in rows else np.zeros(0)
    if task == "regression":
        values = values.astype(float)
    probabilities = None
    if columns and all(name in rows for name in columns):
        probabilities = rows[columns].to_numpy(dtype=float)
        if task == "binary":
            probabilities = np.column_stack([1 - probabilities, probabilities])
    return Predicted(task=task, classes=classes, values=values, probabilities=probabilities)


def _numbers_of(batch: pa.RecordBatch, name: str) -> list[float]:
    import numpy as np

    if name not in batch.schema.names:
        return []
    values = batch.column(name).cast("double").to_numpy(zero_copy_only=False)
    return values[np.isfinite(values)].tolist()  # type: ignore[no-any-return]


def _errors_in(batch: pa.RecordBatch) -> int:
    return sum(bool(value) for value in batch.column(ERROR).to_pylist())
