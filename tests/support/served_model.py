"""A model that serves, in memory: a source, a score log, a snapshot and a champion whose every number is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.metrics.measure import judge, measure
from airflow_mlops.core.monitoring.performance.measure import measure_performance
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.records.candidate import Champion, Feature
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.predictions import Predictions
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.core.snapshot.fingerprint import fingerprint
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from tests.support.builders import LOGISTIC, make_candidate, make_champion, make_decision, make_snapshot, make_spec

BORN = datetime(2024, 1, 1, tzinfo=UTC)
"""As-of of the champion: its holdout ends here."""
STAMP = "%Y%m%dT%H%M%SZ"


def day(number: float) -> datetime:
    return BORN + timedelta(days=number)


def days(first: float, last: float) -> Window:
    return Window(start=day(first), end=day(last))


def batch_of(frame: pd.DataFrame) -> pa.RecordBatch:
    table = pa.Table.from_pandas(frame, preserve_index=False).combine_chunks()
    fields = [
        pa.field(f.name, pa.timestamp("us", "UTC") if pa.types.is_timestamp(f.type) else f.type) for f in table.schema
    ]
    return table.cast(pa.schema(fields)).to_batches()[0]


@dataclass
class MemoryStore:
    """A source of rows, kept by day."""

    time: str = "t"
    parts: list[tuple[datetime, datetime, pa.RecordBatch]] = field(default_factory=list)
    reads: list[tuple[Window, tuple[str, ...]]] = field(default_factory=list)
    description = "rows in memory"

    def add(self, frame: pd.DataFrame) -> None:
        if len(frame):
            self.parts.append((frame[self.time].min(), frame[self.time].max(), batch_of(frame)))

    def schema(self, window: Window | None = None, time: str = "") -> tuple[Column, ...]:
        if not self.parts:
            raise DataError(
                Problem(code=ReasonCode.SOURCE_MISSING, field="data.source", found="nothing", allowed="rows", fix="add")
            )
        return tuple(Column(name=f.name, type=str(f.type)) for f in self.parts[0][2].schema)

    def query(self, window: Window, time: str, columns: Sequence[str]) -> str:
        return f"{columns} in {window} by {time}"

    def read(
        self, window: Window, time: str, columns: Sequence[str], *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        self.reads.append((window, tuple(columns)))
        for first, last, batch in self.parts:
            if first >= window.end or last < window.start:
                continue
            times = batch.column(time).to_numpy(zero_copy_only=False)
            start, end = (np.datetime64(moment.replace(tzinfo=None), "us") for moment in (window.start, window.end))
            rows = batch.filter(pa.array((times >= start) & (times < end))).select(list(columns))
            for at in range(0, rows.num_rows, chunk_rows):
                yield rows.slice(at, chunk_rows)

    def has_rows(self, window: Window, time: str) -> bool:
        return any(batch.num_rows for batch in self.read(window, time, [time]))

    def bounds(self, time: str) -> tuple[datetime, datetime] | None:
        del time
        return (min(p[0] for p in self.parts), max(p[1] for p in self.parts)) if self.parts else None

    def issues(self) -> tuple[Problem, ...]:
        return ()

    def absent(self) -> tuple[str, ...]:
        return ()

    def undated(self, time: str, window: Window | None = None) -> int | None:
        del time
        return None


@dataclass
class MemoryStorage:
    """A folder of files."""

    root = "memory://mlops"
    files: dict[str, Any] = field(default_factory=dict)

    def uri(self, path: str) -> str:
        return f"{self.root}/{path}"

    def exists(self, path: str) -> bool:
        return path in self.files

    def read_text(self, path: str) -> str:
        return str(self._found(path))

    def write_text(self, path: str, text: str) -> str:
        self.files[path] = text
        return self.uri(path)

    def write_batches(self, path: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> int:
        self.files[path] = pa.Table.from_batches(list(batches), schema)
        return int(self.files[path].num_rows)

    def read_batches(
        self, path: str, columns: Sequence[str] | None = None, *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        table = self._found(path)
        wanted = table.schema.names if columns is None else [name for name in table.schema.names if name in columns]
        yield from table.select(wanted).to_batches(max_chunksize=chunk_rows)

    def move(self, path: str, target: str) -> str:
        self.files[target] = self.files.pop(path)
        return self.uri(target)

    def delete(self, path: str) -> None:
        self.files.pop(path, None)

    def names(self, folder: str) -> tuple[str, ...]:
        below = (path.removeprefix(f"{folder}/") for path in self.files if path.startswith(f"{folder}/"))
        return tuple(sorted(name for name in below if "/" not in name))

    def folders(self, folder: str) -> tuple[str, ...]:
        below = (path.removeprefix(f"{folder}/") for path in self.files if path.startswith(f"{folder}/"))
        return tuple(sorted({name.partition("/")[0] for name in below if "/" in name}))

    def _found(self, path: str) -> Any:
        if path not in self.files:
            raise DataError(
                Problem(code=ReasonCode.SOURCE_MISSING, field="storage", found=path, allowed="a file", fix="write it")
            )
        return self.files[path]


class Says:
    """A pipeline that says what stands in its features `p0`, `p1`, ...: or, of numbers, what stands in `x`."""

    def __init__(self, classes: Sequence[Any] = (0, 1)) -> None:
        self.classes_ = np.array(classes)

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        found = rows[[f"p{number}" for number in range(1, len(self.classes_))]].to_numpy(dtype=float)
        return np.column_stack([1 - found.sum(axis=1), found])


class SaysNumber:
    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return rows["x"].to_numpy(dtype=float)


@dataclass
class Served:
    """A champion that serves, its source, its score log and its gate's decision."""

    spec: ModelSpec
    champion: Champion
    pipeline: Any
    store: MemoryStore
    storage: MemoryStorage
    decision: GateDecision | None

    def serve(self, window: Window, frame: pd.DataFrame, *, version: int | None = None, known: bool = True) -> None:
        """Rows of a window are scored; their outcomes stand in the source at once, unless they are not known."""
        self.log(window, frame, version=version)
        self.store.add(frame if known else frame.assign(y=None))

    def log(
        self,
        window: Window,
        frame: pd.DataFrame,
        *,
        version: int | None = None,
        at: datetime | None = None,
        **more: Any,
    ) -> None:
        if not len(frame):
            return
        number = self.champion.version if version is None else version
        predicted = predict(self.pipeline, frame, self.champion.candidate)
        columns = {"prediction": predicted.values}
        if predicted.positive is not None:
            columns["probability"] = predicted.positive
        elif predicted.probabilities is not None:
            for label, values in zip(predicted.classes, predicted.probabilities.T, strict=True):
                columns[f"probability_{label}"] = values
        rows = frame[list(dict.fromkeys((*self.spec.data.key, "t")))].assign(**columns, **more)
        rows = rows.assign(model_version=number, model_run_id=self.champion.run_id if version is None else "other")
        folder = f"predictions/m/{window.start:{STAMP}}_{window.end:{STAMP}}"
        batch = batch_of(rows)
        self.storage.write_batches(f"{folder}/v{number}.parquet", iter([batch]), batch.schema)
        made = Predictions(
            model="m", version=number, run_id="r", window=window, rows=len(rows), uri="u", scored_at=at or window.end
        )  # fmt: skip
        self.storage.write_text(f"{folder}/manifest.json", made.to_text())

    def perform(self, as_of: datetime, **changes: Any) -> PerformanceReport:
        with_ = {"decision": self.decision, **changes}
        return measure_performance(
            self.spec, self.champion, lambda: self.pipeline, self.store, self.storage, as_of, **with_
        )


