"""A test file stands where its module does: what is tested in a file is known from its path."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("cli", "core", "hooks", "notifications", "operators", "reports", "sensors", "spec", "stores", "triggers")
ELSEWHERE = {
    "triggers/test_stored_paths.py": "paths of classes that stand in Airflow's database, of all modules of the folder",
}
"""Test files without a module of their name, and why."""

TESTS = ROOT / "tests"
FILES = sorted(path.relative_to(TESTS).as_posix() for floor in FLOORS for path in (TESTS / floor).rglob("test_*.py"))


def modules_of(file: str) -> tuple[Path, ...]:
    """Return the modules that a test file may be about: its own name's, a private one's, or its folder's face."""
    path = ROOT / "airflow_mlops" / file
    name = path.stem.removeprefix("test_")
    if name == "init":
        return (path.with_name("__init__.py"),)
    return (path.with_name(f"{name}.py"), path.with_name(f"_{name}.py"), path.with_name(name) / "__init__.py")


def test_there_are_files() -> None:
    assert len(FILES) > 100


@pytest.mark.parametrize("file", FILES)
def test_each_file_has_its_module(file: str) -> None:
    if file not in ELSEWHERE:
        assert any(module.exists() for module in modules_of(file)), f"none of {modules_of(file)}"


@pytest.mark.parametrize("file", ELSEWHERE)
def test_an_exception_is_one(file: str) -> None:
    assert not any(module.exists() for module in modules_of(file))
