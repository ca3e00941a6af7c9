"""The three columns of the flights that tell the answer are caught one by one; the demo's own features never are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_mlops.core.pipeline.features import resolve
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.rows.labels import clean_labels
from airflow_mlops.core.rows.windows import split
from airflow_mlops.core.snapshot.read import read_snapshot
from airflow_mlops.core.snapshot.take import take_snapshot
from airflow_mlops.core.training.fit import split_frame
from airflow_mlops.spec import ModelSpec, load_spec
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.storage.storage import open_storage
from dev.demo import flights
from tests.support.leakage_inputs import bench_of, found

LEAKS = ("dep_delay", "arr_time", "air_time")
MONTHS = (3, 7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Files with the demo's table and the three columns beside it: all rows, and those that have a label."""
    root = tmp_path_factory.mktemp("flights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flights, "_COLUMNS", (*flights._COLUMNS, *LEAKS))
        rows = flights.read_flights(flights.source())
    times = rows["scheduled_departure"]
    used = [(times >= ends - pd.Timedelta(days=60)) & (times < ends) for ends in map(_utc, MONTHS)]
    rows = rows[pd.concat(used, axis=1).any(axis=1)]
    for name, part in (("all", rows), ("labelled", rows[rows["late"].notna()])):
        (root / name).mkdir()
        part.to_parquet(root / name / "flights.parquet", index=False, coerce_timestamps="us")
    yield root


def _utc(month: int) -> datetime:
    return datetime(2013, month, 1, tzinfo=UTC)


def _found(folder: Path, month: int, extra: tuple[str, ...], rows: str = "all") -> Any:
    demo = load_spec(Path(__file__).parents[2] / "dags/models/flight_delay.yaml").model_dump(mode="json")
    demo["features"]["numeric"] = [*demo["features"]["numeric"], *extra]
    spec = ModelSpec.model_validate(demo)
    storage = open_storage(str(folder / "mlops"))
    snapshot = take_snapshot(spec, _utc(month), FileStore(str(folder / rows)), storage, now=_utc(month))
    parts = split_frame(spec, read_snapshot(snapshot, storage), split(spec, snapshot.as_of))
    (train, known), (holdout, labels) = (clean_labels(spec, part, True) for part in parts)
    windows = split(spec, snapshot.as_of)
    made = bench_of(pd.DataFrame({"y": [0, 1], "a": [0, 1]}))
    candidate = replace(
        made.candidate, features=resolve(spec, snapshot), train=windows[0], holdout=windows[1], as_of=snapshot.as_of
    )
    bench = replace(
        made, spec=spec, snapshot=snapshot, candidate=candidate, window=windows[1], rows=holdout, labels=labels,
        train=train, train_labels=known,
    )  # fmt: skip
    return found(bench)


@pytest.mark.parametrize("month", MONTHS)
@pytest.mark.parametrize("extra", [*[(name,) for name in LEAKS], LEAKS], ids=[*LEAKS, "all three"])
def test_each_leak_is_named_and_nothing_else(folder: Path, month: int, extra: tuple[str, ...]) -> None:
    results, leaks = _found(folder, month, extra)
    assert {leak.what for leak in leaks} == set(extra)
    assert results["known_with_label"].verdict is Verdict.REJECT
    assert all(name in results["known_with_label"].reason for name in extra)


@pytest.mark.parametrize("rows", ["all", "labelled"])
@pytest.mark.parametrize("month", MONTHS)
def test_none_of_the_demos_features_is_called_a_leak(folder: Path, month: int, rows: str) -> None:
    results, leaks = _found(folder, month, (), rows)
    assert not leaks
    assert {result.verdict for result in results.values()} == {Verdict.ACCEPT}
    assert set(results) == {"single_feature_power", "function_of_label", "overlap", "known_with_label", "time"}


@pytest.mark.parametrize("month", MONTHS)
def test_the_delay_at_departure_is_caught_without_the_cancelled_flights_too(folder: Path, month: int) -> None:
    _, leaks = _found(folder, month, ("dep_delay",), "labelled")
    assert [(leak.kind, leak.what) for leak in leaks] == [("question", "dep_delay")]
