"""Source columns as a served model is given them: whatever types carry the same values, the same comes of them."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.spec.value_checks import CALENDAR_PARTS
from airflow_mlops_steps.source_types import PARTS, SourceTypes, as_numbers, as_texts, as_times

NUMBERS: dict[str, Any] = {
    "int64": np.array([1, 0, 2]),
    "float32": np.array([1, 0, 2], dtype="float32"),
    "Int64": pd.array([1, 0, 2], dtype="Int64"),
    "decimal": np.array([Decimal("1.0"), Decimal(0), Decimal("2.00")], dtype=object),
    "category": pd.Categorical([1, 0, 2]),
    "mixed objects": np.array([1, 0.0, True + 1], dtype=object),
}


@pytest.mark.parametrize("values", NUMBERS.values(), ids=NUMBERS)
def test_numbers_of_any_type_are_the_same_numbers(values: Any) -> None:
    assert as_numbers(pd.Series(values)).tolist() == [1.0, 0.0, 2.0]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("dtype", [object, "boolean"])
def test_truth_values_with_a_gap_are_numbers_with_a_gap(missing: Any, dtype: Any) -> None:
    found = as_numbers(pd.Series([True, missing, False], dtype=dtype))
    np.testing.assert_array_equal(found, [1.0, np.nan, 0.0])


def test_what_is_no_number_is_refused_by_the_columns_name() -> None:
    with pytest.raises(ValueError, match="zip holds no numbers, but values of type string"):
        as_numbers(pd.Series(["a"], name="zip"))


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([10**18 + 1, 10**18 + 2], ["1000000000000000001", "1000000000000000002"]),
        (pd.array([10**18 + 1, None], dtype="Int64"), ["1000000000000000001", np.nan]),
        ([5.0, np.nan], ["5", np.nan]),
        ([Decimal("0.10"), Decimal("5.00")], ["0.1", "5"]),
        (["01234", None], ["01234", np.nan]),
        (pd.Categorical(["a", "b"]), ["a", "b"]),
        ([True, False], ["True", "False"]),
    ],
)
def test_categories_are_texts_to_the_last_digit(values: Any, texts: list[Any]) -> None:
    found = as_texts(pd.Series(values))
    assert [text if isinstance(text, str) else None for text in found] == [
        text if isinstance(text, str) else None for text in texts
    ]


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["2026-03-01T22:30:00", None]),
        pd.to_datetime(["2026-03-01T22:30:00Z", None]),
        pd.to_datetime(["2026-03-01T23:30:00+01:00", None]).tz_convert("Europe/Vienna").as_unit("s"),
        pd.Series(["2026-03-01T23:30:00+01:00", "no date"]),
        pd.Series([pd.Timestamp("2026-03-01T22:30:00").to_pydatetime(), None], dtype=object),
    ],
)
def test_a_moment_is_the_same_whatever_writes_it(values: Any) -> None:
    found = as_times(pd.Series(values))
    assert found[0] == pd.Timestamp("2026-03-01T22:30:00Z")
    assert pd.isna(found[1])


def test_dates_are_moments_at_midnight() -> None:
    assert as_times(pd.Series([date(2026, 3, 1)]))[0] == pd.Timestamp("2026-03-01T00:00:00Z")


def test_every_part_that_a_specification_may_name_is_made_as_the_standard_library_has_it() -> None:
    assert {*PARTS, "age_days"} == set(CALENDAR_PARTS)
    moments = pd.Series(pd.date_range("2023-12-30T21:10", periods=800, freq="1091min", tz="UTC"))
    step = SourceTypes(calendar={"at": list(PARTS)}, event_time="at", time_zone="America/New_York")
    made = step.transform(pd.DataFrame({"at": moments}))
    local = [moment.to_pydatetime() for moment in moments.dt.tz_convert("America/New_York")]
    expected = {
        "minute": [one.minute for one in local],
        "hour": [one.hour for one in local],
        "weekday": [one.weekday() for one in local],
        "weekend": [one.weekday() in (5, 6) for one in local],
        "day": [one.day for one in local],
        "day_of_year": [one.timetuple().tm_yday for one in local],
        "week": [one.isocalendar().week for one in local],
        "month": [one.month for one in local],
        "quarter": [(one.month + 2) // 3 for one in local],
        "year": [one.year for one in local],
    }
    assert set(expected) == set(PARTS)
    for part, values in expected.items():
        np.testing.assert_array_equal(made[f"at_{part}"], np.array(values, dtype=float))


def test_ages_are_days_until_the_event_and_missing_where_a_date_is() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2026-03-02T12:00Z"] * 2), "born": [date(2026, 3, 1), None]})
    made = SourceTypes(calendar={"born": ["age_days", "month"]}, event_time="at").transform(frame)
    np.testing.assert_array_equal(made["born_age_days"], [1.5, np.nan])
    np.testing.assert_array_equal(made["born_month"], [3.0, np.nan])


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="no column 'b'; there are: a"):
        SourceTypes(numeric=["b"]).transform(pd.DataFrame({"a": [1]}))


def test_the_package_stands_by_itself(tmp_path: Path) -> None:
    """A stored model brings it to where neither this project nor Airflow is installed."""
    script = (
        "import sys; sys.modules['airflow_mlops'] = None; sys.modules['airflow'] = None; sys.modules['mlflow'] = None; "
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r}); import airflow_mlops_steps; print('imported')"
    )
    command = [sys.executable, "-I", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.strip() == "imported", done.stderr


@pytest.mark.parametrize("far", ["9999-12-31", date(9999, 12, 31), datetime(9999, 12, 31, tzinfo=UTC), "0001-01-01"])
def test_times_beyond_nanoseconds_are_times(far: object) -> None:
    frame = pd.DataFrame({"end": [far, "2026-03-01T12:00:00+02:00", None, "soon"], "at": ["2026-03-02"] * 4})
    made = SourceTypes(calendar={"end": ["year", "age_days"]}, event_time="at").fit_transform(frame)
    year = int(str(far)[:4])
    assert made["end_year"].tolist()[:2] == [year, 2026]
    assert made["end_year"].isna().tolist() == [False, False, True, True]
    days = (date(2026, 3, 2) - date.fromisoformat(str(far)[:10])).days
    assert made["end_age_days"].tolist()[0] == days
    assert made["end_age_days"].tolist()[1] == pytest.approx(14 / 24)


@st.composite
def plain_frames(draw: st.DrawFn) -> pd.DataFrame:
    """Columns of floats and of texts, as the gate's rules hand them on; perhaps one of another kind among them."""
    rows = draw(st.integers(0, 4))
    floats = st.lists(st.floats(allow_nan=True), min_size=rows, max_size=rows)
    texts = st.lists(st.one_of(st.text(max_size=3), st.just(math.nan)), min_size=rows, max_size=rows)
    others = {
        "a": st.lists(st.integers(-9, 9), min_size=rows, max_size=rows),
        "c": st.lists(st.one_of(st.text(max_size=3), st.none(), st.integers(0, 9)), min_size=rows, max_size=rows),
    }
    frame = {"b": draw(floats), "a": draw(floats), "d": draw(texts), "c": draw(texts), "left out": draw(floats)}
    odd = draw(st.sampled_from(["", "a", "c"]))
    made = {name: pd.Series(values, dtype="object" if name in "cd" else "float64") for name, values in frame.items()}
    if odd:
        made[odd] = pd.Series(draw(others[odd]), dtype="object")
    return pd.DataFrame(made).set_axis(draw(st.sampled_from([range(7, 7 + rows), [7] * rows])))


