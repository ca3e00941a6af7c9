"""Whether the rows of a window are still those of the reference."""

from __future__ import annotations

from airflow_mlops.core.monitoring.drift.evidently import evidently_page
from airflow_mlops.core.monitoring.drift.observe import observe

__all__ = ["evidently_page", "observe"]
