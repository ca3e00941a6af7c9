"""Where rows come from."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.spec.data import source_from


@pytest.mark.parametrize("source", [{"path": "x/", "format": "csv"}, {"conn_id": "w", "table": "t"}])
def test_a_source_survives_a_trigger(source: dict[str, Any]) -> None:
    made = source_from(source)
    assert source_from(made.model_dump(mode="json")) == made
