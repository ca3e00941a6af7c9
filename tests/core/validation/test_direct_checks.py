"""Checks that are computed at once."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.validation.validate import (
    validate,
)
from airflow_mlops.spec.validation import Expectation


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
@given(pairs=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2) | st.none()), min_size=1, max_size=12))
@settings(max_examples=12, deadline=None)
def test_compare_agrees_with_python(op: str, pairs: list[tuple[int, int | None]]) -> None:
    rows = pd.DataFrame({"a": [a for a, _ in pairs], "b": pd.array([b for _, b in pairs], dtype="Int64")})
    report = validate(rows, [Expectation(expect="compare", left="a", op=op, right="b")], subject="rows")
    broken = sum(not eval(f"{a} {op} {b}") for a, b in pairs if b is not None)  # noqa: S307
    (seen,) = [each for each in report.checks if each.expectation == "compare"]
    assert (seen.passed, seen.unexpected or 0) == (broken == 0, broken)
