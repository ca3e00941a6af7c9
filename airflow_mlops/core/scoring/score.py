"""Batch scoring: one window of rows through the champion, in chunks, written once and whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.pipeline.predict import Predicted, judged_classes, predict
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.predictions import InvalidValues, Predictions
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.core.rows.frames import to_frame
from airflow_mlops.core.scoring.invalid_values import Reader
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa

_COARSE, _FINE = "%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S.%fZ"


def score(  # noqa: PLR0917  (the stage's nouns, in the order of the sentence)
    spec: ModelSpec,
    champion: Champion,
    pipeline: Any,
    store: DataStore,
    storage: Storage,
    window: Window,
    *,
    loop_run: str,
    now: datetime | None = None,
) -> Predictions:
    """Score a window with the champion.

    The rows stand in `predictions/<model>/<start>_<end>/v<version>.parquet`: the key, the event time, `prediction`,
    the probabilities (`probability` of the positive class for two classes, else `probability_<class>`),
    `model_version`, `model_run_id` and `loop_run`. `manifest.json` beside them is the commit mark, and says which
    version's file is of record: a newer champion's file takes its place, and the older one stays for audit. The same
    version over the same rows, in the same loop run, writes the same bytes.

    Parameters
    ----------
    pipeline
        The champion's fitted pipeline.
    store
        Only time, key and the champion's features are read, `spec.scoring.chunk_rows` rows at a time.
    window
        Event times to score.
    loop_run
        `<dag_id>/<run_id>` of the run that scores.
    now
        The real time, for the manifest.

    Raises
    ------
    DataError
        If the window is empty, a column is missing or of another type, a prediction is not finite, no row can be
        scored, or a key column has the name of one that is written. Nothing is written then, and the file of record
        stays what it was.
    """
    time, keys, candidate = spec.data.time, spec.data.key, champion.candidate
    wanted = tuple(dict.fromkeys([*keys, time, *(feature.name for feature in champion.candidate.features)]))
    _require_columns(spec, champion, store, window)
    output = _Output(champion, (*keys, time), loop_run, Reader(candidate.features, keys, spec.scoring.invalid))
    batches = (b for b in store.read(window, time, wanted, chunk_rows=spec.scoring.chunk_rows) if b.num_rows)
    first = next(batches, None)
    if first is None:
        raise DataError(_empty(store, window), subject=spec.name)
    scored = output.score(pipeline, chain((first,), batches))
    head = next(scored, None)
    if head is None:
        raise DataError(_all_invalid(output.reader.found), subject=spec.name)
    folder = f"{predictions_folder(spec)}/{_stamp(window.start)}_{_stamp(window.end)}"
    path = f"{folder}/v{champion.version}.parquet"
    rows = storage.write_batches(path, chain((head,), scored), head.schema)
    predictions = Predictions(
        model=spec.name,
        version=champion.version,
        run_id=champion.run_id,
        window=window,
        rows=rows,
        uri=storage.uri(path),
        probability_of=judged_classes(candidate)[-1] if "probability" in head.schema.names else None,
        invalid=output.reader.found,
        scored_at=None if now is None else now.astimezone(UTC),
    )
    storage.write_text(f"{folder}/manifest.json", predictions.to_text())
    return predictions


def predictions_folder(spec: ModelSpec) -> str:
    """Return the folder of the storage that holds a model's scored windows."""
    return f"predictions/{spec.name}"


def scoring_window(name: str) -> Window | None:
    """Return the window that a folder of predictions is named after; None for any other name.

    >>> print(scoring_window("20131201T000000Z_20131202T000000.000001Z"))
    [2013-12-01T00:00:00+00:00, 2013-12-02T00:00:00.000001+00:00)
    >>> scoring_window("notes") is None
    True
    """
    try:
        start, end = (datetime.strptime(f"{stamp}+0000", f"{_form(stamp)}%z") for stamp in name.split("_"))
        return Window(start=start, end=end)
    except ValueError:
        return None


def _form(stamp: str) -> str:
    return _FINE if "." in stamp else _COARSE


