"""Arguments of Great Expectations names: data only."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.spec import SpecError
from airflow_mlops.spec.expectation_arguments import argument_problems
from airflow_mlops.spec.validation import Expectation

TAKEN: list[dict[str, Any]] = [
    {"min_value": 1, "max_value": "2026-01-01"},
    {"value_set": ["a", None, 1.5, True]},
    {"row_condition": "a > 0", "condition_parser": "great_expectations"},
    {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]}},
    {"json_schema": {"properties": {"a": {"$ref": "#/definitions/a"}}}},
    {"regex": "^[A-Z]+$", "type_": "float64"},
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"row_condition": "@os.system('id') == 0"}, "row_condition"),
    ({"row_condition": {"type": "pass_through", "pass_through_filter": "@x == 0"}}, "row_condition"),
    ({"row_condition": ["a > 0"]}, "row_condition"),
    ({"condition_parser": "python"}, "condition_parser"),
    ({"condition_parser": {"a": 1}}, "condition_parser"),
    ({"min_value": {"$PARAMETER": "9**9**9"}}, "min_value"),
    ({"max_value": {"$PARAMETER": "urn:great_expectations:stores:x"}}, "max_value"),
    ({"json_schema": {"$ref": "http://169.254.169.254/"}}, "json_schema"),
    ({"json_schema": {"allOf": [{"a": {"$ref": "file:///etc/passwd"}}]}}, "json_schema"),
    ({"json_schema": {"$id": "http://elsewhere/"}}, "json_schema"),
    ({"regex": "a" * 1001}, "regex"),
    ({"regex_list": ["a", "a" * 1001]}, "regex_list"),
    ({"type_": "i4," * 1000}, "type_"),
]


@pytest.mark.parametrize("arguments", TAKEN)
def test_data_is_taken(arguments: dict[str, Any]) -> None:
    assert list(argument_problems(arguments)) == []
    assert Expectation.model_validate({"expect": "expect_any", **arguments}).arguments == arguments


@pytest.mark.parametrize(("arguments", "field"), REFUSED)
def test_more_than_data_is_refused(arguments: dict[str, Any], field: str) -> None:
    assert {problem.field for problem in argument_problems(arguments)} == {field}
    with pytest.raises(SpecError, match=r"spec_unsafe"):
        Expectation.model_validate({"expect": "expect_any", **arguments})
