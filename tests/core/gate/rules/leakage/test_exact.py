"""Functions of the label but for rounding are told from what is merely strong."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.gate.rules.leakage.combinations import combination_of, unit_of
from airflow_mlops.core.gate.rules.leakage.exact import settles_class, settles_number
from airflow_mlops.core.gate.rules.leakage.own_row import own_rows


@pytest.fixture
def label() -> np.ndarray:
    return np.random.default_rng(0).lognormal(3, 1, 1500)


FUNCTIONS: dict[str, Any] = {
    "itself": lambda y, rng: y,
    "affine": lambda y, rng: 32 - 1.8 * y,
    "single precision": lambda y, rng: y.astype("float32").astype(float),
    "rounded": lambda y, rng: y.round(0),
    "logarithm": lambda y, rng: np.log(y),
    "bins": lambda y, rng: np.digitize(y, np.quantile(y, [0.3, 0.6, 0.9])),
    "bins by shuffled number": lambda y, rng: np.array([2, 0, 3, 1])[np.digitize(y, np.quantile(y, [0.3, 0.6, 0.9]))],
    "bins by name": lambda y, rng: np.array(list("cabd"))[np.digitize(y, np.quantile(y, [0.3, 0.6, 0.9]))],
}
STRONG: dict[str, Any] = {
    "one per thousand": lambda y, rng: y * np.exp(0.001 * rng.normal(size=len(y))),
    "nothing": lambda y, rng: rng.normal(size=len(y)),
    "key": lambda y, rng: np.arange(len(y)),
    "text key": lambda y, rng: np.array([f"k{i}" for i in range(len(y))]),
    "constant": lambda y, rng: np.ones(len(y)),
    "bins with a mistake": lambda y, rng: np.where(np.arange(len(y)) == 7, y < 20, y > 20),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_a_number_settle_it(name: str, label: np.ndarray) -> None:
    values = pd.Series(FUNCTIONS[name](label, np.random.default_rng(1)))
    assert settles_number(values, label)
    gaps = values.where(np.random.default_rng(2).random(len(label)) < 0.8)
    assert settles_number(gaps, label)


@pytest.mark.parametrize("name", STRONG)
def test_what_leaves_something_open_does_not(name: str, label: np.ndarray) -> None:
    values = pd.Series(STRONG[name](label, np.random.default_rng(1)))
    assert not settles_number(values.astype(float) if values.dtype == bool else values, label)


def test_kinds_of_rows_that_are_apart_by_nature_settle_nothing() -> None:
    rng = np.random.default_rng(0)
    is_open = rng.integers(0, 2, 2000)
    assert not settles_number(pd.Series(is_open), np.where(is_open, rng.poisson(60, 2000), 0.0))
    assert not settles_number(pd.Series(is_open), np.where(is_open, rng.normal(20, 1, 2000), rng.normal(5, 1, 2000)))


def test_a_class_is_settled_by_order_value_or_gap() -> None:
    rng = np.random.default_rng(0)
    inside = rng.random(900) < 0.2
    assert settles_class(pd.Series(np.where(inside, 5, 1) + rng.random(900)), inside)
    assert settles_class(pd.Series(np.where(inside, np.nan, rng.normal(size=900))), inside)
    assert settles_class(pd.Series(np.where(inside, "closed", rng.choice(["open", "new"], 900))), inside)
    assert not settles_class(pd.Series([f"k{i}" for i in range(900)]), inside)
    assert not settles_class(pd.Series(np.where(np.arange(900) == 3, ~inside, inside) * 1.0), inside)


def frame_of(rng: np.random.Generator, rows: int, columns: int) -> pd.DataFrame:
    return pd.DataFrame(rng.gamma(2, 10, (rows, columns)).round(2), columns=[f"x{i}" for i in range(columns)])


def halves(frame: pd.DataFrame, label: Any) -> Any:
    half, label = len(frame) // 2, np.asarray(label, dtype=float)
    return combination_of((frame[:half], label[:half]), (frame[half:], label[half:]))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_fewest_columns_of_a_sum_are_those_that_brute_force_finds(count: int) -> None:
    rng = np.random.default_rng(count)
    frame = frame_of(rng, 600, 6)
    chosen = sorted(rng.choice(6, count, replace=False))
    label = frame.iloc[:, chosen] @ rng.choice([-2.0, -1.0, 1.0, 3.0], count)
    found = halves(frame, label.round(2))
    assert found is not None
    assert found.exact
    smallest = next(
        names
        for size in range(1, 7)
        for names in combinations(frame.columns, size)
        if np.linalg.lstsq(frame[[*names]].assign(one=1.0).to_numpy(), label, rcond=None)[1].sum() < 1e-6
    )
    assert sorted(found.names) == [*smallest]


def test_products_ratios_gaps_and_copies_among_the_columns() -> None:
    rng = np.random.default_rng(0)
    frame = frame_of(rng, 800, 4).assign(again=lambda f: f["x3"])
    ratio = halves(frame, 7 * frame["x0"] / frame["x1"])
    assert ratio is not None
    assert ratio.exact
    assert ratio.how == "product"
    assert set(ratio.names) == {"x0", "x1"}
    gaps = frame.assign(x1=frame["x1"].where(rng.random(800) < 0.9))
    coalesced = halves(gaps, frame["x0"] + gaps["x1"].fillna(0))
    assert coalesced is not None
    assert set(coalesced.names) == {"x0", "x1"}
    dropped = halves(gaps, frame["x0"] + frame["x1"])
    assert dropped is not None
    assert set(dropped.names) == {"x0", "x1"}


def test_a_noisy_sum_is_asked_about_or_nothing_by_how_much_it_leaves_open() -> None:
    rng = np.random.default_rng(0)
    frame = frame_of(rng, 2000, 4)
    total = frame["x0"] + frame["x1"]
    for noise, nothing in ((0.005, False), (0.05, True)):
        found = halves(frame, total + noise * total.std() * rng.normal(size=2000))
        assert (found is None) is nothing
        assert found is None or (not found.exact and set(found.names) == {"x0", "x1"})


def test_more_columns_than_rows_prove_nothing() -> None:
    rng = np.random.default_rng(0)
    assert halves(frame_of(rng, 120, 60), rng.normal(size=120)) is None


@pytest.mark.parametrize(("unit", "offset"), [*product((0.001, 1.0, 100.0), (0.0, 1.7e9))])
def test_the_unit_of_a_column_is_its_last_decimal(unit: float, offset: float) -> None:
    values = np.random.default_rng(0).integers(1, 999, 500) * unit + offset * (unit >= 1)
    assert unit_of(values) == pytest.approx(unit)


def test_mean_labels_of_these_rows_are_told_from_those_of_other_rows() -> None:
    rng = np.random.default_rng(0)
    shop, level = rng.integers(0, 150, 3000), rng.normal(size=150)
    y, before = level[shop] + rng.normal(size=3000), level[shop] + rng.normal(size=3000)
    mean = lambda values: np.bincount(shop, weights=values)[shop] / np.bincount(shop)[shop]  # noqa: E731
    own, other, known = (own_rows(pd.Series(each), y, 10) for each in (mean(y), mean(before), level[shop]))
    assert own is not None
    assert own.used
    assert own.share < 1e-9
    assert other is not None
    assert not other.used
    assert other.share > 1.5
    assert known is not None
    assert not known.used
    assert known.share == pytest.approx(1, abs=0.3)
    half = own_rows(pd.Series(mean((y + before) / 2)), y, 10)  # these rows are half of those that it is of
    # E (m - line)^2 = s^2 (1 - k/n) for n = 2 k; the mean of n rows is off by half as much
    assert half is not None
    assert half.share == pytest.approx(0.5, abs=0.15)


def test_the_share_under_independence_is_chi_squared() -> None:
    from scipy.stats import kstest

    rng = np.random.default_rng(0)
    chances = []
    for _ in range(200):
        value = np.repeat(np.arange(60.0), 5)
        seen = own_rows(pd.Series(value), 0.1 * value + rng.normal(size=300), 1)
        assert seen is not None
        chances.append(seen.luck)
    # of few rows a value the estimated variance adds a spread of its own: the tail is what must hold
    assert len(chances) == 200
    assert kstest(chances, "uniform").statistic < 0.12
    assert min(chances) > 1e-4