class _Output:
    """Turns batches of source rows into batches of predictions."""

    def __init__(self, champion: Champion, carried: Sequence[str], loop_run: str, reader: Reader) -> None:
        self.champion, self.carried, self.reader = champion, tuple(dict.fromkeys(carried)), reader
        self.constants = {
            "model_version": champion.version,
            "model_run_id": champion.run_id,
            "loop_run": loop_run,
        }

    def score(self, pipeline: Any, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score batch by batch, in the source's order; rows that cannot be scored are left out."""
        import pyarrow as pa

        done = 0
        for batch in batches:
            frame = self.reader.sound(to_frame(batch).reset_index(drop=True))
            if len(frame):
                frame, predicted = self.reader.predictable(
                    frame, lambda rows: predict(pipeline, rows, self.champion.candidate)
                )
                self._require_finite(predicted, done)
                columns = self._columns(predicted, len(frame))
                self._require_free(columns)
                kept = batch if len(frame) == batch.num_rows else batch.take(pa.array(frame.index))
                carried = {name: kept.column(name) for name in self.carried}
                yield pa.RecordBatch.from_pydict({**carried, **columns})
            done += batch.num_rows

    def _columns(self, predicted: Predicted, rows: int) -> dict[str, pa.Array]:
        import pyarrow as pa

        columns = {"prediction": pa.array(predicted.values)}
        if predicted.positive is not None:
            columns["probability"] = pa.array(predicted.positive)
        elif predicted.probabilities is not None:
            for label, values in zip(predicted.classes, predicted.probabilities.T, strict=True):
                columns[f"probability_{label}"] = pa.array(values)
        return columns | {name: pa.repeat(pa.scalar(value), rows) for name, value in self.constants.items()}

    def _require_free(self, columns: dict[str, pa.Array]) -> None:
        taken = [name for name in self.carried if name in columns]
        if taken:
            raise DataError(
                [
                    Problem(
                        code=ReasonCode.COLUMN_DUPLICATED,
                        field=name,
                        found="a key or time column of this name",
                        allowed=f"names beside {', '.join(columns)}, which predictions carry",
                        fix="rename the column in the source's query",
                    )
                    for name in taken
                ],
                subject=self.champion.model,
            )

    def _require_finite(self, predicted: Predicted, done: int) -> None:
        import numpy as np

        numbers = predicted.values if predicted.probabilities is None else predicted.probabilities
        if not np.issubdtype(numbers.dtype, np.number):
            return
        bad = int(np.count_nonzero(~np.isfinite(numbers.reshape(len(numbers), -1)).all(axis=1)))
        if bad:
            raise DataError(
                Problem(
                    code=ReasonCode.VALUE_NOT_FINITE,
                    field="prediction",
                    found=f"{bad} predictions that are not finite, in the {len(numbers)} rows after row {done}",
                    allowed="finite predictions only",
                    fix="look for extreme or missing values in the window's features, or roll the champion back",
                ),
                subject=f"{self.champion.model} version {self.champion.version}",
            )


def _require_columns(spec: ModelSpec, champion: Champion, store: DataStore, window: Window) -> None:
    wanted = {feature.name: f"feature {feature.name}" for feature in champion.candidate.features}
    wanted |= {spec.data.time: "data.time"} | dict.fromkeys(spec.data.key, "data.key")
    problems = missing_columns(
        wanted, [column.name for column in store.schema(window, spec.data.time)], where=store.description
    )
    if problems:
        raise DataError(problems, subject=f"{spec.name}, scoring with version {champion.version}")


def _all_invalid(found: Sequence[InvalidValues]) -> Problem:
    return Problem(
        code=ReasonCode.VALUE_NOT_FINITE,
        field="scoring.invalid",
        found=f"no row that can be scored: {'; '.join(map(str, found))}",
        allowed="at least one row with finite numbers",
        fix="mend the values in the source, or set scoring.invalid: missing",
    )


def _stamp(instant: datetime) -> str:
    """Write an instant for a path: `20131201T000000Z`, with microseconds only where there are any."""
    utc = instant.astimezone(UTC)
    return utc.strftime(_FINE if utc.microsecond else _COARSE)


def _empty(store: DataStore, window: Window) -> Problem:
    return Problem(
        code=ReasonCode.WINDOW_EMPTY,
        field="data.source",
        found=f"no row of {store.description} in {window}",
        allowed="at least one row to score",
        fix="check that the data has arrived, and the as-of time",
    )
