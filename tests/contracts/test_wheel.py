"""What is shipped: the wheel is built and read, so that tooling of this repository reaches no worker."""

from __future__ import annotations

import ast
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "airflow_mlops"
CACHES = {".pyc", ".pyo"}
OURS = {path.name for path in ROOT.iterdir() if path.is_dir() and [*path.rglob("*.py")]}
"""Folders of this repository that `import` would find when one stands in it."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    return zipfile.Path(path)


def test_only_the_package_and_what_describes_it_is_in_the_wheel(wheel: zipfile.Path) -> None:
    top = sorted(path.name for path in wheel.iterdir())
    assert len(top) == 3
    assert top[0] == "airflow_mlops"
    assert top[1].startswith("airflow_mlops-")
    assert top[1].endswith(".dist-info")
    assert top[2] == "airflow_mlops_steps"
    names = wheel.root.namelist()
    for part in ("dev", "tests", "benchmarks", "dags", "docs"):
        assert (ROOT / part).is_dir()
        assert [name for name in names if name.startswith(f"{part}/")] == []


def test_every_file_of_the_package_is_in_the_wheel_modules_and_data(wheel: zipfile.Path) -> None:
    """`py.typed`, templates, forms: a data file that is left out is missed only where the wheel is installed."""
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in CACHES]
    needed = {path.relative_to(ROOT).as_posix() for path in files}
    assert "airflow_mlops/py.typed" in needed
    assert "airflow_mlops/__init__.py" in needed
    assert "airflow_mlops_steps/source_types.py" in wheel.root.namelist()
    names = wheel.root.namelist()
    assert needed == {name for name in names if name.startswith("airflow_mlops/") and not name.endswith("/")}


def test_the_wheel_says_what_it_brings_to_airflow(wheel: zipfile.Path) -> None:
    (described,) = (path for path in wheel.iterdir() if path.name.endswith(".dist-info"))
    points = (described / "entry_points.txt").read_text()
    assert "[apache_airflow_provider]" in points
    assert "[airflow.plugins]" in points
    assert (described / "licenses" / "LICENSE").is_file()


def test_nothing_in_the_wheel_imports_what_is_not_in_it() -> None:
    """In a clone such an import works, also deep in a function; where the wheel is installed it does not."""
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 100
    left_out = OURS - {PACKAGE.name, "airflow_mlops_steps"}
    assert {"dev", "tests", "benchmarks"} <= left_out
    found = [(path.relative_to(ROOT).as_posix(), name) for path in modules for name in imported(path)]
    assert found
    assert [(path, name) for path, name in found if name.partition(".")[0] in left_out] == []


def imported(path: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return names + [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0]


def test_from_the_source_archive_demo_and_tests_can_be_run(tmp_path: Path) -> None:
    import tarfile

    (path,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = ("airflow_mlops/py.typed", "dev/__main__.py", "dags/models/flight_delay.yaml", "tests/conftest.py")
    for name in (*needed, "benchmarks/__main__.py", "Makefile", "constraints.txt", "pyproject.toml", "README.md"):
        assert name in names, name
