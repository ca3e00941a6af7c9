"""The eighth stage: signals become one decision."""

from __future__ import annotations

from airflow_mlops.core.retraining.decide import decide_retraining, shadow_due
from airflow_mlops.core.retraining.log import ask_again, decide_and_log
from airflow_mlops.core.retraining.new_rows import count_new_rows
from airflow_mlops.core.retraining.shadow import report_shadow

__all__ = [
    "ask_again",
    "count_new_rows",
    "decide_and_log",
    "decide_retraining",
    "report_shadow",
    "shadow_due",
]
