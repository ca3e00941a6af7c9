"""Rows to measure on, and the work that is measured on them: each function runs in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.child import measured

if TYPE_CHECKING:
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.core.records.candidate import Champion
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.files.store import FileStore

START = datetime(2013, 1, 1, tzinfo=UTC)
AS_OF = START + timedelta(days=60)
NUMERIC = tuple(f"n{i}" for i in range(17))
CATEGORICAL = tuple(f"c{i}" for i in range(10))
VALUES = tuple(f"value{i}" for i in range(20))
COLUMNS = 3 + len(NUMERIC) + len(CATEGORICAL)
"""Key, time and label besides the features."""
FILE_ROWS = 250_000
TRAIN_ROWS = 50_000


def spec() -> ModelSpec:
    """Return the specification of the model that is measured."""
    from airflow_mlops.spec import ModelSpec

    return ModelSpec.model_validate(
        {
            "name": "bench",
            "owner": "bench",
            "data": {"source": {"path": "rows/"}, "time": "t", "key": "id", "label": "y", "window": "60d"},
            "features": {"numeric": NUMERIC, "categorical": CATEGORICAL},
            "training": {
                "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
                "parameters": {"max_iter": 30, "max_leaf_nodes": 15},
            },
            "validation": [
                {"expect": "not_null", "columns": [*NUMERIC, *CATEGORICAL]},
                {"expect": "between", "columns": NUMERIC, "min": -50, "max": 50},
                {"expect": "in_set", "columns": CATEGORICAL, "values": VALUES},
            ],
        }
    )


def generate(folder: str, rows: int) -> dict[str, Any]:
    """Write `rows` rows below `folder`/rows, a file for each 250,000, and rows to train on below `folder`/train."""
    files = [(f"rows/{i:03}.parquet", i, min(FILE_ROWS, rows - i)) for i in range(0, rows, FILE_ROWS)]
    for name, first, count in files:
        _write(Path(folder) / name, first, count, seconds=1)
    _write(Path(folder) / "train" / "a.parquet", 0, TRAIN_ROWS, seconds=100)
    return {"files": len(files)}


def _write(path: Path, first: int, count: int, *, seconds: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(first)
    number = np.arange(first, first + count)
    columns: dict[str, Any] = {
        "id": number,
        "t": pa.array(np.datetime64(START.replace(tzinfo=None), "us") + number * np.timedelta64(seconds, "s")).cast(
            pa.timestamp("us", tz="UTC")
        ),
    }
    for name in NUMERIC:
        columns[name] = rng.normal(size=count)
    for name in CATEGORICAL:
        columns[name] = pa.DictionaryArray.from_arrays(rng.integers(0, len(VALUES), count), list(VALUES)).cast("string")
    columns["y"] = (columns["n0"] + columns["n1"] + rng.normal(size=count) > 0).astype(int)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=50_000)


def train(folder: str) -> dict[str, Any]:
    """Train the model that is scored with, by the loop's own snapshot and training."""
    from airflow_mlops.core.snapshot import read_snapshot, take_snapshot
    from airflow_mlops.core.training import candidate_from, fit

    _, store, storage = _open(folder, "train")
    snapshot = take_snapshot(spec(), AS_OF, store, storage, now=datetime.now(UTC))
    fitted = fit(spec(), snapshot, read_snapshot(snapshot, storage))
    candidate = candidate_from(spec(), snapshot, fitted, loop_run="bench", run_id="bench", model_uri="models:/m-bench")
    import_module("joblib").dump(fitted.pipeline, Path(folder) / "pipeline.joblib")
    (Path(folder) / "candidate.json").write_text(candidate.to_text())
    return {"metrics": dict(fitted.metrics)}


def _open(folder: str, rows: str) -> tuple[Path, FileStore, Storage]:
    from airflow_mlops.stores.files.store import FileStore
    from airflow_mlops.stores.storage.storage import open_storage

    root = Path(folder)
    return root / rows, FileStore(str(root / rows)), open_storage(str(root / "storage"))


def _imported(*modules: str) -> None:
    """Import what the work needs before it is measured."""
    for module in modules:
        import_module(module)


def _champion(folder: str) -> tuple[Champion, Any]:
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.training import champion_of

    candidate = Candidate.from_json((Path(folder) / "candidate.json").read_text())
    return champion_of("bench", candidate, 1), import_module("joblib").load(Path(folder) / "pipeline.joblib")


