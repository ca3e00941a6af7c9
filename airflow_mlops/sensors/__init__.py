"""Sensors of the loop. Names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_mlops.sensors.drift import DriftSensor as DriftSensor
    from airflow_mlops.sensors.new_data import NewDataSensor as NewDataSensor
    from airflow_mlops.sensors.performance import PerformanceSensor as PerformanceSensor

_HOMES = {"DriftSensor": "drift", "NewDataSensor": "new_data", "PerformanceSensor": "performance"}
__all__ = [  # noqa: PLE0604 - the names are the dictionary's keys, kept once
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_HOMES)}")
