"""The loop's stages as Airflow operators. Names load on first use, so that a DAG file pays for what it uses."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_mlops.operators.approval import ApproveOperator as ApproveOperator
    from airflow_mlops.operators.gate import EvaluateGateOperator as EvaluateGateOperator
    from airflow_mlops.operators.performance import PerformanceOperator as PerformanceOperator
    from airflow_mlops.operators.promotion import PromoteOperator as PromoteOperator
    from airflow_mlops.operators.retraining import RetrainOperator as RetrainOperator
    from airflow_mlops.operators.rollback import RollbackOperator as RollbackOperator
    from airflow_mlops.operators.scoring import ScoreOperator as ScoreOperator
    from airflow_mlops.operators.snapshot import SnapshotOperator as SnapshotOperator
    from airflow_mlops.operators.training import TrainOperator as TrainOperator
    from airflow_mlops.operators.validation import DataValidationOperator as DataValidationOperator

_HOMES = {
    "SnapshotOperator": "snapshot",
    "DataValidationOperator": "validation",
    "TrainOperator": "training",
    "EvaluateGateOperator": "gate",
    "ApproveOperator": "approval",
    "PromoteOperator": "promotion",
    "RollbackOperator": "rollback",
    "ScoreOperator": "scoring",
    "PerformanceOperator": "performance",
    "RetrainOperator": "retraining",
}
__all__ = [  # noqa: PLE0604 - the names are the dictionary's keys, kept once
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}")
