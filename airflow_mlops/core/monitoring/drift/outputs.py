"""What the champion said in a window, and what came true, counted in the bins of its reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.profiles.build import profile_batches
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.scoring import scored_batches
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Refusal

if TYPE_CHECKING:
    import pyarrow as pa


def observed_outputs(  # noqa: PLR0917 - whose, where it stands, when
    spec: ModelSpec,
    champion: Champion,
    reference: Profile,
    store: DataStore,
    storage: Storage | None,
    window: Window,
    known_at: datetime,
) -> tuple[ColumnProfile, ...]:
    """Count predictions of a window and the newest mature labels, as far as the reference has counted them.

    Parameters
    ----------
    window
        Event times of the predictions; those of this champion count, for another version has another distribution.
    known_at
        Labels count whose event time plus label delay is at most this, over a window as long as `window`: the newest
        outcomes that are known, of earlier events than the predictions.

    Returns
    -------
    tuple of ColumnProfile
        `prediction` and `label`; one that cannot be counted is left out.
    """
    found = []
    for before in reference.outputs:
        if before.name == "prediction" and storage is not None:
            found.append(_predictions(spec, champion, replace(reference, columns=(before,)), storage, window))
        elif before.name == "label":
            found.append(_labels(spec, reference, before, store, mature(spec, window, known_at)))
    return tuple(column for column in found if column is not None)


def mature(spec: ModelSpec, window: Window, known_at: datetime) -> Window:
    """Event times of the newest outcomes known at an instant, as many as `window` has; see `windows.label_window`."""
    delay = spec.data.label_delay
    end = known_at - delay + timedelta(microseconds=1) if delay else known_at
    return Window(start=end - (window.end - window.start), end=end)


def _predictions(
    spec: ModelSpec, champion: Champion, bins: Profile, storage: Storage, window: Window
) -> ColumnProfile | None:
    """None when the score log cannot be read: drift of features does not wait for it."""
    numeric = bins.columns[0].role == "numeric"
    column = "probability" if numeric and champion.candidate.task != "regression" else "prediction"
    try:
        return profile_batches(bins, _of_champion(spec, champion, storage, window, column), window).columns[0]
    except Refusal as error:
        if not isinstance(error, DataError | RecordError):
            raise
        return None


def _of_champion(
    spec: ModelSpec, champion: Champion, storage: Storage, window: Window, column: str
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in scored_batches(spec, storage, window, ["model_version", column]):
        if {"model_version", column} <= set(batch.schema.names):
            own = batch.filter(pc.equal(batch.column("model_version"), champion.version))
            yield pa.RecordBatch.from_arrays([own.column(column)], ["prediction"])


def _labels(
    spec: ModelSpec, reference: Profile, before: ColumnProfile, store: DataStore, window: Window
) -> ColumnProfile | None:
    """Rows without a label are left out, as they are in training."""
    bins = replace(reference, columns=(replace(before, name=spec.data.label),))
    try:
        (column,) = store.profile(bins, window, spec.data.time).columns
    except DataError:
        return None  # the window's own columns were counted: it is the label that is missing, and unknown then
    return replace(column, name="label", missing=0)
