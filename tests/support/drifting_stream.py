"""A small stream of rows whose world turns once: what `load` says about the label is reversed at a known day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from airflow_mlops.core.backtest.plan import Plan, plan_of
from airflow_mlops.core.ports import Storage
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.open_source import open_source
from airflow_mlops.stores.storage.storage import open_storage

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
START, END = FIRST + timedelta(days=30), FIRST + timedelta(days=130)
TURN = FIRST + timedelta(days=75)
A_DAY = 60


def stream(days: int = 130, *, turn: datetime | None = TURN, seed: int = 3) -> pd.DataFrame:
    """Rows of so many days from FIRST on, 60 a day."""
    random = np.random.default_rng(seed)
    number = days * A_DAY
    load = random.normal(size=number)
    at = pd.Series(pd.date_range(FIRST, periods=number, freq=timedelta(days=1) / A_DAY, unit="us"))
    sign = np.ones(number) if turn is None else np.where(at < turn, 1.0, -1.0)
    late = sign * load + 0.8 * random.normal(size=number) > 0
    return pd.DataFrame(
        {
            "order_id": [f"o{i:06d}" for i in range(number)],
            "ordered_at": at,
            "load": load,
            "distance": random.gamma(2.0, 10.0, size=number),
            "late": late.astype("int64"),
        }
    )


def specification(**changes: Any) -> ModelSpec:
    """A specification of the stream, with whole parts changed."""
    return ModelSpec.model_validate(
        {
            "name": "orders",
            "owner": "tests",
            "data": {
                "source": {"path": "orders.parquet"}, "time": "ordered_at", "key": "order_id", "label": "late",
                "label_delay": "1d", "window": "28d",
            },
            "features": {"numeric": ["load", "distance"]},
            "training": {"estimator": "sklearn.linear_model.LogisticRegression", "calibration": "never"},
            "gate": {
                "holdout": "12d", "min_rows": 100,
                "champion": {"resamples": 200}, "leakage": {"mode": "off"},
            },
            "monitoring": {
                "window": "10d", "drift": {"min_rows": 100, "report": "never"},
                "performance": {"window": "10d", "min_rows": 100, "violations": 1, "of": 1, "max_drop": 0.05},
            },
            "retraining": {"cooldown": "0d", "backoff": 1.0},
            **changes,
        }
    )  # fmt: skip


def plan(spec: ModelSpec | None = None, **changes: Any) -> Plan:
    """Ten steps of ten days."""
    given = {"start": START, "end": END, "every": timedelta(days=10), **changes}
    return plan_of(spec or specification(), given["start"], given["end"], given["every"])


def openers(folder: Path, spec: ModelSpec | None = None) -> dict[str, Any]:
    """How a backtest opens source and storage: `orders.parquet` and `storage/` in a folder."""
    source = (spec or specification()).data.source
    return {
        "open_store": partial(open_source, source, data_root=str(folder)),
        "open_storage": partial(open_folder, str(folder / "storage")),
    }


def open_folder(default: str, root: str) -> Storage:
    return open_storage(root or default)
