"""Racing and dying promoters of one model, on a real MLflow server over PostgreSQL. The large: `pytest -m chaos`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dev.stack import postgres
from dev.stack.process import Service, stop
from tests.support.servers import mlflow_server

pytestmark = [pytest.mark.mlflow, pytest.mark.postgres]
ROOT = Path(__file__).parents[2]
QUIET = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}


@contextmanager
def mlflow_on_postgres(folder: Path) -> Iterator[str]:
    """An MLflow server whose database is an embedded PostgreSQL."""
    data, log = folder / "postgres", folder / "postgres.log"
    environment = dict(os.environ)
    started: list[Service] = []
    try:
        postgres.start(data, log, environment, started.append)
        url = postgres.url(data, "mlflow", "psycopg2")
        with mlflow_server(folder / "mlflow", ("--backend-store-uri", url)) as uri:
            yield uri
    finally:
        stop(started, seconds=20, first=signal.SIGINT)


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="chaos") as folder, mlflow_on_postgres(Path(folder)) as address:
        yield address


def drive(uri: str, part: str, *numbers: int) -> list[dict[str, Any]]:
    """What the driver saw, one entry for each case."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.driver", uri, part, *map(str, numbers)],
        cwd=ROOT,
        env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("processes", "threads", "generations"),
    [
        pytest.param(2, 10, 2, id="20-promoters"),
        pytest.param(4, 50, 3, id="200-promoters", marks=pytest.mark.chaos),
    ],
)
def test_of_all_who_promote_at_once_one_wins_in_each_generation(
    uri: str, processes: int, threads: int, generations: int
) -> None:
    found = drive(uri, "race", processes, threads, generations)
    assert len(found) == generations
    for number, generation in enumerate(found):
        assert generation["outcomes"] == {"won": 1, "decision_stale": processes * threads - 1}
        assert generation["moves"] == number + 1
        assert generation["displaced"] == generation["before"]
        assert generation["champion"] != generation["before"]
        assert generation["wrong"] == []


@pytest.mark.parametrize(
    ("turns", "seed", "real"),
    [
        pytest.param(15, 1, 8, id="15-kills"),
        pytest.param(500, 2, 5, id="500-kills", marks=pytest.mark.chaos),
    ],
)
def test_killed_at_random_places_everything_agrees_after_a_retry(uri: str, turns: int, seed: int, real: int) -> None:
    (found,) = drive(uri, "kills", turns, seed, real)
    assert found["wrong"] == [], found
    assert found["turns"] == turns
    died = sum(count for what, count in found["seen"].items() if what.endswith((": cut", ": SIGKILL")))
    assert died >= turns // 4


@pytest.mark.parametrize(
    ("turns", "seed"), [pytest.param(4, 1, id="4-turns"), pytest.param(40, 2, id="40-turns", marks=pytest.mark.chaos)]
)
def test_over_a_broken_network_everything_agrees_after_a_retry(uri: str, turns: int, seed: int) -> None:
    (found,) = drive(uri, "network", turns, seed)
    assert found["wrong"] == [], found
    assert found["turns"] == turns