def snapshot(folder: str, rows: str) -> dict[str, Any]:
    """Take a snapshot: read, hash, write."""
    _imported("pandas", "pyarrow.parquet", "pyarrow.compute", "pyarrow.csv", "pyarrow.dataset", "sqlalchemy")
    from airflow_mlops.core.snapshot import take_snapshot

    _, store, storage = _open(folder, rows)
    return measured(lambda: take_snapshot(spec(), AS_OF, store, storage, now=datetime.now(UTC)).rows)


def snapshot_pandas(folder: str, rows: str) -> dict[str, Any]:
    """Copy the rows with pandas, whole: no window, no hash, no manifest."""
    _imported("pyarrow.parquet", "pyarrow.dataset")
    import pandas as pd

    def copy() -> int:
        frame = pd.read_parquet(Path(folder) / rows)
        frame.to_parquet(Path(folder) / "copy.parquet", index=False)
        return len(frame)

    return measured(copy)


def score(folder: str, rows: str) -> dict[str, Any]:
    """Score a window, in chunks."""
    _imported("pandas", "pyarrow.parquet", "pyarrow.compute", "pyarrow.csv", "pyarrow.dataset", "sqlalchemy")
    from airflow_mlops.core.records.snapshot import Window
    from airflow_mlops.core.scoring import score as score_window

    _, store, storage = _open(folder, rows)
    champion, pipeline = _champion(folder)
    window = Window(start=START, end=AS_OF)
    return measured(
        lambda: score_window(spec(), champion, pipeline, store, storage, window, loop_run="bench/bench").rows
    )


def score_pandas(folder: str, rows: str) -> dict[str, Any]:
    """Score the same rows at once, and write the probabilities."""
    _imported("pyarrow.parquet", "pyarrow.dataset")
    import pandas as pd

    from airflow_mlops.core.pipeline.features import as_features

    champion, pipeline = _champion(folder)

    def predict() -> int:
        frame = pd.read_parquet(Path(folder) / rows, columns=["id", "t", *NUMERIC, *CATEGORICAL])
        inputs = as_features(frame, champion.candidate.features)
        out = frame[["id", "t"]].assign(probability=pipeline.predict_proba(inputs)[:, 1])
        out.to_parquet(Path(folder) / "scored.parquet", index=False)
        return len(out)

    return measured(predict)


def validate(folder: str, rows: str) -> dict[str, Any]:
    """Check a frame as the validation stage does."""
    import pandas as pd

    from airflow_mlops.core.validation import expectations_for, wanted_columns
    from airflow_mlops.core.validation import validate as check
    from airflow_mlops.core.validation.great_expectations import library

    library()
    frame = pd.read_parquet(Path(folder) / rows)

    def work() -> int:
        report = check(
            frame, expectations_for(spec()), subject="bench", wanted_columns=wanted_columns(spec()), as_of=AS_OF
        )
        assert report.passed, report.problems
        return report.rows

    return measured(work)


def validate_gx(folder: str, rows: str) -> dict[str, Any]:
    """Check the same with Great Expectations as its tutorial does: one batch of the whole frame."""
    import logging

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import pandas as pd

    gx: Any = import_module("great_expectations")

    frame = pd.read_parquet(Path(folder) / rows)
    e = gx.expectations
    wanted: Sequence[Any] = [
        e.ExpectTableRowCountToBeBetween(min_value=1),
        e.ExpectColumnValuesToBeUnique(column="id"),
        *(e.ExpectColumnValuesToNotBeNull(column=name) for name in ("id", "t", "y", *NUMERIC, *CATEGORICAL)),
        *(e.ExpectColumnValuesToBeBetween(column=name, min_value=-50, max_value=50) for name in NUMERIC),
        *(e.ExpectColumnValuesToBeInSet(column=name, value_set=list(VALUES)) for name in CATEGORICAL),
    ]

    def work() -> int:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("rows")
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        result = batch.validate(gx.ExpectationSuite(name="bench", expectations=list(wanted)), result_format="BASIC")
        assert result.success
        return len(frame)

    return measured(work)


def head(source: str, target: str, count: int) -> dict[str, Any]:
    """Write the first rows of a file to another."""
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(source).slice(0, count), target, row_group_size=50_000)
    return {"rows": count}
