"""Every short expectation name passes and fails, whatever its severity, and refuses wrong arguments."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.validation.rules import RULES
from airflow_mlops.core.validation.schema import WantedColumn
from airflow_mlops.core.validation.validate import (
    audit,
    validate,
)
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.validation import SHORT_NAMES, Expectation
from tests.support.validated_rows import AS_OF, BAD_TIME, codes, frame, one, with_value

CASES: dict[str, tuple[dict[str, Any], pd.DataFrame, str]] = {
    "row_count": ({"min": 100, "max": 1000}, frame().head(99), "99 rows"),
    "not_null": ({"column": "carrier"}, with_value("carrier", None), "3 of 200 values (1.5 %) are empty"),
    "unique": ({"columns": ["flight_id"]}, with_value("flight_id", 7), "4 of 200 values (2 %)"),
    "between": ({"column": "distance", "min": 0, "max": 3000}, with_value("distance", -1.0), "3 of 200 values (1.5 %)"),
    "in_set": ({"column": "carrier", "values": ["UA", "AA"]}, with_value("carrier", "ZZ"), "3 of 200 values (1.5 %)"),
    "type": ({"column": "distance", "type": "number"}, frame(distance="far"), "text (object)"),
    "finite": ({"column": "distance"}, with_value("distance", np.inf), "3 of 200 rows (1.5 %) are infinite"),
    "freshness": ({"max_age": "30d"}, frame(departure=pd.Timestamp("2012-01-01", tz="UTC")), "425 d older than as-of"),
    "compare": (
        {"left": "distance", "op": "<", "right": "planned"},
        with_value("planned", 0.0),
        "3 of 200 rows (1.5 %)",
    ),
    "columns": ({"extra": "forbid"}, frame(surprise=1), "1 column that nothing asks for: surprise"),
    "not_all_null": ({"columns": ["distance"]}, frame(distance=np.nan), "all 200 rows are empty"),
    "not_future": ({"column": "departure"}, BAD_TIME, "103 of 200 rows (51.5 %) lie after the as-of time"),
}


def test_every_short_name_has_a_rule_and_a_case() -> None:
    assert set(SHORT_NAMES) == set(RULES) == set(CASES)
    assert set(SHORT_NAMES) == {
        *("row_count", "not_null", "unique", "between", "in_set", "type", "finite", "freshness", "compare", "columns"),
        *("not_all_null", "not_future"),
    }


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("severity", ["error", "warning"])
def test_each_short_name_passes_and_fails(name: str, severity: str) -> None:
    arguments, bad, found = CASES[name]
    asked = Expectation.model_validate({"expect": name, "severity": severity, **arguments})
    wanted = [WantedColumn(name="departure", role="time")]
    if name == "columns":
        wanted = [
            WantedColumn(name="departure", role="time"),
            *(WantedColumn(name=str(n)) for n in frame().columns[1:]),
        ]
    good = validate(frame(), [asked], subject="rows", wanted_columns=wanted, as_of=AS_OF)
    assert good.passed
    assert not good.problems
    assert name in [each.expectation for each in good.checks]
    report = validate(bad, [asked], subject="rows", wanted_columns=wanted, as_of=AS_OF)
    assert report.passed is (severity == "warning")
    (problem,) = report.problems
    assert found in problem.found
    assert problem.allowed
    assert problem.fix
    assert len(report.to_json()["checks"]) == len(report.checks)


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_short_name_fails_or_says_nothing_on_no_rows(name: str) -> None:
    report = one(frame().iloc[:0], expect=name, **CASES[name][0])
    assert not report.passed
    assert ReasonCode.WINDOW_EMPTY in codes(report) or name == "row_count"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"expect": "row_count", "min": 1.5}, "float 1.5"),
        ({"expect": "row_count", "min": 9, "max": 3}, "min 9 above max 3"),
        ({"expect": "between", "column": "distance", "min": 1, "max": "z"}, "different types"),
        ({"expect": "between", "column": "distance", "min": [1]}, "list"),
        ({"expect": "in_set", "column": "carrier", "values": []}, "no list of values"),
        ({"expect": "in_set", "column": "carrier", "values": "UA"}, "no list of values"),
        ({"expect": "type", "column": "distance", "type": "varchar"}, "varchar"),
        ({"expect": "compare", "left": "distance", "op": "~", "right": "planned"}, "op '~'"),
        ({"expect": "compare", "left": "distance", "op": "<", "right": 3}, "no column name as right"),
        ({"expect": "columns", "extra": "maybe"}, "maybe"),
        ({"expect": "expect_column_values_to_be_between", "column": "distance", "min_valu": 1}, "min_valu"),
        ({"expect": "expect_column_values_to_be_in_set", "column": "carrier", "value_set": 3}, "list"),
        ({"expect": "expect_column_values_to_be_between", "min_value": 1}, "column"),
        ({"expect": "expect_column_to_exist", "column": "late", "result_format": "COMPLETE"}, "result_format"),
    ],
)
def test_wrong_arguments_are_one_clear_problem_and_an_error_whatever_the_severity(
    arguments: dict[str, Any], said: str
) -> None:
    asked = Expectation.model_validate({**arguments, "severity": "warning"})
    (problem,) = audit([asked])
    assert problem.code is ReasonCode.SPEC_INVALID_VALUE
    assert said in problem.found
    report = validate(frame(), [asked], subject="rows")
    assert not report.passed
    assert [p.found for p in report.problems] == [problem.found]


def test_mostly_lets_through_what_it_says() -> None:
    rows = with_value("carrier", None, slice(0, 2))
    assert one(rows, expect="not_null", column="carrier", mostly=0.99).passed
    assert not one(rows, expect="not_null", column="carrier", mostly=0.995).passed


def test_time_bounds_are_read_in_the_columns_zone() -> None:
    assert one(frame(), expect="between", column="departure", min="2013-02-01").passed
    assert not one(frame(), expect="between", column="departure", min="2013-02-02").passed
    naive = frame(planned=pd.Timestamp("2013-02-03"))
    assert one(naive, expect="between", column="planned", min="2013-02-03", max="2013-02-03T00:00:00").passed


def test_freshness_counts_from_as_of() -> None:
    newest = frame()["departure"].max().to_pydatetime()
    edge = (AS_OF - newest) // timedelta(hours=1)
    assert one(frame(), expect="freshness", max_age=f"{edge}h").passed
    assert not one(frame(), expect="freshness", max_age=f"{edge - 1}h").passed
    asked = [Expectation.model_validate({"expect": "freshness", "max_age": "1d"})]
    assert "no as-of time and no time column" in validate(frame(), asked, subject="rows").problems[0].found
