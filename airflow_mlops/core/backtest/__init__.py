"""The whole loop, replayed over history."""

from __future__ import annotations

from airflow_mlops.core.backtest.advise import advise, plan_looks
from airflow_mlops.core.backtest.grid import grid_of
from airflow_mlops.core.backtest.plan import Plan, plan_of
from airflow_mlops.core.backtest.policies import policies_of
from airflow_mlops.core.backtest.run import backtest

__all__ = ["Plan", "advise", "backtest", "grid_of", "plan_looks", "plan_of", "policies_of"]
