"""Counting a reference day by day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from airflow_mlops.core.profiles.bins import freeze
from airflow_mlops.core.profiles.build import build_profile, merge
from airflow_mlops.core.profiles.counting import ColumnCounter
from airflow_mlops.core.profiles.days import MAX_SPANS, days_of, with_days
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.core.records.snapshot import Window

START = datetime(2024, 1, 1, 6, tzinfo=UTC)
X, C = Feature(name="x", role="numeric"), Feature(name="c", role="categorical")


def window(days: float) -> Window:
    return Window(start=START, end=START + timedelta(days=days))


def times(days: float, rows: int, rng: np.random.Generator) -> pd.Series[Any]:
    seconds = np.sort(rng.uniform(0, days * 86400 - 1, rows))
    return pd.Series((pd.Timestamp(START) + pd.to_timedelta(seconds, unit="s")).as_unit("us"))


def columns(rows: int, rng: np.random.Generator) -> dict[str, Any]:
    """Values of every kind that a column may have, with all that can be wrong with some of them."""
    numbers = np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows).round(1))
    numbers[:3] = np.inf, -np.inf, np.inf
    codes = rng.integers(0, 5, rows).astype(float)
    codes[::7] = np.nan
    texts = pd.Series(rng.choice(list("abcdef"), rows), dtype=object)
    texts[::5] = None
    return {
        "number": numbers,
        "whole": pd.array(rng.integers(0, 9, rows), dtype="Int64"),
        "decimal": [None if i % 4 == 0 else Decimal(int(v)) / 10 for i, v in enumerate(rng.integers(0, 50, rows))],
        "flag": rng.random(rows) < 0.3,
        "text": texts,
        "code": codes,
        "category": texts.astype("category"),
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 4, rows), unit="D"),
        "nothing": np.full(rows, None, dtype=object),
    }


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *((name, "numeric") for name in ("number", "whole", "decimal", "flag", "nothing")),
        *((name, "categorical") for name in ("text", "code", "category", "day", "flag", "whole", "decimal", "nothing")),
    ],
)
def test_each_day_is_counted_as_if_it_were_counted_alone(name: str, role: Any) -> None:
    rng = np.random.default_rng(3)
    values = pa.array(columns(700, rng)[name], from_pandas=True)
    days = days_of(times(9.5, 700, rng), window(9.5))
    assert (days.count, days.length, set(days.number.tolist())) == (9, 1, set(range(9)))
    (column,) = freeze([(Feature(name=name, role=role), values)], bins=6, top=3)
    found = with_days(column, values, days).by_day
    assert found is not None
    expected = []
    for day in range(9):
        counter = ColumnCounter(column)
        counter.add(values.filter(pa.array(days.number == day)))
        alone = counter.result()
        expected.append((*alone.counts, alone.missing, alone.non_finite))
    assert found.counts == tuple(expected)
    assert np.sum(found.counts, axis=0).tolist() == [*column.counts, column.missing, column.non_finite]


@pytest.mark.parametrize(
    ("days", "count", "length"),
    [(1.9, 1, 1), (44, 44, 1), (100, 100, 1), (101, 14, 7), (730, 26, 28), (36_500, 100, 364)],
)
def test_spans_are_few_and_of_whole_weeks(days: float, count: int, length: int) -> None:
    found = days_of(times(days, 500, np.random.default_rng(0)), window(days))
    assert (found.count, found.length) == (count, length)
    assert found.count <= MAX_SPANS
    assert (found.number.min() >= 0, found.number.max()) == (True, count - 1)


def test_a_reference_has_its_days_and_a_window_has_none() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=300), "c": rng.choice(list("ab"), 300)})
    days = days_of(times(12, 300, rng), window(12))
    label = [(Feature(name="label", role="numeric"), rng.normal(size=40))]
    holdout = days_of(times(5, 40, rng), window(5))
    made = build_profile("m", frame, (X, C), window(12), outputs=label, days=days, output_days=holdout)
    assert [len(found(column)) for column in (*made.columns, *made.outputs)] == [12, 12, 5]
    assert Profile.from_json(made.to_text()) == made
    assert all(column.by_day is None for column in merge(made, made).columns)
    assert build_profile("m", frame, (X, C), window(12)).columns[0].by_day is None
    assert with_days(made.columns[0], frame["x"], days_of(times(1, 300, rng), window(1))) == made.columns[0]


def found(column: ColumnProfile) -> tuple[tuple[int, ...], ...]:
    assert column.by_day is not None
    return column.by_day.counts
