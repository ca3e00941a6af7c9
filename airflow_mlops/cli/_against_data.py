"""What a training on the specification's rows would find: rows are read, checked, trained on, and not kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_mlops.spec.problems import Problem, Refusal

if TYPE_CHECKING:
    from airflow_mlops.core.ports import DataStore
    from airflow_mlops.core.training import Fitted
    from airflow_mlops.spec import ModelSpec


def try_training(spec: ModelSpec, as_of: datetime | None) -> bool:
    """Print what snapshot, validation and training find; return whether a candidate would come of it.

    Parameters
    ----------
    as_of
        The instant to live at; None: now, or just after the newest row, where the window before now is empty.
    """
    found = _Found()
    try:
        _try(spec, as_of, found)
    except Refusal as refusal:
        found.problems += refusal.problems
    for line in found.notes:
        print(f"  {line}")
    for problem in dict.fromkeys(found.problems):
        print(f"  {problem}")
    return not found.problems


class _Found:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.problems: list[Problem] = []


def _try(spec: ModelSpec, as_of: datetime | None, found: _Found) -> None:
    from airflow_mlops.config import settings
    from airflow_mlops.core.snapshot import read_snapshot, take_snapshot
    from airflow_mlops.core.training import fit
    from airflow_mlops.core.validation import validate_snapshot
    from airflow_mlops.stores.open_source import open_rows
    from airflow_mlops.stores.storage.storage import open_storage

    store, now = open_rows(spec, data_root=settings().data_root), datetime.now(UTC)
    instant = as_of or _instant(spec, store, now)
    with tempfile.TemporaryDirectory(prefix="airflow-mlops-validate-") as folder:
        storage = open_storage(folder)
        snapshot = take_snapshot(spec, instant, store, storage, now=now)
        found.notes.append(
            f"as of {instant.isoformat()}: {snapshot.rows:,} rows of {snapshot.window} in {store.description}"
        )
        found.notes += [f"known issue: {issue}" for issue in snapshot.known_issues]
        frame = read_snapshot(snapshot, storage)
        report = validate_snapshot(spec, snapshot, frame)
        failed = [check for check in report.checks if not check.passed and check.problem]
        found.notes += [f"warning: {check.problem}" for check in failed if check.severity == "warning"]
        found.problems += [check.problem for check in failed if check.severity == "error" and check.problem]
        fitted = fit(spec, snapshot, frame)
    found.notes += _trained(spec, fitted)


def _instant(spec: ModelSpec, store: DataStore, now: datetime) -> datetime:
    """Now, unless the source ends before the window of now begins: then the first instant that knows its newest row."""
    ends = store.bounds(spec.data.time)
    if ends is None or ends[1] >= now - spec.data.window:
        return now
    return ends[1] + spec.data.label_delay + timedelta(seconds=1)


def _trained(spec: ModelSpec, fitted: Fitted) -> Iterable[str]:
    classes = ", ".join(f"{one} (positive)" if one == fitted.positive else str(one) for one in fitted.classes)
    yield (
        f"trained: {spec.training.estimator}, {fitted.task}{f' of {classes}' if classes else ''}, on "
        f"{len(fitted.train_frame):,} rows, measured on {len(fitted.holdout_frame):,}"
    )
    yield f"features: {', '.join(f'{one.name} ({one.role})' for one in fitted.features)}"
    yield from _metrics(fitted)
    yield from (f"the estimator warned: {warning}" for warning in fitted.warnings[:10])


def _metrics(fitted: Fitted) -> Iterator[str]:
    from airflow_mlops.core.text import format_number

    yield ", ".join(f"{name} {format_number(value)}" for name, value in sorted(fitted.metrics.items()))
