"""Two windows of normal columns, of which some are shifted, and their drift."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from airflow_mlops.core.profiles.build import build_profile, profile_batches
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.monitoring import DriftSpec

BEFORE = Window(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2013, 3, 1, tzinfo=UTC))


NOW = Window(start=datetime(2013, 7, 1, tzinfo=UTC), end=datetime(2013, 7, 8, tzinfo=UTC))


AS_OF = datetime(2013, 7, 8, tzinfo=UTC)


SPEC = DriftSpec.model_validate({})


COLUMNS = 10


counts = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=25).filter(
    lambda pairs: any(a for a, _ in pairs) and any(b for _, b in pairs)
)


def normal(rng: np.random.Generator, rows: int, shift: float = 0.0, shifted: int = COLUMNS) -> pd.DataFrame:
    values = rng.normal(size=(rows, COLUMNS))
    values[:, :shifted] += shift
    return pd.DataFrame(values, columns=[f"x{i}" for i in range(COLUMNS)])


def reference(frame: pd.DataFrame) -> Profile:
    roles = {True: "numeric", False: "categorical"}
    features = [Feature(name=n, role=roles[pd.api.types.is_numeric_dtype(frame[n])]) for n in frame.columns]
    return build_profile("m", frame, features, BEFORE)


def window(ref: Profile, frame: pd.DataFrame) -> Profile:
    return profile_batches(ref, iter(pa.Table.from_pandas(frame, preserve_index=False).to_batches()), NOW)
