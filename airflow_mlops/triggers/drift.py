"""The path under which deferred tasks know :class:`~airflow_mlops.triggers.window.WindowTrigger`.

It stands in Airflow's database while a task waits, and a triggerer of the release before may read it during an upgrade.
"""

from airflow_mlops.triggers.window import WindowTrigger

__all__ = ["WindowTrigger"]
