"""The Airflow plugin: registers, and does nothing else."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_mlops import preload


class MLOpsPlugin(AirflowPlugin):
    """Registers the listener that warms workers."""

    name = "mlops"
    listeners = [preload.WarmWorkers()]  # noqa: RUF012 - Airflow declares an instance variable
