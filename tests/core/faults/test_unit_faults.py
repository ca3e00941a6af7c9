"""Another unit is found on its first day, and what the world does is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from airflow_mlops.core.faults import find_faults
from airflow_mlops.core.faults.unit_faults import location
from tests.support.fault_streams import DAY, T0, day, stream

CHANGES = {
    "hundredfold": ("lognormal", lambda x: 100 * x, "multiplied by 100"),
    "thousandth": ("lognormal", lambda x: x / 1000, "divided by 1,000"),
    "fahrenheit": ("celsius", lambda x: 1.8 * x + 32, "Fahrenheit"),
    "miles": ("kilometres", lambda x: x / 1.609344, "miles in place of kilometres"),
    "sign": ("centred gamma", lambda x: -x, "with the opposite sign"),
}


def found(values, since=0, **known):
    days = [day(number, x) for number, x in enumerate(values)]
    return find_faults(days[since:], {"x": "numeric"}, **known)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("sd", [0.0, 0.1])
def test_it_is_found_on_the_first_whole_day(name, sd):
    shape, change, words = CHANGES[name]
    values = stream(np.random.default_rng(1), shape, 61, 400, sd=sd, rho=0.5)
    assert found(values) == ()
    (span,) = found([*values[:60], change(values[60])])
    assert (span.start, span.end, span.cause) == (T0 + 60 * DAY, T0 + 61 * DAY, "unit_change")
    assert words in span.words
    assert span.rows == 400


def test_all_of_it_is_found_and_no_more_than_the_days_that_it_touches():
    values = stream(np.random.default_rng(2), "lognormal", 60, 250)
    broken = [100 * x if 30 <= n < 44 else x for n, x in enumerate(values)]
    broken[44] = np.where(np.arange(250) < 60, 100 * values[44], values[44])  # it ended in the morning
    (span,) = found(broken)
    assert (span.start, span.end) == (T0 + 30 * DAY, T0 + 45 * DAY)


@pytest.mark.parametrize("shape", ["normal", "lognormal", "celsius"])
def test_a_walk_a_jump_and_a_wider_spread_are_the_worlds(shape):
    values = stream(np.random.default_rng(3), shape, 60, 250)
    spread = float(np.std(values[0]))
    assert found([x + 0.2 * spread * n for n, x in enumerate(values)]) == ()
    assert found([x + 7 * spread * (n >= 50) for n, x in enumerate(values)]) == ()
    assert found([x * (1.3 if n >= 50 else 1) for n, x in enumerate(values)]) == ()


def test_symmetric_values_have_no_sign_however_they_jump():
    values = stream(np.random.default_rng(4), "normal", 60, 1000)
    assert found([x + (3 if n < 55 else -3) for n, x in enumerate(values)]) == ()


def test_a_special_day_with_as_many_rows_as_never_is_no_unit():
    values = stream(np.random.default_rng(5), "kilometres", 60, 400)
    crowd = np.tile(values[50], 3) / 1.609344
    assert len(found([*values[:50], values[50] / 1.609344, *values[51:]])) == 1
    assert found([*values[:50], crowd, *values[51:]]) == ()


def test_what_comes_every_week_is_no_fault():
    values = stream(np.random.default_rng(6), "kilometres", 60, 400)
    assert found([x * (1.609344 if n % 7 >= 5 else 1) for n, x in enumerate(values)]) == ()


def test_the_champions_days_tell_which_side_is_sound():
    values = stream(np.random.default_rng(7), "lognormal", 100, 250)
    broken = [100 * x if 50 <= n < 90 else x for n, x in enumerate(values)]
    anchor = [day(number, x) for number, x in enumerate(values[:40])]
    (alone,) = found(broken, since=55)
    (anchored,) = found(broken, since=55, anchor=anchor)
    assert alone.start == T0 + 90 * DAY  # nobody knows better: most days are in cents
    assert (anchored.start, anchored.end) == (T0 + 55 * DAY, T0 + 90 * DAY)


def test_a_fault_goes_on_when_its_beginning_is_out_of_sight():
    values = [100 * x for x in stream(np.random.default_rng(8), "lognormal", 60, 250)]
    assert found(values) == ()
    (before,) = found([*(x / 100 for x in values[:30]), *values[30:]][:45])
    sound = [day(number - 90, x / 100) for number, x in enumerate(values[:40])]
    for anchor in ((), sound):
        (on,) = found(values, since=30, known=(before,), anchor=anchor)
        assert (on.start, on.end) == (T0 + 30 * DAY, T0 + 60 * DAY)
    assert found([x / 100 for x in values], since=30, known=(before,), anchor=sound) == ()  # it was mended


def test_too_few_days_or_no_spread_give_no_verdict():
    values = stream(np.random.default_rng(9), "lognormal", 7, 250)
    assert found([*values[:6], 100 * values[6]]) == ()
    assert found([np.ones(200)] * 20 + [np.full(200, 100.0)]) == ()


def test_the_three_numbers_are_those_of_scipy_where_it_has_them():
    values = np.sort(np.random.default_rng(10).gamma(2, 1, 1000))
    middle, spread, _ = location(values)
    assert middle == pytest.approx(stats.trim_mean(values, 0.02))
    inner = values[20:-20]
    assert spread == pytest.approx(np.sort(inner)[-192:].mean() - np.sort(inner)[:192].mean())