def spec_of(estimator: str = LOGISTIC, **parts: Any) -> ModelSpec:
    return make_spec(estimator, data={"window": "60d", **parts.pop("data", {})}, **parts)


def rows_on(window: Window, rows: int, rng: np.random.Generator, first: int = 0, **columns: Any) -> pd.DataFrame:
    """Rows at sorted random instants; keys count on from `first`, which is different for every window."""
    span = (window.end - window.start).total_seconds()
    seconds = np.sort(rng.uniform(0, span, rows))
    times = (pd.Timestamp(window.start) + pd.to_timedelta(seconds, unit="s")).floor("us").as_unit("us")
    return pd.DataFrame({"id": first + np.arange(rows), "t": times, **columns})


def served(
    spec: ModelSpec,
    holdout: pd.DataFrame,
    train: pd.DataFrame,
    pipeline: Any,
    features: Sequence[Feature],
    *,
    with_decision: bool = True,
    version: int = 3,
) -> Served:
    """Put a champion into service whose holdout and training rows are given; the gate promised what these say."""
    task = (
        "regression" if not hasattr(pipeline, "classes_") else "binary" if len(pipeline.classes_) == 2 else "multiclass"
    )
    storage = MemoryStorage()
    frame = pd.concat([train, holdout], ignore_index=True)
    batch = batch_of(frame)
    uri = storage.uri("snapshots/m/f")
    columns, mark = (
        tuple(Column(name=f.name, type=str(f.type)) for f in batch.schema),
        fingerprint([batch], batch.schema),
    )
    snapshot = make_snapshot(BORN, uri=uri, rows=len(frame), columns=columns, key=spec.data.key, fingerprint=mark)
    storage.write_batches("snapshots/m/f/data.parquet", iter([batch]), batch.schema)
    storage.write_text("snapshots/m/f/manifest.json", snapshot.to_text())
    candidate = make_candidate(
        BORN, run_id="r3", task=task, train_rows=len(train), holdout_rows=len(holdout), snapshot_uri=uri,
        snapshot_fingerprint=mark, features=tuple(features),
        classes=tuple(c.item() if hasattr(c, "item") else c for c in getattr(pipeline, "classes_", ())),
    )  # fmt: skip
    weights = holdout[spec.data.weight].to_numpy() if spec.data.weight else None
    metrics = measure(judge(holdout["y"], predict(pipeline, holdout, candidate), weights=weights), spec)
    champion = make_champion(replace(candidate, metrics=metrics), version)
    made = Served(spec, champion, pipeline, MemoryStore(), storage, None)
    made.decision = decision_of(made, holdout, train, metrics) if with_decision else None
    return made


def decision_of(made: Served, holdout: pd.DataFrame, train: pd.DataFrame, metrics: dict[str, float]) -> GateDecision:
    from airflow_mlops.core.metrics.baseline import trivial
    from airflow_mlops.core.metrics.measure import primary

    candidate = made.champion.candidate
    name = primary(made.spec, candidate.task)
    said = trivial(candidate, train["y"], len(holdout), name)
    return make_decision(
        candidate, primary=name, candidate_metrics=metrics,
        baseline_metrics=measure(judge(holdout["y"], said), made.spec),
    )  # fmt: skip
