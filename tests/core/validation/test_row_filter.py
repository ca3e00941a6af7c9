"""Which rows a condition holds for, against pandas' own query where both can say it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.records.validation import ValidationReport
from airflow_mlops.core.validation.row_filter import matching_rows
from airflow_mlops.core.validation.validate import validate
from airflow_mlops.spec.row_conditions import parse_condition
from airflow_mlops.spec.validation import Expectation


def frame(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "b": rng.integers(0, 5, rows),
            "c d": rng.choice(["x", "y", "z"], rows),
        }
    )


def one(rows: pd.DataFrame, **asked: Any) -> ValidationReport:
    return validate(rows, [Expectation.model_validate(asked)], subject="rows")


SAME = [
    "a > 0", "a <= 0.5 and b != 3", "a > 0 or b in [1, 2]", "not (a > 0)", "b not in [1]", "a < b", "`c d` == 'x'",
    "(a > 0 or b > 3) and not `c d` == 'y'", "1 < b", "b == 2.0",
]  # fmt: skip


@pytest.mark.parametrize("text", SAME)
def test_it_is_what_pandas_says(text: str) -> None:
    rows = frame()
    found = matching_rows(rows, parse_condition(text))
    assert found.dtype == bool
    assert found.index.equals(rows.index)
    pd.testing.assert_frame_equal(rows[found], rows.query(text))


def test_a_missing_value_matches_no_comparison_and_no_set() -> None:
    rows = pd.DataFrame({"a": [1.0, None], "t": ["x", None], "i": pd.array([1, None], dtype="Int64")})
    for text in ("a != 5", "a not in [5]", "t != 'y'", "t in ['x']", "i >= 1", "a is not null", "i == a"):
        assert matching_rows(rows, parse_condition(text)).tolist() == [True, False], text
    assert matching_rows(rows, parse_condition("t is null")).tolist() == [False, True]


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_a_text_is_a_time_where_the_column_holds_times(zone: str | None) -> None:
    times = pd.to_datetime(["2026-01-01T00:00", "2026-01-02T00:00"]).tz_localize("UTC")
    rows = pd.DataFrame({"t": times.tz_convert(zone) if zone else times.tz_localize(None)})
    for text in ("t >= '2026-01-02'", "t == '2026-01-02T01:00+01:00'", "t in ['2026-01-02']"):
        assert matching_rows(rows, parse_condition(text)).tolist() == [False, True], text


def test_categories_compare_as_what_they_are() -> None:
    rows = pd.DataFrame({"c": pd.Categorical(["x", "y"]), "n": pd.Categorical([1, 2])})
    assert matching_rows(rows, parse_condition("c == 'x' or n > 1")).tolist() == [True, True]


def test_an_expectation_is_about_the_rows_of_its_condition() -> None:
    rows = pd.DataFrame({"distance": [10, 20, 5000], "kind": ["short", "short", "long"]})
    asked = {"expect": "expect_column_values_to_be_between", "column": "distance", "max_value": 100}
    assert not one(rows, **asked).passed
    assert one(rows, **asked, row_condition="kind == 'short'").passed
    report = one(rows, **asked, row_condition="kind == 'long' or distance > 15", condition_parser="pandas")
    assert [problem.found for problem in report.problems] == ["1 of 2 values (50 %) break it"]


def test_a_condition_that_cannot_be_computed_or_names_no_column_fails() -> None:
    rows = pd.DataFrame({"distance": [10, 20], "kind": ["short", "long"]})
    asked = {"expect": "expect_column_values_to_be_between", "column": "distance", "max_value": 100}
    (problem,) = one(rows, **asked, row_condition="kind > 3").problems
    assert "do not compare with its columns (kind: text)" in problem.found
    (problem,) = one(rows, **asked, row_condition="kindd == 'short'").problems
    assert "kindd" in str(problem)
    (problem,) = one(rows, expect="expect_column_to_exist", column="kind", row_condition="distance > 0").problems
    assert "row_condition" in str(problem)
