"""A champion with its snapshot, profile and score log on a disk, and windows of rows to be watched through it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from airflow_mlops.core.monitoring.drift.observe import observe
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.rows.windows import split
from airflow_mlops.core.scoring.score import score
from airflow_mlops.core.snapshot.read import read_snapshot
from airflow_mlops.core.snapshot.take import take_snapshot
from airflow_mlops.core.training.fit import fit
from airflow_mlops.core.training.reference_profile import reference_profile
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.stores.open_source import open_source
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.builders import make_candidate, make_champion

START, TRAINED = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)
NOW = datetime(2024, 3, 15, tzinfo=UTC)
WEEK = timedelta(days=7)
CALENDAR = ("month", "quarter", "year", "weekday", "hour")
SPEC: dict[str, Any] = {
    "name": "m",
    "owner": "team",
    "data": {
        "source": {"path": "rows/"}, "time": "t", "key": "id", "label": "late", "label_delay": "1d", "window": "60d"
    },
    "features": {"numeric": ["temp", "wind"], "categorical": ["carrier"]},
    "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
    "gate": {"slices": {"columns": ["origin"]}},
}  # fmt: skip


def rows(first: datetime, last: datetime, per_day: int = 150, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed + int(first.timestamp()) // 86400)
    count = int((last - first) / timedelta(days=1) * per_day)
    seconds = np.sort(rng.uniform(0, (last - first).total_seconds(), count))
    temp, carrier = rng.normal(12, 5, count), rng.choice(["AA", "B6", "UA"], count, p=[0.5, 0.3, 0.2])
    late = rng.random(count) < 1 / (1 + np.exp(-(temp - 12) / 3 - (carrier == "AA")))
    times = pd.Timestamp(first) + pd.to_timedelta(seconds, unit="s")
    return pd.DataFrame(
        {
            "id": np.arange(count) + int(first.timestamp()), "t": times.as_unit("us"), "late": late, "temp": temp,
            "wind": rng.gamma(2, 5, count), "carrier": carrier, "origin": rng.choice(["EWR", "JFK", "LGA"], count),
        }
    )  # fmt: skip


class Watched:
    """The champion was trained on the first sixty days; `window` writes the rows of the week before NOW."""

    def __init__(self, folder: Path, *, calendar: bool = False) -> None:
        self.rows = folder / "rows"
        self.rows.mkdir()
        self.calendar = calendar
        self.storage = open_storage(str(folder / "storage"))
        self._dated(rows(START, NOW - WEEK)).to_parquet(self.rows / "before.parquet", index=False)
        features = {**SPEC["features"], "numeric": ["temp", "wind", *(CALENDAR if calendar else ())]}
        self.spec = ModelSpec.model_validate({**SPEC, "features": features})
        self.folder = folder
        self.store = open_source(self.spec.data.source, data_root=str(folder))
        snapshot = take_snapshot(self.spec, TRAINED, self.store, self.storage, now=TRAINED, also=("origin",))
        fitted = fit(self.spec, snapshot, read_snapshot(snapshot, self.storage))
        self.pipeline = fitted.pipeline
        self.reference: Profile = reference_profile(self.spec, snapshot, fitted)
        train, holdout = split(self.spec, TRAINED)
        self.champion = make_champion(
            make_candidate(
                TRAINED, train=train, holdout=holdout, train_rows=len(fitted.train_frame),
                holdout_rows=len(fitted.holdout_frame), snapshot_uri=snapshot.uri,
                snapshot_fingerprint=snapshot.fingerprint, features=fitted.features, classes=fitted.classes,
            )
        )  # fmt: skip

    def week(self) -> pd.DataFrame:
        return self._dated(rows(NOW - WEEK, NOW))

    def _dated(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{part: getattr(frame.t.dt, part) for part in (CALENDAR if self.calendar else ())})

    def observe(self, frame: pd.DataFrame | None, *, scored: bool = False, **monitoring: Any) -> DriftReport:
        """Write the week before NOW and look at it."""
        path = self.rows / "now.parquet"
        path.unlink(missing_ok=True)
        if frame is not None:
            frame.to_parquet(path, index=False)
        spec = self.with_(**monitoring)
        self.store = open_source(spec.data.source, data_root=str(self.folder))  # which files there are is read once
        shutil.rmtree(self.folder / "storage" / "predictions", ignore_errors=True)
        if scored:
            window = replace(self.champion.candidate.holdout, start=NOW - WEEK, end=NOW)
            score(spec, self.champion, self.pipeline, self.store, self.storage, window, loop_run="m.score/r")
        history = monitoring.get("history", ())
        return observe(spec, self.champion, self.reference, self.store, self.storage, NOW, history=history)

    def with_(self, **parts: Any) -> ModelSpec:
        parts.pop("history", None)
        drift = {name: parts.pop(name) for name in list(parts) if name not in {"validation", "window"}}
        window = {"window": parts.pop("window")} if "window" in parts else {}
        given = {**SPEC, "features": self.spec.features.model_dump(), "monitoring": {"drift": drift, **window}, **parts}
        return ModelSpec.model_validate(given)