@given(frame=plain_frames())
def test_columns_that_are_as_they_must_be_are_taken_at_once_and_are_the_same(frame: pd.DataFrame) -> None:
    step = SourceTypes(["a", "b"], ["c", "d"])
    alone = {name: as_numbers(frame[name]) for name in ("a", "b")} | {
        name: as_texts(frame[name]) for name in ("c", "d")
    }
    pd.testing.assert_frame_equal(step.transform(frame), pd.DataFrame(alone, index=frame.index))
    numbers = SourceTypes(["a", "b"]).transform(frame)
    pd.testing.assert_frame_equal(numbers, pd.DataFrame({name: alone[name] for name in "ab"}, index=frame.index))


@pytest.mark.parametrize("kind", ["string", "category"])
def test_texts_of_another_type_become_objects(kind: str) -> None:
    made = SourceTypes(categorical=["c"]).transform(pd.DataFrame({"c": pd.Series(["a", "b"], dtype=kind)}))
    assert made["c"].dtype == np.dtype(object)


def test_a_missing_name_is_said_and_what_is_returned_is_nobody_elses() -> None:
    frame = pd.DataFrame([[1.0, 2.0]], columns=["a", "b"])
    with pytest.raises(ValueError, match="no column 'c'; there are: a, b"):
        SourceTypes(["a", "c"]).transform(frame)
    made = SourceTypes(["a", "b"]).transform(frame)
    made.loc[:, "a"] = 9.0
    assert frame["a"].tolist() == [1.0]  # what is returned is nobody else's
