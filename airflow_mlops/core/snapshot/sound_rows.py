"""Which rows of a training window are sound: those of broken days are left out, and the manifest says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.faults import DayRows, Role, covering, find_faults
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.fault import FaultySpan, ReleasedSpan
from airflow_mlops.core.records.snapshot import Column, Window
from airflow_mlops.core.rows.types import kind_of_type
from airflow_mlops.core.rows.windows import rows_outside
from airflow_mlops.core.snapshot.read import snapshot_days
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class KnownFaults:
    """What is known beforehand of faults of the pipeline; see :func:`~airflow_mlops.core.faults.find_faults`."""

    anchor: Sequence[DayRows] = ()
    """Days that the champion was trained on."""
    known: Sequence[FaultySpan] = ()
    """Spans that monitoring found."""
    released: Sequence[ReleasedSpan] = ()
    """Spans that a person released."""

    @classmethod
    def of_champion(
        cls,
        champion: Champion,
        storage: Storage | None,
        *,
        seed: int,
        history: Sequence[DriftReport] = (),
        released: Sequence[ReleasedSpan] = (),
    ) -> KnownFaults:
        """Return what the days of a champion, and the newest report about drift, tell.

        Parameters
        ----------
        storage
            Of the champion's snapshot; None: its days are not looked at.
        history
            Reports of earlier windows: what the newest of them found goes on, until a sound day follows.
        """
        candidate = champion.candidate
        names = [feature.name for feature in candidate.features]
        newest = max(history, key=lambda report: report.as_of, default=None)
        return cls(
            anchor=() if storage is None else snapshot_days(candidate, storage, names, seed=seed),
            known=() if newest is None else tuple(span for span in newest.quarantined if not span.before_release),
            released=released,
        )

    def find(self, days: Sequence[DayRows], roles: Mapping[str, Role]) -> tuple[FaultySpan, ...]:
        """Find what is broken in a sample of days, by all that is known; see `find_faults`."""
        return find_faults(days, roles, anchor=self.anchor, known=self.known, released=self.released)


def compared_columns(spec: ModelSpec, source: Sequence[Column], columns: Sequence[str]) -> Mapping[str, Role]:
    """The columns whose days are compared: the listed features, or what a model would make features of."""
    types = {column.name: column.type for column in source}
    listed: dict[str, Role] = {
        **dict.fromkeys(spec.features.numeric, "numeric"),
        **dict.fromkeys(spec.features.categorical, "categorical"),
    }
    data = spec.data
    if listed:
        return {name: role for name, role in listed.items() if name in types and kind_of_type(types[name]) != "time"}
    others = {data.time, data.label, data.weight, *data.key, *spec.features.exclude, *spec.features.calendar}
    kinds = {name: kind_of_type(types[name]) for name in columns if name not in others}
    roles: dict[str, Role] = {"number": "numeric", "boolean": "numeric", "text": "categorical"}
    return {name: roles[kind] for name, kind in kinds.items() if kind in roles}


def sound_batches(storage: Storage, path: str, time: str, spans: Sequence[FaultySpan]) -> Iterator[pa.RecordBatch]:
    """The staged rows again, but for those of broken spans."""
    for batch in storage.read_batches(path):
        rows = rows_outside(batch, time, covering(spans))
        if rows.num_rows:
            yield rows


def quarantine_issue(spec: ModelSpec, span: FaultySpan) -> Problem:
    """What the manifest says of rows that are left out."""
    return Problem(
        code=ReasonCode.ROWS_QUARANTINED,
        field=span.column,
        found=f"{span.rows} rows of {span.start.isoformat()} .. {span.end.isoformat()}: {span.words}",
        allowed="rows that a sound pipeline made",
        fix="they are left out; mend them in the source, or say that they are right: "
        f"airflow mlops release {spec.registered_model} --from {span.start.isoformat()} --reason WHY",
    )


def no_sound_rows(
    spec: ModelSpec, store: DataStore, window: Window, rows: int, spans: Sequence[FaultySpan]
) -> DataError:
    """Every row of the window is quarantined: nothing is learnt from until a person says what is right."""
    first = spans[0]
    return DataError(
        Problem(
            code=ReasonCode.ROWS_QUARANTINED,
            field=first.column,
            found=f"all of {rows} rows are quarantined, since {first.start.isoformat()}: {first.words}",
            allowed="rows that a sound pipeline made",
            fix="mend them in the source; where the change is right and is to stay, say so: "
            f"airflow mlops release {spec.registered_model} --from {first.start.isoformat()} --reason WHY",
        ),
        subject=f"{store.description}, window {window}",
    )
