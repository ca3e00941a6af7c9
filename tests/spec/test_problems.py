"""Problems have one shape."""

from __future__ import annotations

import dataclasses

from airflow_mlops.spec import Problem


def test_problems_have_one_shape() -> None:
    assert [field.name for field in dataclasses.fields(Problem)] == [
        "code",
        "field",
        "found",
        "allowed",
        "fix",
        "where",
    ]
