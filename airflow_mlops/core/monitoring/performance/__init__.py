"""Whether the champion still does what the gate expected of it."""

from __future__ import annotations

from airflow_mlops.core.monitoring.performance.cohort import cohort_window
from airflow_mlops.core.monitoring.performance.measure import measure_performance
from airflow_mlops.core.monitoring.performance.prepared import Prepared, prepare

__all__ = ["Prepared", "cohort_window", "measure_performance", "prepare"]
