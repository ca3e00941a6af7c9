from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Column, Snapshot, Window
from airflow_mlops.core.records.validation import ValidationReport
from airflow_mlops.core.validation.rules import RULES
from airflow_mlops.core.validation.schema import WantedColumn
from airflow_mlops.core.validation.validate import (
    audit,
    enforce,
    expectations_for,
    validate,
    validate_snapshot,
    wanted_columns,
)
from airflow_mlops.reports.validation import render
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.validation import SHORT_NAMES, Expectation

AS_OF = datetime(2013, 3, 1, tzinfo=UTC)
ROWS = 200


def frame(**changed: Any) -> pd.DataFrame:
    base: dict[str, Any] = {
        "departure": pd.date_range("2013-02-01", periods=ROWS, freq="h", tz="UTC"),
        "flight_id": np.arange(ROWS),
        "late": np.arange(ROWS) % 2,
        "distance": np.linspace(100.0, 2000.0, ROWS),
        "planned": np.linspace(150.0, 2050.0, ROWS),
        "carrier": ["UA", "AA"] * (ROWS // 2),
    }
    return pd.DataFrame({**base, **changed})


def spec(**changed: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "flight_delay",
            "owner": "ops",
            "data": {"source": {"path": "x"}, "time": "departure", "key": "flight_id", "label": "late"},
            "features": {"numeric": ["distance", "planned"], "categorical": ["carrier"]},
            "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
            **changed,
        }
    )


def check(rows: pd.DataFrame, **changed: Any) -> ValidationReport:
    model = spec(**changed)
    return validate(
        rows, expectations_for(model), subject=model.name, wanted_columns=wanted_columns(model), as_of=AS_OF
    )


def one(rows: pd.DataFrame, **expectation: Any) -> ValidationReport:
    return validate(
        rows,
        [Expectation.model_validate(expectation)],
        subject="rows",
        wanted_columns=[WantedColumn(name="departure", role="time")],
        as_of=AS_OF,
    )


def codes(report: ValidationReport) -> list[ReasonCode]:
    return [problem.code for problem in report.problems]


def with_value(column: str, value: Any, rows: slice = slice(0, 3)) -> pd.DataFrame:
    changed = frame()
    changed[column] = changed[column].astype(object) if isinstance(value, str) or value is None else changed[column]
    changed.loc[changed.index[rows], column] = value
    return changed


BAD_TIME = frame(departure=pd.date_range("2013-02-25", periods=ROWS, freq="h", tz="UTC"))
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


def test_mostly_lets_through_what_it_says() -> None:
    rows = with_value("carrier", None, slice(0, 2))
    assert one(rows, expect="not_null", column="carrier", mostly=0.99).passed
    assert not one(rows, expect="not_null", column="carrier", mostly=0.995).passed


def test_time_bounds_are_read_in_the_columns_zone() -> None:
    assert one(frame(), expect="between", column="departure", min="2013-02-01").passed
    assert not one(frame(), expect="between", column="departure", min="2013-02-02").passed
    naive = frame(planned=pd.Timestamp("2013-02-03"))
    assert one(naive, expect="between", column="planned", min="2013-02-03", max="2013-02-03T00:00:00").passed


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
@given(pairs=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2) | st.none()), min_size=1, max_size=12))
@settings(max_examples=12, deadline=None)
def test_compare_agrees_with_python(op: str, pairs: list[tuple[int, int | None]]) -> None:
    rows = pd.DataFrame({"a": [a for a, _ in pairs], "b": pd.array([b for _, b in pairs], dtype="Int64")})
    report = validate(rows, [Expectation(expect="compare", left="a", op=op, right="b")], subject="rows")
    broken = sum(not eval(f"{a} {op} {b}") for a, b in pairs if b is not None)  # noqa: S307
    (seen,) = [each for each in report.checks if each.expectation == "compare"]
    assert (seen.passed, seen.unexpected or 0) == (broken == 0, broken)


@pytest.mark.parametrize("kind", ["double[pyarrow]", "Float64", "float32"])
def test_other_number_types_are_numbers(kind: str) -> None:
    assert check(frame(distance=frame()["distance"].astype(kind))).passed
    assert codes(check(frame(distance=pd.Series([np.inf] * ROWS).astype(kind)))) == [ReasonCode.VALUE_NOT_FINITE]


@pytest.mark.parametrize("kind", ["string", "string[pyarrow]", "category"])
def test_other_text_types_are_text(kind: str) -> None:
    rows = frame(carrier=frame()["carrier"].astype(kind))
    assert check(rows, validation=[{"expect": "in_set", "column": "carrier", "values": ["UA", "AA"]}]).passed


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


SECRETS = st.text(alphabet="QXZ", min_size=6, max_size=9)


@given(secret=SECRETS, number=st.integers(7_000_000_000, 7_999_999_999))
@settings(max_examples=15, deadline=None)
def test_no_value_of_the_data_is_in_the_report_or_on_the_page(secret: str, number: int) -> None:
    rows = frame(
        carrier=[secret] * 3 + ["UA"] * (ROWS - 3),
        distance=[float(number)] * ROWS,
        planned=[secret] * ROWS,
        flight_id=[number] * ROWS,
        surprise=secret,
    )
    validation = [
        {"expect": "in_set", "column": "carrier", "values": ["UA"]},
        {"expect": "unique", "columns": ["carrier", "late"]},
        {"expect": "between", "column": "distance", "max": 10},
        {"expect": "between", "column": "carrier", "max": 10},
        {"expect": "type", "column": "carrier", "type": "number"},
        {"expect": "expect_column_max_to_be_between", "column": "distance", "max_value": 10},
        {"expect": "expect_column_mean_to_be_between", "column": "carrier", "max_value": 10},
        {"expect": "expect_column_distinct_values_to_be_in_set", "column": "carrier", "value_set": ["UA"]},
        {"expect": "expect_column_most_common_value_to_be_in_set", "column": "distance", "value_set": [1]},
        {"expect": "expect_column_values_to_match_regex", "column": "carrier", "regex": "^a"},
        {"expect": "expect_column_values_to_be_dateutil_parseable", "column": "carrier"},
        {"expect": "expect_column_values_to_be_json_parseable", "column": "carrier"},
    ]
    report = check(rows, validation=validation)
    assert len(report.problems) > 10
    page = render(report, title="t")
    for text in (report.to_text(), page, str(DataError(report.problems))):
        assert secret not in text
        assert str(number) not in text


def test_no_network_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert check(frame()).passed


def test_freshness_counts_from_as_of() -> None:
    newest = frame()["departure"].max().to_pydatetime()
    edge = (AS_OF - newest) // timedelta(hours=1)
    assert one(frame(), expect="freshness", max_age=f"{edge}h").passed
    assert not one(frame(), expect="freshness", max_age=f"{edge - 1}h").passed
    asked = [Expectation.model_validate({"expect": "freshness", "max_age": "1d"})]
    assert "no as-of time and no time column" in validate(frame(), asked, subject="rows").problems[0].found


def snapshot_of(model: ModelSpec, rows: pd.DataFrame, source: tuple[Column, ...]) -> Snapshot:
    return Snapshot(
        model=model.name, fingerprint="0" * 64, uri="u", as_of=AS_OF, rows=len(rows), source="x", query="",
        window=Window(start=AS_OF - timedelta(days=60), end=AS_OF), columns=source, source_columns=source,
        time=model.data.time, key=model.data.key, label=model.data.label, extracted_at=AS_OF,
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
