"""What every test has: an Airflow home of its own, made before Airflow is imported anywhere."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_HOME = Path(tempfile.mkdtemp(prefix="airflow-mlops-tests-"))
os.environ.update(
    {
        "AIRFLOW_HOME": str(_HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(_HOME / "dags"),
        "AIRFLOW__MLOPS__STORAGE": str(_HOME / "storage"),
        "AIRFLOW__MLOPS__DATA_ROOT": str(_HOME),
        # The tests are a team with classes and functions of its own; what is allowed without it, tests/hostile shows.
        "AIRFLOW__MLOPS__ALLOWED_IMPORTS": "sklearn, xgboost, lightgbm, catboost, airflow_mlops, tests, a_team, "
        "team_transformers, team_models, a_teams_metrics, own_caller, own_raiser, own_skewed, our_features",
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        # Threads that wait for each other must not spin where two cores serve tests and servers, and the small
        # matrices of these tests cost more with threads than without: a third of the CPU of those that fit models.
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
)


from tests.support import rooms  # noqa: E402
from tests.support.core_loop import loop  # noqa: E402, F401 - fixtures of many folders
from tests.support.judged_runs import judged, judged_runs  # noqa: E402, F401
from tests.support.s3 import bucket, moto  # noqa: E402, F401
from tests.support.services import memory, postgres_url  # noqa: E402, F401


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_collection(session: pytest.Session) -> None:
    """Take away hypothesis' deadline, and let a commit give one answer: its examples follow from the tests alone.

    No test asserts on time, and the first example imports what the others use. `make explore` draws examples anew.
    """
    if session.config.pluginmanager.has_plugin("dsession"):
        return  # the workers collect
    from hypothesis import settings

    settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
    settings.register_profile("explore", deadline=None, max_examples=1_000)
    settings.load_profile("explore" if os.environ.get("EXPLORE") else "repeatable")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        rooms.mark(item)
    if os.environ.get("PYTEST_XDIST_WORKER"):
        items.sort(key=lambda item: rooms.rank_of(item.nodeid))  # stable: within a file nothing changes


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return rooms.scheduler(config, log)


@pytest.fixture(autouse=True)
def _quick_unless_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold every test without a server's mark to what `make test-fast` promises."""
    if rooms.SERVERS & {mark.name for mark in request.node.iter_markers()}:
        yield
        return
    with rooms.quick() as tried:
        yield
    assert tried == []


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """An Airflow home with a migrated database: `dag.test` works in it."""
    (_HOME / "dags").mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return _HOME


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server for the whole session. Tests keep apart by the names of their models."""
    from airflow_mlops import preload
    from tests.support.servers import mlflow_server

    with warnings.catch_warnings():
        # What libraries say while they are imported is theirs; what they say while we use them is an error.
        warnings.simplefilter("ignore")
        assert preload.preload() == []
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as uri:
        yield uri


@pytest.fixture
def loop_home(tmp_path: Path, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for data and storage, and the connection to MLflow, where the operators look for them."""
    monkeypatch.setenv("AIRFLOW__MLOPS__STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("AIRFLOW__MLOPS__DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"conn_type": "mlflow", "host": mlflow_uri}))
    return tmp_path
