"""The preload imports, and does nothing else; what it cannot import costs nobody else."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_mlops
from airflow_mlops import preload


def test_only_the_scheduler_of_a_local_executor_preloads() -> None:
    assert preload.forks_tasks(["/venv/bin/airflow", "scheduler"], "airflow.executors.LocalExecutor")
    assert preload.forks_tasks(["airflow", "scheduler"], "CeleryExecutor,LocalExecutor")
    for component in ("api-server", "dag-processor", "triggerer", "celery", "tasks"):
        assert not preload.forks_tasks(["airflow", component], "LocalExecutor")
    assert not preload.forks_tasks(["airflow", "scheduler"], "KubernetesExecutor")
    assert not preload.forks_tasks(["python"], "LocalExecutor")


def test_a_library_that_fails_to_import_is_a_warning_and_the_others_are_loaded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(preload, "LIBRARIES", ("json", "no_such_library_at_all", "decimal"))
    with caplog.at_level(logging.WARNING, logger="airflow_mlops.preload"):
        monkeypatch.setattr(preload, "FLOORS", ())
        monkeypatch.setattr(preload, "ADAPTERS", ())
        assert preload.preload() == ["no_such_library_at_all"]
    assert "could not preload no_such_library_at_all" in caplog.text


@pytest.fixture
def preloaded() -> subprocess.CompletedProcess[str]:
    """What a fresh interpreter says that preloads everything."""
    script = (
        "import threading, sys\n"
        "from airflow_mlops import preload\n"
        "failed = preload.preload()\n"
        "assert failed == [], failed\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "missing = [m for m in preload.modules() if m not in sys.modules]\n"
        "assert not missing, missing\n"
    )
    quiet = {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"}
    plain = {name: value for name, value in os.environ.items() if name not in quiet}
    return subprocess.run([sys.executable, "-c", script], env=plain, capture_output=True, text=True, check=False)


def test_preloading_really_loads_all_and_starts_no_python_thread(preloaded: subprocess.CompletedProcess[str]) -> None:
    assert preloaded.returncode == 0, preloaded.stderr[-3000:]


def test_every_module_of_the_floors_is_named_in_folders_however_deep() -> None:
    """A list that stops at the top folder warms workers with nothing of ours, and no error says so."""
    package = Path(airflow_mlops.__file__).parent
    there = {
        ".".join(("airflow_mlops", *file.relative_to(package).with_suffix("").parts))
        for floor in ("core", "reports", "stores")
        for file in (package / floor).rglob("*.py")
        if file.name != "__init__.py"
    }
    assert len(there) > 100
    assert there - set(preload.modules()) == set()
