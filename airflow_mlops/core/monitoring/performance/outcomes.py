"""Predictions of a span of time beside what came of them: the score log joined with the source.

Both are read once, in batches; of the source only what belongs to a prediction is kept. The score log's side is in
`prediction_log`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.monitoring.performance.prediction_log import LoggedPredictions
from airflow_mlops.core.ports import DataStore
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.core.rows.frames import to_frame
from airflow_mlops.core.rows.keys import identities, same_kinds, together, whole_keys
from airflow_mlops.core.rows.labels import clean_labels, has_label, has_label_column
from airflow_mlops.core.rows.windows import rows_outside
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


PLACE, EACH = "#place", "#each"
"""Names of columns that no source has."""


class RowLosses(Protocol):
    """Losses to expect of rows."""

    def __call__(self, rows: pd.DataFrame, *, predicted: Array) -> Array:
        """Expected losses, shape (n,), of n rows with their features, and the champion's predictions of them."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class JoinedOutcomes:
    """Rows of the source that were predicted, and what is odd about them."""

    rows: pd.DataFrame
    """`PLACE` (in `Said`), the label, and the other columns that were asked for; each prediction at most once."""
    known: Array
    """Whether each of `rows` has an outcome, shape (k,)."""
    read: int = 0
    """Rows of the source in the window."""
    scored: int = 0
    """Of these, with a prediction."""
    doubled: int = 0
    """Predictions with the same outcome several times."""
    contradicting: int = 0
    """Predictions with outcomes that differ."""
    unpredicted: int = 0
    """Outcomes without a prediction."""
    moved: int = 0
    """Predictions without an outcome whose key has one at another event time."""
    keyless: int = 0
    """Rows of the source without a key."""
    missing: dict[str, float] = field(default_factory=dict)
    """Share of missing values by feature, where there are any."""


def join_outcomes(  # noqa: PLR0917 - whose rows, of which predictions, from where, of when, with what beside
    spec: ModelSpec,
    logged: LoggedPredictions,
    store: DataStore,
    window: Window,
    also: Sequence[str],
    features: Sequence[str],
    *,
    outcomes: bool = True,
    each: RowLosses | None = None,
    without: Sequence[Window] = (),
) -> JoinedOutcomes:
    """Read the source's rows of a window, and keep what belongs to a prediction.

    Parameters
    ----------
    also
        Columns to keep beside the label, where the source has them.
    features
        Columns whose missing values are counted, and that `each` is given.
    outcomes
        Whether labels may be looked at: not those of rows that are not mature.
    each
        Called with the features of predicted rows of the champion and what it predicted of them; returns one number for
        each row, kept as `EACH`.
    without
        Event times whose rows are not read.

    Raises
    ------
    DataError
        If the source is missing or unreadable, lacks the key or time column, or its key is of another kind than the
        predictions'.
    """
    import numpy as np

    schema = {column.name: column.type for column in store.schema(window, spec.data.time)}
    outcomes = outcomes and has_label_column(spec, store, window)
    needed = dict.fromkeys(spec.data.key, "data.key") | {spec.data.time: "data.time"}
    problems = missing_columns(needed, schema, where=store.description)
    if problems:
        raise DataError(problems, subject=spec.name)
    kept = [name for name in dict.fromkeys((*([spec.data.label] if outcomes else []), *also)) if name in schema]
    counted = [name for name in dict.fromkeys(features) if name in schema]
    gathered = _Gathered(spec, logged, kept, counted, each, outcomes)
    asked = list(dict.fromkeys((*spec.data.key, spec.data.time, *kept, *counted)))
    for batch in store.read(window, spec.data.time, asked):
        gathered.add(rows_outside(batch, spec.data.time, without))
    rows = gathered.frame()
    known = has_label(rows[spec.data.label]) if outcomes else np.zeros(len(rows), dtype=bool)
    doubled, contradicting = _repeated(rows[known], spec.data.label) if outcomes else (0, 0)
    order = np.lexsort((np.arange(len(rows)), ~known))  # a row with an outcome stands for its doubles without
    rows, known = rows.iloc[order], known[order]
    first = ~rows[PLACE].duplicated().to_numpy()
    rows, known = rows[first].reset_index(drop=True), known[first]
    return JoinedOutcomes(
        rows=rows,
        known=known,
        read=gathered.read,
        scored=len(rows),
        doubled=doubled,
        contradicting=contradicting,
        unpredicted=gathered.unpredicted,
        moved=gathered.moved(rows[PLACE].to_numpy()[known]),
        keyless=gathered.keyless,
        missing={name: count / gathered.read for name, count in gathered.nulls.items() if count},
    )


