"""The second stage: whether rows may be trained on."""

from __future__ import annotations

from airflow_mlops.core.validation.schema import WantedColumn
from airflow_mlops.core.validation.validate import (
    enforce,
    expectations_for,
    validate,
    validate_snapshot,
    wanted_columns,
)

__all__ = ["WantedColumn", "enforce", "expectations_for", "validate", "validate_snapshot", "wanted_columns"]
