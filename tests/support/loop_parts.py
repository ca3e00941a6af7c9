"""A small loop run to record: specification, snapshot and a real trained pipeline."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.snapshot import Column, Snapshot
from airflow_mlops.core.training.fit import Fitted, fit
from airflow_mlops.spec.model import ModelSpec
from tests.support.builders import make_decision

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = 900


@cache
def spec_of(estimator: str = "sklearn.linear_model.LogisticRegression", **training: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "toy",
            "owner": "tests",
            "data": {"source": {"path": "toy/"}, "time": "at", "key": "id", "label": "late", "window": "60d"},
            "features": {"numeric": ["x", "y"], "categorical": ["city"]},
            "gate": {"holdout": "20d"},
            "training": {"estimator": estimator, **training},
        }
    )


def frame_of(seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=ROWS), random.normal(size=ROWS)
    return pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "at": pd.date_range(AS_OF - timedelta(days=59), AS_OF - timedelta(hours=1), periods=ROWS).as_unit("us"),
            "x": x,
            "y": np.where(random.random(ROWS) < 0.1, np.nan, y),
            "city": random.choice(["Rome", "Oslo", "Bern"], size=ROWS),
            "late": (x + random.normal(size=ROWS) > 0).astype("int64"),
        }
    )


def snapshot_of(fingerprint: str = "a" * 64, as_of: datetime = AS_OF) -> Snapshot:
    from airflow_mlops.core.rows.windows import label_window

    types = {
        "id": "int64",
        "at": "timestamp[us, tz=UTC]",
        "x": "double",
        "y": "double",
        "city": "string",
        "late": "int64",
    }
    columns = tuple(Column(name=name, type=type_) for name, type_ in types.items())
    return Snapshot(
        model="toy",
        fingerprint=fingerprint,
        uri=f"file:///snapshots/{fingerprint}",
        as_of=as_of,
        window=label_window(spec_of(), as_of),
        rows=ROWS,
        columns=columns,
        source="files in toy/",
        source_columns=columns,
        query="all of it",
        time="at",
        key=("id",),
        label="late",
        extracted_at=as_of,
    )


@cache
def fitted_of(estimator: str = "sklearn.linear_model.LogisticRegression", seed: int = 1) -> Fitted:
    return fit(spec_of(estimator), snapshot_of(), frame_of(seed))


def later(snapshot: Snapshot, months: int) -> Snapshot:
    return replace(snapshot, as_of=snapshot.as_of + timedelta(days=30 * months))


def decision_of(candidate: Candidate, champion: int | None, verdict: Verdict = Verdict.ACCEPT) -> GateDecision:
    return make_decision(candidate, verdict, champion_version=champion)
