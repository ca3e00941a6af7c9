"""What rows know of the label: rows that are in both parts, values that come with the label, times after as-of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.records.candidate import Feature

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN_SHARE = 0.5
"""A feature that comes with the label is missing in at least so many of the rows without one ..."""
KNOWN_SHARE = 0.01
"""... and in at most so many of the rows with one."""
LUCK = 0.01
"""Level of the test that this is no chance, over all features together (Bonferroni)."""
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?\Z")


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Holdout rows that are also training rows, by content."""

    share: float
    chance: float
    """Upper bound of the share that chance gives: training rows that have a twin among themselves."""

    def too_many(self, max_share: float) -> bool:
        """Whether there are more than chance gives, thrice: the two parts need not be alike."""
        return self.share > max_share + 3 * self.chance

    def judged(self, max_share: float) -> bool:
        """Whether any number of shared rows would be too many."""
        return max_share + 3 * self.chance < 1


def shared_keys(key: Sequence[str], train: pd.DataFrame, holdout: pd.DataFrame) -> float:
    """Share of holdout rows whose key a training row has; rows without a whole key share none.

    Raises
    ------
    KeyError
        If a key column is missing.
    """
    import pandas as pd

    known = pd.MultiIndex.from_frame(train[list(key)].dropna())
    new = pd.MultiIndex.from_frame(holdout[list(key)].dropna())
    return float(new.isin(known).sum() / max(1, len(holdout)))


def shared_content(
    features: Sequence[Feature],
    train: tuple[pd.DataFrame, pd.Series[Any]],
    holdout: tuple[pd.DataFrame, pd.Series[Any]],
) -> Shared:
    """Holdout rows whose features and label all equal those of some training row.

    Where rows have few different contents, equal ones are chance and no leak. How much of it is chance, the training
    rows say: the share of them that have a twin among themselves, with the upper bound of its 99 % interval (Clopper
    and Pearson, Biometrika 26, 1934).
    """
    import numpy as np
    from scipy.stats import beta

    known, new = _hashes(features, *train), _hashes(features, *holdout)
    distinct, counts = np.unique(known, return_counts=True)
    twins, rows = int(counts[counts > 1].sum()), len(known)
    chance = float(beta.ppf(0.99, twins + 1, rows - twins)) if twins < rows else 1.0
    return Shared(share=float(np.isin(new, distinct).mean()), chance=chance)


def _hashes(features: Sequence[Feature], frame: pd.DataFrame, labels: pd.Series[Any]) -> Any:
    import pandas as pd

    whole = as_features(frame, features)
    whole.insert(0, "", labels.astype(str).to_numpy())  # no column has an empty name
    return pd.util.hash_pandas_object(whole, index=False).to_numpy()


@dataclass(frozen=True, kw_only=True)
class Missing:
    """How often a feature is missing where the label is, and where it is not."""

    unlabelled: float
    labelled: float
    luck: float
    """p-value of Fisher's exact test that missing is as likely in both, over all features (Bonferroni)."""

    @property
    def with_label(self) -> bool:
        """Whether the feature comes and goes with the label."""
        return self.unlabelled >= UNKNOWN_SHARE and self.labelled <= KNOWN_SHARE and self.luck <= LUCK


def missing_with_label(
    features: Sequence[Feature], labelled: Sequence[pd.DataFrame], unlabelled: int, nulls: Mapping[str, int]
) -> dict[str, Missing]:
    """Compare missing values of rows with and without a label.

    What is known only after the event is missing where the event did not come to its end: a cancelled flight has no
    label, and no arrival time. What was known before has nothing to do with it. One-sided Fisher's exact test (R. A.
    Fisher, Journal of the Royal Statistical Society 85, 1922), which is the hypergeometric distribution.

    Parameters
    ----------
    labelled
        Rows with a label, in parts.
    unlabelled
        Number of rows without one.
    nulls
        Missing values among those, by column.
    """
    from scipy.stats import hypergeom

    rows = sum(map(len, labelled))
    found = {}
    for feature in features:
        there = sum(int(part[feature.name].isna().sum()) for part in labelled)
        gone = nulls[feature.name]
        chance = float(hypergeom.sf(gone - 1, rows + unlabelled, there + gone, unlabelled))
        found[feature.name] = Missing(
            unlabelled=gone / max(1, unlabelled), labelled=there / max(1, rows), luck=min(1.0, chance * len(features))
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Late:
    """Times of one column that were not there yet."""

    after_as_of: int
    after_label: int
    """Times later than the row's own event time and label delay."""
    values: int


def late_times(frame: pd.DataFrame, column: str, time: str, as_of: datetime, delay: timedelta) -> Late | None:
    """Count the times of a column that lie after as-of, and after the row's label was known; None: no times there.

    Text in ISO 8601 counts as times. Times without a zone are read as UTC.
    """
    values = _times(frame[column])
    if values is None:
        return None
    events = _times(frame[time])
    return Late(
        after_as_of=int((values > as_of).sum()),
        after_label=0 if events is None or column == time else int((values > events + delay).sum()),
        values=int(values.notna().sum()),
    )


def _times(values: pd.Series[Any]) -> pd.Series[Any] | None:
    import pandas as pd
    from pandas.api import types

    if types.is_datetime64_any_dtype(values.dtype):
        return values.dt.tz_localize("UTC") if values.dt.tz is None else values
    if types.is_numeric_dtype(values.dtype) or types.is_bool_dtype(values.dtype):
        return None
    present = values.dropna()
    if not len(present) or not all(_ISO.match(str(value)) for value in present.iloc[:: max(1, len(present) // 50)]):
        return None
    return pd.to_datetime(values.astype(str).where(values.notna()), utc=True, errors="coerce", format="ISO8601")
