"""Run a specification's stages up to the gate on its source: nothing is registered, stored or told anybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.rows.event_times import time_bounds
from airflow_mlops.core.rows.windows import label_window
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem

if TYPE_CHECKING:
    from airflow_mlops.core.snapshot import KnownFaults

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rehearsal:
    """What came of it; what was not reached is None."""

    as_of: datetime
    snapshot: Snapshot | None = None
    candidate: Candidate | None = None
    decision: GateDecision | None = None
    """Of the gate, without the rule on the serving model, which needs one that is stored."""
    problems: tuple[Problem, ...] = ()
    """What stopped it; none when the gate was reached."""

    @property
    def reason(self) -> str:
        """Why the gate says what it says: of an acceptance, the comparison with the trivial model."""
        if self.decision is None:
            return ""
        rules = self.decision.evaluation.rules if self.decision.verdict is Verdict.ACCEPT else ()
        return next((one.reason for one in rules if one.rule == "baseline"), self.decision.reasons[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Against:
    """The champion that a rehearsal is held against, and what it tells of the rows."""

    champion: Champion
    pipeline: Any
    also: tuple[str, ...] = ()
    """Columns that it needs."""
    faults: KnownFaults | None = None
    """Which days are sound."""


def newest_as_of(spec: ModelSpec, store: DataStore, now: datetime) -> datetime:
    """Return the newest instant at which the newest row has its label: now, or what the data reaches to.

    Raises
    ------
    DataError
        WINDOW_EMPTY, if the source has no row; or as the store's `bounds`.
    """
    _, last = time_bounds(store, spec.data.time)
    return min(now, last + spec.data.label_delay + _TICK)


def rehearse(
    spec: ModelSpec,
    store: DataStore,
    storage: Storage,
    *,
    as_of: datetime,
    now: datetime,
    against: Against | None = None,
) -> Rehearsal:
    """Snapshot, validate, train and judge as the loop's run as of `as_of` would.

    Parameters
    ----------
    storage
        Where the snapshot is written: a folder that the caller throws away, or the loop's own.
    as_of, now
        As of :func:`~airflow_mlops.core.snapshot.take_snapshot`.
    against
        The champion, and what it tells; None: as the loop's first run. What is trained knows of the same change.

    Raises
    ------
    StoreUnavailableError
        If the source or the storage does not answer.
    """
    from airflow_mlops.core.gate import decide, evaluate, unserved_spec
    from airflow_mlops.core.snapshot import read_snapshot, take_snapshot
    from airflow_mlops.core.training import candidate_from, fit
    from airflow_mlops.core.validation import enforce, validate_snapshot

    reached: dict[str, Any] = {"as_of": as_of}
    champion, theirs = (against.champion, against.pipeline) if against else (None, None)
    told: dict[str, Any] = {"also": against.also, "faults": against.faults} if against else {}
    asked = unserved_spec(spec)
    try:
        snapshot = reached["snapshot"] = take_snapshot(spec, as_of, store, storage, now=now, **told)
        frame = read_snapshot(snapshot, storage)
        enforce(validate_snapshot(spec, snapshot, frame))
        fitted = fit(spec, snapshot, frame, changed=None if champion is None else champion.candidate.changed)
        candidate = reached["candidate"] = candidate_from(
            spec, snapshot, fitted, loop_run="rehearsal", run_id="rehearsal", model_uri="rehearsal:/1"
        )
        evaluation = evaluate(asked, candidate, fitted.pipeline, champion, theirs, frame, snapshot=snapshot)
        judged_at = label_window(spec, candidate.as_of).end
        reached["decision"] = decide(asked, candidate, evaluation, now=judged_at)
    except (DataError, TrainingError) as refusal:
        reached["problems"] = refusal.problems
    return Rehearsal(**reached)
