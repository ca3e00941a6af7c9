"""The shortest useful specification, as text and as a mapping."""

from __future__ import annotations

from typing import Any

from airflow_mlops.spec import ModelSpec, parse_spec

TEN_LINES = """\
name: flight_delay
owner: ops-analytics
schedule: "@monthly"
data:
  source: {path: flights/}
  time: departure
  key: flight_id
  label: late
training:
  estimator: sklearn.linear_model.LogisticRegression
"""
RAW: dict[str, Any] = {
    "name": "flight_delay",
    "owner": "ops-analytics",
    "schedule": "@monthly",
    "data": {"source": {"path": "flights/"}, "time": "departure", "key": "flight_id", "label": "late"},
    "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
}


def with_lines(text: str) -> ModelSpec:
    return parse_spec(TEN_LINES + text)
