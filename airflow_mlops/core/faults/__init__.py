"""Faults of the pipeline in the rows themselves: which days are broken, by comparing days with days."""

from __future__ import annotations

from airflow_mlops.core.faults.column import Role
from airflow_mlops.core.faults.days import DayRows, DaySampler, sample_days
from airflow_mlops.core.faults.find import find_faults
from airflow_mlops.core.faults.spans import covering

__all__ = ["DayRows", "DaySampler", "Role", "covering", "find_faults", "sample_days"]
