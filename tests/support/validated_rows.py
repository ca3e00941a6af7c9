"""Rows of flights that pass, their specification, and their report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from airflow_mlops.core.records.validation import ValidationReport
from airflow_mlops.core.validation.schema import WantedColumn
from airflow_mlops.core.validation.validate import (
    expectations_for,
    validate,
    wanted_columns,
)
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.validation import Expectation

AS_OF = datetime(2013, 3, 1, tzinfo=UTC)


ROWS = 200


def frame(**changed: Any) -> pd.DataFrame:
    base: dict[str, Any] = {
        "departure": pd.date_range("2013-02-01", periods=ROWS, freq="h", tz="UTC"),
        "flight_id": np.arange(ROWS),
        "late": np.arange(ROWS) % 2,
        "distance": np.linspace(100.0, 2000.0, ROWS),
        "planned": np.linspace(150.0, 2050.0, ROWS),
        "carrier": ["UA", "AA"] * (ROWS // 2),
    }
    return pd.DataFrame({**base, **changed})


def spec(**changed: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "flight_delay",
            "owner": "ops",
            "data": {"source": {"path": "x"}, "time": "departure", "key": "flight_id", "label": "late"},
            "features": {"numeric": ["distance", "planned"], "categorical": ["carrier"]},
            "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
            **changed,
        }
    )


def check(rows: pd.DataFrame, **changed: Any) -> ValidationReport:
    model = spec(**changed)
    return validate(
        rows, expectations_for(model), subject=model.name, wanted_columns=wanted_columns(model), as_of=AS_OF
    )


def one(rows: pd.DataFrame, **expectation: Any) -> ValidationReport:
    return validate(
        rows,
        [Expectation.model_validate(expectation)],
        subject="rows",
        wanted_columns=[WantedColumn(name="departure", role="time")],
        as_of=AS_OF,
    )


def codes(report: ValidationReport) -> list[ReasonCode]:
    return [problem.code for problem in report.problems]


def with_value(column: str, value: Any, rows: slice = slice(0, 3)) -> pd.DataFrame:
    changed = frame()
    changed[column] = changed[column].astype(object) if isinstance(value, str) or value is None else changed[column]
    changed.loc[changed.index[rows], column] = value
    return changed


BAD_TIME = frame(departure=pd.date_range("2013-02-25", periods=ROWS, freq="h", tz="UTC"))
