"""Fitting a frame of the loop's rows."""

from typing import Any

import pandas as pd

from airflow_mlops.core.training.fit import fit

LOGISTIC = "sklearn.linear_model.LogisticRegression"


def fitted_of(loop: Any, spec: Any, frame: pd.DataFrame) -> Any:
    return fit(spec, loop.snapshot(spec, frame), frame)
