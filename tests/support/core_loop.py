"""A small model loop without stores: specification, rows, snapshot, candidate and champion, made by hand."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.metrics import measure as metrics
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.evidence import ServingReport
from airflow_mlops.core.records.snapshot import Column, Snapshot
from airflow_mlops.core.rows.labels import clean_labels
from airflow_mlops.core.rows.windows import label_window, rows_within
from airflow_mlops.core.stats.bootstrap import time_blocks
from airflow_mlops.core.training.fit import Fitted, fit
from airflow_mlops.spec import ModelSpec
from tests.support.builders import AS_OF, LOGISTIC, make_candidate, make_champion, make_snapshot, make_spec

HISTOGRAM = "sklearn.ensemble.HistGradientBoostingClassifier"
TYPES = {"int64": "int64", "float64": "double", "bool": "bool", "object": "string", "Int64": "int64"}
SERVED = ServingReport(
    model_uri="models:/m-run",
    environment="current",
    rows=200,
    max_difference=0.0,
    load_seconds=0.1,
    row_ms=(1.0, 2.0),
    batch_ms=(2.0, 3.0),
    size_bytes=1000,
    python="3.11.7",
)
"""A candidate that a fresh interpreter served as it was trained."""


class Loop:
    """Builders; every argument has a default that makes a loop which works."""

    as_of = AS_OF

    def spec(self, estimator: str = HISTOGRAM, **parts: Any) -> ModelSpec:
        training = {"estimator": estimator, **parts.pop("training", {})}
        if "HistGradient" in training["estimator"]:
            training["parameters"] = {"max_iter": 10, **training.get("parameters", {})}
        return make_spec(data={"label_delay": "1d", "window": "60d"}, training=training, **parts)

    def frame(self, rows: int = 2000, seed: int = 0, kind: str = "binary") -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        seconds = np.sort(rng.uniform(0, 59 * 86400, rows))
        times = pd.Timestamp(self.as_of - timedelta(days=60)) + pd.to_timedelta(seconds, unit="s")
        a, b, c = rng.normal(size=rows), rng.normal(size=rows), rng.choice(list("xyz"), rows)
        hidden = 1.2 * a + np.where(c == "x", 1.0, -0.5) + rng.normal(size=rows)
        labels = {"binary": hidden > 0, "multiclass": np.digitize(hidden, [-0.5, 0.8]), "regression": hidden}[kind]
        frame = pd.DataFrame({"id": np.arange(rows), "t": times.as_unit("us"), "y": labels, "a": a, "b": b, "c": c})
        frame.loc[::17, "a"] = np.nan
        frame.loc[::23, "c"] = None
        return frame

    def snapshot(self, spec: ModelSpec, frame: pd.DataFrame, as_of: datetime | None = None) -> Snapshot:
        moment = as_of or self.as_of
        columns = tuple(
            Column(name=str(name), type=TYPES.get(str(dtype), "timestamp[us, tz=UTC]"))
            for name, dtype in frame.dtypes.items()
        )
        window = label_window(spec, moment)
        return make_snapshot(moment, model=spec.name, window=window, rows=len(frame), columns=columns)

    def candidate(self, fitted: Fitted, run_id: str = "run", **changes: Any) -> Candidate:
        made = {"as_of": self.as_of, "convergence": {"warnings": [], "iterations": 10, "limit": 100}, **changes}
        return make_candidate(
            **{
                "run_id": run_id, "task": fitted.task, "train": fitted.train, "holdout": fitted.holdout,
                "train_rows": len(fitted.train_frame), "holdout_rows": len(fitted.holdout_frame),
                "features": fitted.features, "classes": fitted.classes, "parameters": fitted.parameters,
                "metrics": fitted.metrics, **made,
            }
        )  # fmt: skip

    def champion(self, fitted: Fitted, version: int = 3, **changes: Any) -> Champion:
        candidate = self.candidate(fitted, "old", **changes)
        return make_champion(candidate, version)

    def bench(
        self, estimator: str = LOGISTIC, frame: pd.DataFrame | None = None, kind: str = "binary",
        weights: np.ndarray | None = None, **parts: Any,
    ) -> RuleInput:  # fmt: skip
        """A fitted candidate on its holdout rows, without a champion; `dataclasses.replace` gives it one."""
        frame = self.frame(kind=kind) if frame is None else frame
        spec = self.spec(estimator, **parts)
        snapshot = self.snapshot(spec, frame)
        fitted = fit(spec, snapshot, frame)
        candidate, classification = self.candidate(fitted), fitted.task != "regression"
        train, train_labels = clean_labels(spec, rows_within(frame, "t", fitted.train), classification)
        rows, labels = clean_labels(spec, rows_within(frame, "t", fitted.holdout), classification)
        predicted = predict(fitted.pipeline, rows, candidate)
        return RuleInput(
            spec=spec, candidate=candidate, pipeline=fitted.pipeline, champion=None, snapshot=snapshot,
            metric=metrics.METRICS[metrics.primary(spec, fitted.task)], window=fitted.holdout, rows=rows, labels=labels,
            block=time_blocks(rows["t"], spec.gate.champion.block),
            judged=metrics.judge(labels, predicted, weights=weights), other=None, train=train,
            train_labels=train_labels, serving=None,
        )  # fmt: skip


@pytest.fixture(scope="session")
def loop() -> Loop:
    return Loop()
