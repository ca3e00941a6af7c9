"""Checks that are computed at once."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.validation.validate import expectations_for, validate, wanted_columns
from airflow_mlops.spec.validation import Expectation
from tests.support.builders import AS_OF, make_spec


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
@given(pairs=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2) | st.none()), min_size=1, max_size=12))
@settings(max_examples=12, deadline=None)
def test_compare_agrees_with_python(op: str, pairs: list[tuple[int, int | None]]) -> None:
    rows = pd.DataFrame({"a": [a for a, _ in pairs], "b": pd.array([b for _, b in pairs], dtype="Int64")})
    report = validate(rows, [Expectation(expect="compare", left="a", op=op, right="b")], subject="rows")
    broken = sum(not eval(f"{a} {op} {b}") for a, b in pairs if b is not None)  # noqa: S307
    (seen,) = [each for each in report.checks if each.expectation == "compare"]
    assert (seen.passed, seen.unexpected or 0) == (broken == 0, broken)


@pytest.mark.parametrize("transformer", [None, "a_team.Calendar"])
def test_a_date_in_the_list_of_numbers_is_finite_where_a_transformer_takes_it(transformer: str | None) -> None:
    spec = make_spec(features={"numeric": ["x", "signed_up"], **({"transformer": transformer} if transformer else {})})
    times = pd.date_range(AS_OF, periods=3, tz="UTC") - pd.Timedelta(days=9)
    rows = pd.DataFrame({"t": times, "id": [1, 2, 3], "y": [0, 1, 0], "x": [0.5, 1.5, 2.5], "signed_up": times})
    report = validate(rows, expectations_for(spec), subject="rows", wanted_columns=wanted_columns(spec), as_of=AS_OF)
    failed = {(check.expectation, check.column) for check in report.checks if not check.passed}
    assert failed == (set() if transformer else {("schema", "signed_up")})
