"""Broken days through the real operators and a real MLflow: they block, and nothing broken is trained or judged on."""

from __future__ import annotations

from argparse import Namespace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_mlops.cli.release import release
from airflow_mlops.config import open_configured_storage, settings
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.snapshot import read_snapshot
from airflow_mlops.operators import ScoreOperator
from airflow_mlops.operators.drift import observed
from airflow_mlops.operators.performance import performed
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.open_source import open_source
from tests.support.loop import AS_OF, Run, context_of, judge_loop, rows, run_loop, specification

DAY = timedelta(days=1)
BEGAN, ENDED = AS_OF - 12 * DAY, AS_OF - 6 * DAY
MONITORING = {"drift": {"min_rows": 50}, "performance": {"min_rows": 100}}


def taken(run: Run) -> tuple[Snapshot, pd.DataFrame]:
    snapshot = Snapshot.from_json(run.reports["snapshot"])
    return snapshot, read_snapshot(snapshot, open_configured_storage())


def test_broken_rows_are_blocked_left_out_and_released(loop_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = rows(8000, days=100)
    broken = (frame["ordered_at"] >= BEGAN) & (frame["ordered_at"] < ENDED)
    frame.loc[broken, "distance"] *= 1000
    frame.to_parquet(loop_home / "orders.parquet")
    body: dict[str, Any] = {**specification("orders.parquet"), "name": "quarantined", "monitoring": MONITORING}
    spec = ModelSpec.model_validate({**body, "scoring": {"window": "20d"}})
    run_loop(spec, AS_OF - 20 * DAY)
    ScoreOperator(task_id="score", spec=spec).execute(context_of("s", AS_OF, dag_id="quarantined.score"))

    storage, store = open_configured_storage(), open_source(spec.data.source, data_root=settings().data_root)
    in_the_middle = observed(spec, AS_OF - 11 * DAY, store, storage).report
    assert [(hint.column, hint.cause) for hint in in_the_middle.hints if hint.pipeline] == [("distance", "unit_change")]
    report = observed(spec, AS_OF, store, storage).report
    assert [(span.start, span.end, span.column) for span in report.quarantined] == [(BEGAN, ENDED, "distance")]
    measured, _ = performed(spec, AS_OF, storage)
    assert any("are left out" in reason for reason in measured.reasons)
    assert measured.predicted == int(((frame["ordered_at"] >= AS_OF - 14 * DAY) & ~broken).sum())

    snapshot, kept = taken(judge_loop(spec))
    assert [(span.start, span.end) for span in snapshot.quarantined] == [(BEGAN, ENDED)]
    assert not ((kept["ordered_at"] >= BEGAN) & (kept["ordered_at"] < ENDED)).any()
    assert snapshot.quarantined_rows == int(broken.sum())

    said = {"model": spec.registered_model, "reason": "a relocation", "json": False, "conn_id": "mlflow_default"}
    release(Namespace(start=BEGAN.isoformat(), end=ENDED.isoformat(), **said))
    assert "are right" in capsys.readouterr().out
    assert not observed(spec, AS_OF, store, storage).report.quarantined
    whole, every = taken(judge_loop(spec))
    assert whole.quarantined == ()
    assert len(every) == len(kept) + int(broken.sum())
