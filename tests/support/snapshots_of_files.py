"""Snapshots of files as people have them, by the way that the loop takes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.snapshot import read_snapshot, take_snapshot
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.open_source import open_rows
from airflow_mlops.stores.storage.storage import open_storage

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)


def orders(rows: int = 400, days: int = 60, end: datetime = AS_OF, prefix: str = "o") -> pd.DataFrame:
    """Orders over the days before `end`."""
    random = np.random.default_rng(3)
    load = random.normal(size=rows)
    return pd.DataFrame(
        {
            "order_id": [f"{prefix}{i:06d}" for i in range(rows)],
            "ordered_at": pd.date_range(
                end - timedelta(days=days - 1), end - timedelta(hours=1), periods=rows, unit="us"
            ),
            "load": load,
            "city": random.choice(["Rome", "Oslo", "Bern"], size=rows),
            "late": (load > 0.3).astype("int64"),
        }
    )


def spec(path: str, *, source: dict[str, Any] | None = None, features: Any = None, **data: Any) -> ModelSpec:
    """A specification of the orders in files."""
    return ModelSpec.model_validate(
        {
            "name": "orders",
            "owner": "tests",
            "data": {
                "source": {"path": path, **(source or {})},
                "time": "ordered_at",
                "key": "order_id",
                "label": "late",
                "window": "60d",
                **data,
            },
            "features": features or {},
            "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
        }
    )


def taken(folder: Path, model: ModelSpec, as_of: datetime = AS_OF) -> tuple[Snapshot, pd.DataFrame]:
    """Take a snapshot of files below a folder, and read it."""
    storage = open_storage(str(folder / "storage"))
    snapshot = take_snapshot(model, as_of, open_rows(model, data_root=str(folder)), storage, now=as_of)
    return snapshot, read_snapshot(snapshot, storage)


def said(snapshot: Snapshot) -> str:
    """The known issues, in words."""
    return "\n".join(map(str, snapshot.known_issues))
