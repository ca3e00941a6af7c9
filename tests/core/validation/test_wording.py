"""No value of the data is said."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import DataError
from airflow_mlops.reports.validation import render
from tests.support.validated_rows import ROWS, check, frame

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
