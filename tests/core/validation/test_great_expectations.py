"""Great Expectations by its own names, in batches, without a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from airflow_mlops.spec.problems import ReasonCode
from tests.support.validated_rows import check, frame, one, with_value


def test_an_unknown_great_expectations_name_is_refused_with_a_suggestion() -> None:
    report = one(frame(), expect="expect_column_values_to_be_betwen", column="distance", min_value=0)
    (problem,) = report.problems
    assert problem.code is ReasonCode.EXPECTATION_UNKNOWN
    assert "did you mean 'expect_column_values_to_be_between'?" in problem.fix


@pytest.mark.parametrize(
    ("arguments", "passes", "found"),
    [
        ({"expect": "expect_column_values_to_be_between", "column": "distance", "max_value": 5000}, True, ""),
        ({"expect": "expect_column_values_to_be_between", "column": "distance", "max_value": 99}, False, "200 of 200"),
        ({"expect": "expect_column_max_to_be_between", "column": "distance", "max_value": 9}, False, "not allowed"),
        ({"expect": "expect_column_values_to_match_regex", "column": "carrier", "regex": "^[A-Z]{2}$"}, True, ""),
        ({"expect": "expect_column_values_to_match_regex", "column": "carrier", "regex": "("}, False, "computed"),
        ({"expect": "expect_column_to_exist", "column": "nowhere"}, False, "not allowed"),
        ({"expect": "expect_table_column_count_to_equal", "value": 6}, True, ""),
        ({"expect": "expect_table_column_count_to_equal", "value": 5}, False, "6"),
        ({"expect": "expect_column_mean_to_be_between", "column": "carrier", "max_value": 9}, False, "computed"),
        (
            {
                "expect": "expect_column_values_to_be_between",
                "column": "distance",
                "max_value": 5000,
                "row_condition": "planned > 0",
                "condition_parser": "pandas",
            },
            True,
            "",
        ),
        (
            {
                "expect": "expect_column_pair_values_a_to_be_greater_than_b",
                "column_A": "planned",
                "column_B": "distance",
            },
            True,
            "",
        ),
        ({"expect": "expect_compound_columns_to_be_unique", "column_list": ["carrier", "late"]}, False, "200 of 200"),
    ],
)
def test_great_expectations_own_names_pass_through(arguments: dict[str, Any], passes: bool, found: str) -> None:
    report = one(frame(), **arguments)
    assert report.passed is passes, report.problems
    if not passes:
        (problem,) = report.problems
        assert found in problem.found


def test_wide_frames_give_the_same_answers_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = with_value("distance", np.inf).assign(carrier=None)
    checks = [
        {"expect": "not_null", "columns": ["carrier", "late"]},
        {"expect": "between", "columns": ["distance", "planned"], "min": 0, "max": 9999},
        {"expect": "compare", "left": "distance", "op": "<", "right": "planned"},
        {"expect": "expect_table_column_count_to_equal", "value": 6},
    ]
    together = check(rows, validation=checks)
    monkeypatch.setattr("airflow_mlops.core.validation.great_expectations.CELLS", 0)
    assert check(rows, validation=checks) == together
    assert not together.passed


def test_no_network_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert check(frame()).passed
