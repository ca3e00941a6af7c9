"""One text for one value, whatever type carries it."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.profiles.counting import tally
from airflow_mlops.core.rows.categories import reads_as_number, written


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_decimals_of_any_scale_are_one_category_and_read_back(value: Decimal) -> None:
    wide = value.quantize(Decimal("0.000001"))
    assert written(value) == written(wide)
    assert Decimal(written(value)) == value
    assert reads_as_number(written(value))


@given(st.integers(-(2**63), 2**64))
def test_whole_numbers_keep_every_digit(value: int) -> None:
    assert written(value) == written(Decimal(value)) == str(value)
    assert reads_as_number(str(value))
    if abs(value) <= 2**53:
        assert written(float(value)) == written(np.float64(value)) == str(value)


@pytest.mark.parametrize("text", ["01234", "AA", "", "1,5", " 1", "1 ", "0x10", "1_000", "nan", "--1", "1."])
def test_codes_are_no_numbers(text: str) -> None:
    assert not reads_as_number(text)


@given(st.floats(allow_nan=False))
def test_floats_read_as_numbers(value: float) -> None:
    assert reads_as_number(written(value))


def test_profiles_and_models_write_alike() -> None:
    for array in (pa.array([0.1, 5.0]), pa.array([Decimal("0.10"), Decimal("5.00")]), pa.array([5, 10**18 + 1])):
        texts, often, missing = tally(array)
        assert texts.to_pylist() == [written(value) for value in array.to_pylist()]
        assert (often.tolist(), missing) == ([1, 1], 0)
