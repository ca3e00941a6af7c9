"""Shuffled columns: what both permutation importances break their rows with."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.pipeline.shuffle import shuffled


@given(
    seed=st.integers(0, 1000), rows=st.integers(1, 30), names=st.lists(st.sampled_from("nct"), unique=True, min_size=1)
)
def test_each_block_is_the_rows_with_one_column_in_that_order(seed: int, rows: int, names: list[str]) -> None:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "n": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
            "c": pd.Series(rng.choice(["a", "b", None], rows), dtype=object),
            "t": rng.integers(0, 5, rows),
        },
        index=rng.permutation(rows),
    )
    order = rng.permutation(rows)
    before = frame.copy()
    found = shuffled(frame, names, order)
    assert len(found) == rows * len(names)
    assert found.index.is_unique
    for place, name in enumerate(names):
        block = found.iloc[place * rows : (place + 1) * rows].reset_index(drop=True)
        # what stood in the gate's rule and in training before
        wanted = frame.assign(**{name: frame[name].to_numpy()[order]}).reset_index(drop=True)
        pd.testing.assert_frame_equal(block, wanted)
    pd.testing.assert_frame_equal(frame, before)
