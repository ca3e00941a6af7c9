"""The language of row conditions: what it says, and that nothing else is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.spec.row_conditions import (
    ColumnName,
    Combination,
    Comparison,
    ConditionError,
    Constant,
    columns_of,
    parse_condition,
)

A, B = ColumnName("a"), ColumnName("b")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a > 0", Comparison(">", A, Constant((0,)))),
        ("a>=-1.5e3", Comparison(">=", A, Constant((-1500.0,)))),
        ("a == 'x'", Comparison("==", A, Constant(("x",)))),
        ('"x" != a', Comparison("!=", Constant(("x",)), A)),
        ("a < b", Comparison("<", A, B)),
        ("a == True", Comparison("==", A, Constant((True,)))),
        ("`wind speed` <= 3", Comparison("<=", ColumnName("wind speed"), Constant((3,)))),
        ('col("wind speed") > 3', Comparison(">", ColumnName("wind speed"), Constant((3,)))),
        ("a in ['x', 'y']", Comparison("in", A, Constant(("x", "y")))),
        ("a not in (1, 2,)", Comparison("not in", A, Constant((1, 2)))),
        ("a is null", Comparison("null", A, Constant(()))),
        ("a IS NOT NULL", Comparison("not null", A, Constant(()))),
    ],
)
def test_comparisons(text: str, meant: Comparison) -> None:
    assert parse_condition(text) == meant


def test_and_binds_more_than_or_and_not_more_than_both() -> None:
    one, two, three = (Comparison("==", A, Constant((n,))) for n in (1, 2, 3))
    assert parse_condition("a == 1 or a == 2 and not a == 3") == Combination(
        "or", (one, Combination("and", (two, Combination("not", (three,)))))
    )
    assert parse_condition("(a == 1 | a == 2) & ~(a == 3)") == Combination(
        "and", (Combination("or", (one, two)), Combination("not", (three,)))
    )


def test_the_columns_of_a_condition() -> None:
    assert columns_of(parse_condition("a > 0 and (b < a or not `c d` in [1])")) == ("a", "b", "c d")


REFUSED = [
    '@pd.io.common.os.system("id") == 0',
    "@a == 1",
    "a.str.len() > 1",
    "a.b == 1",
    "__import__('os') == 1",
    "f(a) == 1",
    "a + 1 > 0",
    "a > 0; b > 0",
    "a = 1",
    "a[0] == 1",
    "a == b == 1",
    "1 == 1",
    "a",
    "",
    "a >",
    "(a > 1",
    "a > 1)",
    "a in b",
    "a in [b]",
    "a in 1",
    "not",
    "a == 'x",
    "a == {}",
    "a == lambda: 0",
    "a == f'x'",
    "a is 1",
    "a == 'x\\'y'",
    "a if b else a",
    "col(a) == 1",
    "col('a', 'b') == 1",
    "`a` == 1e9999",
    "index > 1 and",
    "a == 1 # x",
    "a == $x",
    "a == %(x)s",
    "a == :x",
    "@",
    "`",
    "(" * 50 + "a == 1" + ")" * 50,
    "not " * 50 + "a == 1",
    "a == 1 or " * 500 + "a == 1",
    "a not == 1",
    "a ! = 1",
]


@pytest.mark.parametrize("text", REFUSED)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ConditionError):
        parse_condition(text)


@given(st.text(max_size=80) | st.text("ab01'\"`()[]<>=!&|~@. \n", max_size=60))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        found = parse_condition(text)
    except ConditionError:
        return
    assert isinstance(found, Comparison | Combination)
    assert columns_of(found)
