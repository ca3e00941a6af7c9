"""Rows drawn by hypothesis, and their profile."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pyarrow as pa
from hypothesis import strategies as st

from airflow_mlops.core.profiles.build import build_profile, profile_batches
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Window

WINDOW = Window(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2013, 2, 1, tzinfo=UTC))


X, C = Feature(name="x", role="numeric"), Feature(name="c", role="categorical")


numbers = st.one_of(
    st.none(), st.floats(), st.integers(-3, 3).map(float), st.sampled_from([math.inf, -math.inf, math.nan, 0.0, -0.0])
)


names = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d"]), st.text(max_size=3))


rows = st.lists(st.tuples(numbers, names), min_size=1, max_size=60)


def table(values: list[tuple[float | None, str | None]]) -> pa.Table:
    return pa.table(
        {"x": pa.array([x for x, _ in values], pa.float64()), "c": pa.array([c for _, c in values], pa.string())}
    )


def profile(values: list[tuple[float | None, str | None]], bins: int = 5, top: int = 3) -> Profile:
    return build_profile("m", table(values).to_pandas(), (X, C), WINDOW, bins=bins, top=top)


def counted(reference: Profile, data: pa.Table, chunk: int = 1000) -> Profile:
    return profile_batches(reference, iter(data.to_batches(max_chunksize=chunk)), WINDOW)
