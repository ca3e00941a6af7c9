"""Each replay sees its own score log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_mlops.core.backtest.score_log import ScoreLog, log_folder
from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.predictions import Predictions
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.drifting_stream import specification

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_replay_sees_what_its_own_champions_scored_and_nothing_else(tmp_path: Path) -> None:
    spec, storage = specification(), open_storage(str(tmp_path))
    first, second = (Window(start=BEGIN + n * DAY, end=BEGIN + (n + 1) * DAY) for n in (0, 1))
    names = {window: f"{window.start:%Y%m%dT%H%M%SZ}_{window.end:%Y%m%dT%H%M%SZ}" for window in (first, second)}
    for version, window in ((1, first), (2, first), (1, second), (3, second)):
        made = Predictions(model="orders", version=version, run_id="r", window=window, rows=1, uri="u")
        log_folder(storage, version).write_text(
            f"predictions/orders/{names[window]}/manifest.json", made.to_text()
        )  # fmt: skip
    storage.write_text("snapshots/orders/s/manifest.json", "{}")
    log = ScoreLog(spec, storage, {first: 2, second: 3})
    assert log.folders("predictions/orders") == (names[first], names[second])
    read = [log.read_text(f"predictions/orders/{names[w]}/manifest.json") for w in (first, second)]
    assert [Predictions.from_json(text).version for text in read] == [2, 3]
    assert log.exists("snapshots/orders/s/manifest.json")
    assert log.root == storage.root
    half = ScoreLog(spec, storage, {first: 1})
    assert half.folders("predictions/orders") == (names[first],)
    assert not half.exists(f"predictions/orders/{names[second]}/manifest.json")
    with pytest.raises(RecordError, match="reads only"):
        log.write_text("x", "y")