def known_labels(
    spec: ModelSpec, logged: LoggedPredictions, joined: JoinedOutcomes, classification: bool
) -> tuple[Array, pd.DataFrame, Any]:
    """Return the champion's places, rows and labels where there is an outcome; in the order of the predictions."""
    import numpy as np

    places = logged.mine[joined.rows[PLACE].to_numpy(dtype=int)]
    usable = joined.known & (places >= 0)
    order = np.argsort(places[usable], kind="stable")
    chosen = places[usable][order]
    rows = joined.rows[usable].iloc[order].reset_index(drop=True)
    rows[spec.data.time] = logged.times.iloc[chosen].reset_index(drop=True)
    rows, labels = clean_labels(spec, rows, classification, logged.predicted.classes)
    return chosen, rows, labels


class _Gathered:
    """What is kept of the batches of a window."""

    def __init__(  # noqa: PLR0917 - as `join_outcomes`
        self,
        spec: ModelSpec,
        logged: LoggedPredictions,
        kept: list[str],
        counted: list[str],
        each: RowLosses | None,
        outcomes: bool,
    ) -> None:
        self.spec, self.logged, self.kept, self.counted, self.each = spec, logged, kept, counted, each
        self.outcomes = outcomes
        self.read = self.keyless = self.unpredicted = 0
        self.nulls = dict.fromkeys(counted, 0)
        self.parts: list[pa.RecordBatch] = []
        self.places: list[Array] = []
        self.losses: list[Array] = []
        self.strange: list[Array] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        data = self.spec.data
        self.read += batch.num_rows
        for name in self.counted:
            self.nulls[name] += pc.sum(pc.is_null(_plain(batch.column(name)), nan_is_null=True)).as_py() or 0
        rows = whole_keys(batch, data.key)
        self.keyless += batch.num_rows - rows.num_rows
        same_kinds(self.spec, self.logged.kinds, rows.schema)
        numbers, keys = identities(rows, data.key, data.time)
        place = self.logged.find(numbers)
        found = np.flatnonzero(place >= 0)
        if self.outcomes:
            label = _plain(rows.column(data.label))
            known = ~pc.is_null(label, nan_is_null=True).to_numpy(zero_copy_only=False)
            lost = known & (place < 0)
            self.unpredicted += int(lost.sum())
            self.strange.append(keys[lost])
        if not len(found):
            return
        taken = rows.take(pa.array(found))
        self.parts.append(taken.select(self.kept))
        self.places.append(place[found])
        if self.each is not None:
            self.losses.append(self._each(taken, place[found]))

    def _each(self, rows: pa.RecordBatch, place: Array) -> Array:
        import numpy as np
        import pyarrow as pa

        mine = self.logged.mine[place]
        own = np.flatnonzero(mine >= 0)
        found = np.full(len(place), np.nan)
        if len(own) and self.each is not None:
            found[own] = self.each(
                to_frame(rows.select(self.counted).take(pa.array(own))),
                predicted=self.logged.predicted.values[mine[own]],
            )
        return found

    def frame(self) -> pd.DataFrame:
        """Everything that was kept."""
        import numpy as np
        import pandas as pd

        if not self.parts:
            names = [*self.kept, *([EACH] if self.each else [])]
            return pd.DataFrame({PLACE: pd.Series(dtype=int), **{name: pd.Series(dtype=object) for name in names}})
        places = np.concatenate(self.places)
        rows = together(self.parts) if self.kept else pd.DataFrame(index=range(len(places)))
        rows.insert(0, PLACE, places)
        if self.losses:
            rows[EACH] = np.concatenate(self.losses)
        return rows

    def moved(self, answered: Array) -> int:
        """Predictions without an outcome whose key has one at another event time."""
        import numpy as np

        if not self.strange:
            return 0
        waiting = np.ones(self.logged.rows, dtype=bool)
        waiting[answered] = False
        return int(np.isin(self.logged.key[waiting], np.concatenate(self.strange)).sum())


def _plain(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _repeated(rows: pd.DataFrame, label: str) -> tuple[int, int]:
    """Predictions with the same outcome several times, and with outcomes that differ."""
    several = rows[rows[PLACE].duplicated(keep=False)]
    if not len(several):
        return 0, 0
    different = several.groupby(PLACE)[label].nunique() > 1
    return int((~different).sum()), int(different.sum())
