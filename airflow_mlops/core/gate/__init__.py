"""The fourth stage: judge a candidate, and decide."""

from __future__ import annotations

from airflow_mlops.core.gate.curves import curves
from airflow_mlops.core.gate.decide import decide
from airflow_mlops.core.gate.evaluate import evaluate, numbers
from airflow_mlops.core.gate.holdout import HoldoutComparison, judged_rows, score_models
from airflow_mlops.core.gate.rules import RULES
from airflow_mlops.core.gate.rules.champion import compare
from airflow_mlops.core.gate.rules.serving import require
from airflow_mlops.core.gate.rules.slices.weakest import weakest

__all__ = [
    "RULES",
    "HoldoutComparison",
    "compare",
    "curves",
    "decide",
    "evaluate",
    "judged_rows",
    "numbers",
    "require",
    "score_models",
    "weakest",
]
