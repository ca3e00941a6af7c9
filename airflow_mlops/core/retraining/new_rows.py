"""How many labelled rows have come since the champion's as-of."""

from __future__ import annotations

from datetime import datetime

from airflow_mlops.core.ports import DataStore, as_known_at
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.labels import has_label_column
from airflow_mlops.core.rows.windows import label_window
from airflow_mlops.spec.model import ModelSpec


def count_new_rows(spec: ModelSpec, champion: Champion, store: DataStore, as_of: datetime) -> int:
    """Count the rows that a training as of `as_of` would know, and the champion's could not.

    These are the rows with a label whose event is mature at `as_of` and was not at the champion's as-of time. Only
    time and label are read, in batches.

    Raises
    ------
    DataError
        If the source is missing or unreadable, or has no label at all.
    """
    import pyarrow.compute as pc

    known, now = (label_window(spec, instant).end for instant in (champion.candidate.as_of, as_of))
    if now <= known:
        return 0
    time, label = spec.data.time, spec.data.label
    window, store = Window(start=known, end=now), as_known_at(store, as_of)
    if not has_label_column(spec, store, window):
        return 0
    batches = store.read(window, time, list(dict.fromkeys((time, label))))
    return sum(b.num_rows - pc.is_null(b.column(label), nan_is_null=True).true_count for b in batches)
