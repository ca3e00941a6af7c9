"""Values that are gone, stand still or go by other names; and what only looks like it."""

from __future__ import annotations

import numpy as np
import pytest

from airflow_mlops.core.faults import find_faults
from tests.support.fault_streams import DAY, T0, day

RNG = np.random.default_rng(0)
NAMES, SHARES = np.array(["card", "cash", "bank"]), [0.5, 0.3, 0.2]


def texts(days: int, rows: int = 250) -> list[np.ndarray]:
    return [RNG.choice(NAMES, rows, p=SHARES).astype(object) for _ in range(days)]


def numbers(days: int, rows: int = 250) -> list[np.ndarray]:
    return [RNG.normal(size=rows) for _ in range(days)]


def found(values, role, **known):
    return find_faults([day(number, x) for number, x in enumerate(values)], {"x": role}, **known)


def spans(values, role, **known):
    return [(s.cause, (s.start - T0) // DAY, (s.end - T0) // DAY) for s in found(values, role, **known)]


def test_missing_values_are_found_with_the_days_that_they_touch():
    values = numbers(30)
    for place in range(20, 25):
        values[place] = np.full(250, np.nan)
    values[25][:30] = np.nan
    assert spans(values, "numeric") == [("missing_spike", 20, 26)]
    nothing = [None if 20 <= n < 23 else x for n, x in enumerate(texts(30))]
    words = [np.array([None] * 250, dtype=object) if x is None else x for x in nothing]
    assert spans([w.tolist() for w in words], "categorical") == [("missing_spike", 20, 23)]


def test_a_column_that_is_introduced_is_no_fault_and_one_that_is_seldom_there_neither():
    late = [np.full(250, np.nan) if n < 20 else x for n, x in enumerate(numbers(30))]
    assert spans(late, "numeric") == []
    anchor = [day(number - 40, x) for number, x in enumerate(numbers(30))]
    assert spans(late, "numeric", anchor=anchor) == [("missing_spike", 0, 20)]
    seldom = [np.where(RNG.random(250) < RNG.uniform(0.2, 0.7), np.nan, x) for x in numbers(30)]
    assert spans(seldom, "numeric") == []


@pytest.mark.parametrize("days", [1, 3, 30])
def test_a_column_that_is_missing_on_every_day_is_no_fault_of_any(days):
    assert spans([np.full(250, np.nan)] * days, "numeric") == []
    sound = [np.full(250, np.nan)] * 10 + numbers(2)  # hardly a sound day, and beside the others
    assert spans(sound, "numeric") == []


def test_a_constant_is_found_where_no_sound_day_is_one():
    stuck = [np.full(250, 3.0) if n in {22, 23} else x for n, x in enumerate(numbers(30))]
    assert spans(stuck, "numeric") == [("constant", 22, 24)]
    dates = [np.full(250, n % 7) for n in range(30)]
    assert spans(dates, "numeric") == []
    rare = [(RNG.random(60) < 0.02).astype(int) for _ in range(30)]
    assert spans(rare, "numeric") == []


def test_a_day_on_which_the_usual_value_is_that_of_all_is_no_fault():
    """Visibility is ten miles on a clear day, and less in the hours of rain; gusts are measured in few hours."""
    clear = [np.where(np.arange(250) < RNG.integers(0, 200), RNG.uniform(0, 10, 250).round(), 10.0) for _ in range(30)]
    for place in (11, 12, 20):
        clear[place] = np.full(250, 10.0)
    assert spans(clear, "numeric") == []
    gusts = [np.where(np.arange(250) < 190, np.nan, RNG.choice([18.0, 23.0, 29.0], 250)) for _ in range(30)]
    gusts[17] = np.where(np.arange(250) < 225, np.nan, 26.0)
    assert spans(gusts, "numeric") == []


@pytest.mark.parametrize("name", ["cash", "bank"])
def test_a_renamed_category_is_found(name):
    renamed = [np.where(x == name, "NEW", x) if n >= 25 else x for n, x in enumerate(texts(30))]
    assert spans(renamed, "categorical") == [("category_renamed", 25, 30)]
    assert "NEW" not in found(renamed, "categorical")[0].words
    upper = [np.char.upper(x.astype(str)) if n == 29 else x for n, x in enumerate(texts(30))]
    assert spans(upper, "categorical") == [("category_renamed", 29, 30)]


def test_new_categories_dying_ones_and_many_new_names_are_the_worlds():
    grows = [np.where(RNG.random(250) < min(0.3, 0.02 * n), "wallet", x) for n, x in enumerate(texts(40))]
    assert spans(grows, "categorical") == []
    at_once = [np.where(RNG.random(250) < 0.3 * (n >= 30), "wallet", x) for n, x in enumerate(texts(40))]
    assert spans(at_once, "categorical") == []
    dies = [np.where((x == "bank") & (n >= 30), "cash", x) for n, x in enumerate(texts(40))]
    assert spans(dies, "categorical") == []
    ids = [np.array([f"c{RNG.integers(40 * n, 40 * n + 4000)}" for _ in range(250)], dtype=object) for n in range(40)]
    assert spans(ids, "categorical") == []
