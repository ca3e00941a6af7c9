"""A validation report: what passes, what fails, and what becomes of errors and warnings."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Column, Snapshot
from airflow_mlops.core.records.validation import ValidationReport
from airflow_mlops.core.validation.validate import (
    enforce,
    expectations_for,
    validate,
    validate_snapshot,
)
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.validation import Expectation
from tests.support.builders import make_snapshot
from tests.support.validated_rows import AS_OF, check, codes, frame, spec


def test_the_same_expectation_twice_is_answered_twice() -> None:
    asked = Expectation(expect="not_null", column="late")
    report = validate(frame(), [asked, asked], subject="rows")
    assert [each.expectation for each in report.checks].count("not_null") == 2


def test_good_rows_pass_and_are_let_through() -> None:
    report = check(frame())
    assert report.passed, report.problems
    assert not report.problems
    enforce(report)
    assert ValidationReport.from_json(json.loads(report.to_text())) == report


def test_an_empty_frame_fails_even_when_nothing_asks_for_rows() -> None:
    report = validate(frame().iloc[:0], [Expectation(expect="not_null", column="late")], subject="rows")
    assert codes(report) == [ReasonCode.WINDOW_EMPTY]
    assert codes(validate(pd.DataFrame(), [], subject="rows")) == [ReasonCode.WINDOW_EMPTY]


def test_enforce_carries_errors_only_with_the_subject() -> None:
    report = check(frame(extra=1, distance=np.inf))
    with pytest.raises(DataError, match="flight_delay: data of 200 rows is not fit to be used") as caught:
        enforce(report)
    assert [problem.code for problem in caught.value.problems] == [ReasonCode.VALUE_NOT_FINITE]
    warned = check(frame(extra=1))
    enforce(warned)
    with pytest.raises(DataError, match="extra"):
        enforce(warned, fail_on="warning")


def snapshot_of(model: ModelSpec, rows: pd.DataFrame, source: tuple[Column, ...]) -> Snapshot:
    return make_snapshot(
        AS_OF, model=model.name, rows=len(rows), columns=source, time=model.data.time, key=model.data.key,
        label=model.data.label,
    )  # fmt: skip


def test_a_snapshot_is_checked_against_its_specification_and_what_is_asked_beside() -> None:
    model, rows = spec(), frame()
    columns = tuple(Column(name=str(name), type="double") for name in (*rows, "surprise"))
    taken = snapshot_of(model, rows, columns)
    more = [Expectation.model_validate({"expect": "between", "column": "distance", "max": 0})]
    plain, asked = validate_snapshot(model, taken, rows), validate_snapshot(model, taken, rows, more)
    assert {check.expectation for check in plain.checks} >= {each.expect for each in expectations_for(model)}
    assert codes(plain) == [ReasonCode.COLUMN_EXTRA]  # of the source, not of the rows
    assert sorted(codes(asked)) == [ReasonCode.COLUMN_EXTRA, ReasonCode.EXPECTATION_FAILED]
