"""The commit behind a task try: the bundle's version, else that of the folder, with `-dirty` when it was changed."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_mlops.provenance import code_version, git_commit, provenance


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of this machine, no repository above the test's folder, no hook's environment."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.resolve().parent))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    assert shutil.which("git"), "git has to be installed: code versions come from it"
    folder = tmp_path / "repository"
    (folder / "dags").mkdir(parents=True)
    (folder / "dags" / "loop.py").write_text("1\n")
    git = git_in(folder)
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return folder


def git_in(folder: Path) -> Callable[..., str]:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    return git


def task(bundle: Any = None, **changes: Any) -> SimpleNamespace:
    values = {"dag_id": "orders.train", "run_id": "r1", "task_id": "train", "try_number": 2, "bundle_instance": bundle}
    return SimpleNamespace(**{**values, **changes})


def test_the_commit_of_a_working_tree(repository: Path) -> None:
    commit = git_commit(repository)
    assert commit == git_in(repository)("rev-parse", "HEAD")
    assert re.fullmatch("[0-9a-f]{40}", commit or "")
    assert git_commit(repository / "dags") == commit


def test_a_tag_does_not_stand_in_for_the_commit(repository: Path) -> None:
    git_in(repository)("tag", "-a", "v1", "-m", "v1")
    assert git_commit(repository) == git_in(repository)("rev-parse", "HEAD")


@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_file_makes_it_dirty(repository: Path, staged: bool) -> None:
    (repository / "dags" / "loop.py").write_text("2\n")
    if staged:
        git_in(repository)("add", ".")
    assert git_commit(repository) == git_in(repository)("rev-parse", "HEAD") + "-dirty"


def test_a_file_that_git_does_not_know_changes_nothing(repository: Path) -> None:
    (repository / "notes.txt").write_text("not tracked")
    assert git_commit(repository) == git_in(repository)("rev-parse", "HEAD")


def test_no_commit_outside_git_or_before_the_first(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    assert git_commit(tmp_path / "missing") is None
    git_in(tmp_path)("init", "-q")
    assert git_commit(tmp_path) is None


def test_no_commit_without_git(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert git_commit(repository) is None


def test_the_version_of_the_bundle_wins(repository: Path) -> None:
    assert code_version(task(SimpleNamespace(version="abc", path=repository))) == "abc"
    assert code_version(task(SimpleNamespace(version=None, path=repository))) == git_commit(repository)
    assert code_version(task(SimpleNamespace(version=None, path=str(repository)))) == git_commit(repository)
    assert code_version(task(SimpleNamespace(version=None, path=None))) is None
    assert code_version(task()) is None
    assert code_version(SimpleNamespace()) is None


@pytest.mark.parametrize("run_type", ["backfill", SimpleNamespace(value="backfill")])
def test_tags_name_the_task_try_and_its_code(repository: Path, run_type: Any) -> None:
    bundle = SimpleNamespace(version=None, path=repository)
    tags = provenance({"ti": task(bundle), "dag_run": SimpleNamespace(run_type=run_type)})
    assert tags == {
        "mlops.dag_id": "orders.train",
        "mlops.dag_run_id": "r1",
        "mlops.task_id": "train",
        "mlops.try_number": "2",
        "mlops.run_type": "backfill",
        "mlflow.source.git.commit": git_commit(repository),
    }
    assert "mlflow.source.git.commit" not in provenance({"ti": task(), "dag_run": SimpleNamespace(run_type=run_type)})
