"""The Airflow plugin: registers, and does nothing else."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_mlops import preload
from airflow_mlops.timetables import LoopTimetable


class MLOpsPlugin(AirflowPlugin):
    """Registers the listener that warms workers, and the schedule that a loop may have."""

    name = "mlops"
    listeners = [preload.WarmWorkers()]  # noqa: RUF012 - Airflow declares an instance variable
    timetables = [LoopTimetable]  # noqa: RUF012 - Airflow declares an instance variable
