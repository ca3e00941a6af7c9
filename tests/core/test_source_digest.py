"""The digest of the code changes with any of its files, wherever it lies."""

import shutil
from pathlib import Path

import pytest

from airflow_mlops.core.source_digest import FLOORS, ROOT, source_digest

FILES = sorted(file.relative_to(ROOT) for floor in FLOORS for file in (ROOT / floor).rglob("*.py"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the floors that a test may change."""
    folder = tmp_path_factory.mktemp("copy")
    for floor in FLOORS:
        shutil.copytree(ROOT / floor, folder / floor, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_there_are_files_in_every_floor_and_in_folders_below_them() -> None:
    assert {floor for floor in FLOORS for file in FILES if file.is_relative_to(floor)} == set(FLOORS)
    assert len(FILES) > 100


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_change_of_any_module_changes_the_digest(file: Path, package: Path) -> None:
    before = source_digest.__wrapped__(package)
    assert before == source_digest()
    changed = package / file
    content = changed.read_bytes()
    changed.write_bytes(content + b"# another\n")
    try:
        assert source_digest.__wrapped__(package) != before
    finally:
        changed.write_bytes(content)


def test_a_file_in_a_new_sub_folder_counts_and_so_does_its_place(package: Path) -> None:
    before = source_digest.__wrapped__(package)
    new = package / "airflow_mlops" / "core" / "deeper" / "still" / "rule.py"
    new.parent.mkdir(parents=True)
    new.write_text("BOUND = 1\n")
    first = source_digest.__wrapped__(package)
    moved = new.rename(new.parent.parent / "rule.py")
    second = source_digest.__wrapped__(package)
    shutil.rmtree(moved.parent)
    assert len({before, first, second}) == 3
    assert source_digest.__wrapped__(package) == before


def test_a_floor_without_code_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="core"):
        source_digest.__wrapped__(tmp_path)
