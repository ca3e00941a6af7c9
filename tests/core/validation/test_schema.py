"""Columns that are missing, renamed, retyped or there twice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.records.snapshot import Column
from airflow_mlops.core.validation.schema import WantedColumn, compare
from airflow_mlops.core.validation.validate import (
    expectations_for,
    validate,
    wanted_columns,
)
from airflow_mlops.spec.problems import ReasonCode
from tests.support.validated_rows import AS_OF, BAD_TIME, ROWS, check, codes, frame, one, spec, with_value


@pytest.mark.parametrize(
    ("rows", "code", "field", "said"),
    [
        (frame().drop(columns="distance"), ReasonCode.COLUMN_MISSING, "distance", "no column 'distance' among 5"),
        (
            frame().rename(columns={"distance": "Distance_"}),
            ReasonCode.COLUMN_RENAMED,
            "distance",
            "'Distance_' (number)",
        ),
        (frame().rename(columns={"departure": "dep"}), ReasonCode.COLUMN_RENAMED, "departure", "'dep' (time)"),
        (
            frame(distance=[str(x) for x in range(ROWS)]),
            ReasonCode.COLUMN_RETYPED,
            "distance",
            "every value can be read",
        ),
        (frame(distance=["1"] * 199 + ["n/a!"]), ReasonCode.COLUMN_RETYPED, "distance", "1 of 200 values (0.5 %)"),
        (frame(departure=["2013-02-01"] * ROWS), ReasonCode.TIME_INVALID, "departure", "text"),
        (frame(carrier=pd.Timestamp("2013-01-01")), ReasonCode.COLUMN_RETYPED, "carrier", "time"),
        (frame(distance=np.nan), ReasonCode.COLUMN_ALL_NULL, "distance", "all 200 rows"),
        (frame(late=None), ReasonCode.LABELS_MISSING, "late", "all 200 rows"),
        (with_value("distance", -np.inf), ReasonCode.VALUE_NOT_FINITE, "distance", "3 of 200"),
        (BAD_TIME, ReasonCode.TIME_IN_FUTURE, "departure", "103 of 200"),
        (with_value("flight_id", 5), ReasonCode.KEY_DUPLICATED, "flight_id", "4 of 200"),
        (
            frame(
                departure=[pd.Timestamp("2013-02-01", tz="UTC"), pd.Timestamp("2013-02-01", tz="Europe/Berlin")] * 100
            ),
            ReasonCode.TIME_INVALID,
            "departure",
            "more than one zone",
        ),
    ],
)
def test_broken_columns_are_told_apart(rows: pd.DataFrame, code: ReasonCode, field: str, said: str) -> None:
    report = check(rows)
    assert not report.passed
    (problem,) = report.problems
    assert (problem.code, problem.field) == (code, field)
    assert said in problem.found


def test_duplicated_column_names() -> None:
    rows = frame()
    doubled = pd.concat([rows, rows[["distance"]]], axis=1)
    assert codes(check(doubled)) == [ReasonCode.COLUMN_DUPLICATED]


def test_extra_columns_warn_by_default_and_follow_the_specification() -> None:
    rows = frame(tail_number="N1", wind=2.0)
    assert check(rows).passed
    assert codes(check(rows)) == [ReasonCode.COLUMN_EXTRA]
    assert "tail_number, wind" in check(rows).problems[0].found
    assert not check(rows, validation=[{"expect": "columns", "extra": "forbid"}]).passed
    assert not check(rows, validation=[{"expect": "columns", "extra": "allow"}]).problems
    features = {"numeric": ["distance", "planned"], "categorical": ["carrier"], "exclude": ["tail_number", "wind"]}
    assert not check(rows, features=features).problems


def test_what_the_gate_judges_by_is_known_and_not_asked_for() -> None:
    gate = {"slices": {"columns": ["gone"]}, "fairness": {"columns": ["carrier"]}}
    wanted = wanted_columns(spec(gate={**gate, "champion": {"entity": "plane"}}))
    assert [w.name for w in wanted if w.role == "excluded"][-3:] == ["gone", "carrier", "plane"]


def test_features_found_by_type_have_no_extra_columns_and_are_all_looked_at() -> None:
    rows = frame(wind=np.inf, empty=None)
    assert codes(check(rows, features={})) == [ReasonCode.COLUMN_ALL_NULL, ReasonCode.VALUE_NOT_FINITE]


def test_a_renamed_column_is_looked_for_in_the_source_too() -> None:
    rows = frame().drop(columns="distance")
    source = [Column(name=str(n), type="int64") for n in rows.columns] + [Column(name="flight_distance", type="double")]
    model = spec()
    report = validate(
        rows,
        expectations_for(model),
        subject="m",
        source_columns=source,
        wanted_columns=wanted_columns(model),
        as_of=AS_OF,
    )
    assert codes(report) == [ReasonCode.COLUMN_RENAMED]
    assert "'flight_distance' (number)" in report.problems[0].found
    assert "2 expectations" in report.problems[0].found


def test_a_column_that_only_a_warning_names_is_a_warning_when_it_is_missing() -> None:
    report = one(frame(), expect="not_null", column="nowhere", severity="warning")
    assert report.passed
    assert codes(report) == [ReasonCode.COLUMN_MISSING]


@pytest.mark.parametrize("kind", ["double[pyarrow]", "Float64", "float32"])
def test_other_number_types_are_numbers(kind: str) -> None:
    assert check(frame(distance=frame()["distance"].astype(kind))).passed
    assert codes(check(frame(distance=pd.Series([np.inf] * ROWS).astype(kind)))) == [ReasonCode.VALUE_NOT_FINITE]


@pytest.mark.parametrize("kind", ["string", "string[pyarrow]", "category"])
def test_other_text_types_are_text(kind: str) -> None:
    rows = frame(carrier=frame()["carrier"].astype(kind))
    assert check(rows, validation=[{"expect": "in_set", "column": "carrier", "values": ["UA", "AA"]}]).passed


def test_a_date_is_fine_for_a_transformer_and_named_with_its_remedy_without_one() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2024-01-01T00:00Z"]), "zip": ["1010"]})
    (refused,) = compare(frame, [WantedColumn(name="at", role="numeric")]).checks
    assert refused.problem is not None
    assert "features.calendar: {at: [hour" in refused.problem.fix
    assert compare(frame, [WantedColumn(name="at", role="numeric or time")]).checks == ()
    assert compare(frame, [WantedColumn(name="at", role="categorical or time")]).checks == ()
    assert compare(frame, [WantedColumn(name="at", role="calendar")]).checks == ()
    assert compare(frame, [WantedColumn(name="zip", role="calendar")]).checks == ()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pd.to_datetime(["2024-01-01T00:00Z", None]), "time"),
        (pd.to_timedelta([1, 2], "D"), "duration"),
        ([[1], [2, 3]], "other"),
        ([b"a", b"b"], "other"),
    ],
    ids=["times", "durations", "lists", "bytes"],
)
def test_a_label_that_is_neither_class_nor_number_is_refused(values: Any, kind: str) -> None:
    (refused,) = compare(pd.DataFrame({"y": values}), [WantedColumn(name="y", role="label")]).checks
    assert refused.problem is not None
    assert refused.problem.code is ReasonCode.COLUMN_RETYPED
    assert refused.problem.found.startswith(kind)
    assert refused.problem.allowed == "a column 'y' of classes or numbers"
    assert "name another data.label" in refused.problem.fix


@pytest.mark.parametrize(
    "values", [["a", None], [1, 2], [0.5, None], [True, False], [None, None], [Decimal("1.5")] * 2]
)
def test_classes_and_numbers_of_any_type_are_labels(values: Any) -> None:
    assert compare(pd.DataFrame({"y": values}), [WantedColumn(name="y", role="label")]).checks == ()
