"""A folder of flights and a storage, of which snapshots are taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.snapshot.take import take_snapshot
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.storage.storage import open_storage

AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = datetime(2024, 1, 1)
HOURS = 24 * 70


def flights(**change: Any) -> pa.Table:
    """Seventy days of hourly rows from January 1, 2024; half of them late."""
    columns = {
        "dep": pa.array([FIRST + timedelta(hours=i) for i in range(HOURS)], pa.timestamp("us")),
        "id": pa.array(range(HOURS)),
        "late": pa.array([i % 2 for i in range(HOURS)]),
        "dist": pa.array([i * 0.5 for i in range(HOURS)]),
        "carrier": pa.array(["AB"[i % 2] for i in range(HOURS)]).dictionary_encode(),
        "tail": pa.array([f"N{i}" for i in range(HOURS)]),
    }
    return pa.table({**columns, **change})


def spec(features: dict[str, Any] | None = None, gate: dict[str, Any] | None = None, **data: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "flight_delay",
            "owner": "o",
            "data": {
                "source": {"path": "x"},
                "time": "dep",
                "key": "id",
                "label": "late",
                "label_delay": "1d",
                "window": "40d",
                **data,
            },
            "features": {"exclude": ["tail"]} if features is None else features,
            "training": {"estimator": "sklearn.dummy.DummyClassifier"},
            "gate": gate or {},
        }
    )


class Place:
    """A folder of flights and a storage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir()
        self.storage = open_storage(str(folder / "mlops"))
        self.write(flights())

    def write(self, table: pa.Table) -> None:
        pq.write_table(table, self.folder / "data/a.parquet", row_group_size=200)

    def take(self, model: ModelSpec | None = None, as_of: datetime = AS_OF, now: datetime = NOW) -> Snapshot:
        store = FileStore(str(self.folder / "data"))
        return take_snapshot(model or spec(), as_of, store, self.storage, now=now)

    def files(self) -> list[str]:
        root = self.folder / "mlops"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
