"""Expectations and their arguments."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_mlops.spec import SpecError
from airflow_mlops.spec.validation import Expectation


def test_extra_arguments_of_an_expectation_are_plain() -> None:
    expectation = Expectation.model_validate({"expect": "expect_x", "column": "a", "value_set": (1, "b")})
    assert (expectation.arguments, expectation.targets) == ({"value_set": [1, "b"]}, ("a",))
    with pytest.raises(SpecError, match="a datetime"):
        Expectation.model_validate({"expect": "expect_x", "min_value": datetime(2013, 1, 1, tzinfo=UTC)})
