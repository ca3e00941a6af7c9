"""A folder of the storage belongs to one specification, on a disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.promotion.ownership import hand_over
from airflow_mlops.core.promotion.storage_owner import claim_folder
from airflow_mlops.core.records.ownership import Claim, SpecIdentity
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.memory_registry import MODEL, NOW, MemoryRegistry, go

OURS, THEIRS = SpecIdentity(name=MODEL, owner="team-a"), SpecIdentity(name=MODEL, owner="team-b")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path))


def claim(storage: Storage, registry: MemoryRegistry, specification: SpecIdentity, model: str = MODEL) -> None:
    claim_folder(storage, registry, registry, Claim(holder=specification, registered_model=model))


def test_the_first_one_is_written_down_once(storage: Storage, tmp_path: Path) -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, specification=OURS)
    claim(storage, registry, OURS)
    written = (tmp_path / "owners" / f"{MODEL}.json").stat().st_mtime_ns
    claim(storage, registry, OURS)
    assert (tmp_path / "owners" / f"{MODEL}.json").stat().st_mtime_ns == written
    assert storage.names("owners") == (f"{MODEL}.json",)


def test_one_name_and_another_owner_is_refused_until_the_model_is_handed_over(storage: Storage) -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, specification=OURS)
    claim(storage, registry, OURS)
    with pytest.raises(RecordError, match="storage folder .*snapshots/late: found what belongs to .* of team-a"):
        claim(storage, registry, THEIRS)
    hand_over(registry, registry, registered_model=MODEL, to=THEIRS, by="user:ada", reason="split", now=NOW)
    claim(storage, registry, THEIRS)
    with pytest.raises(RecordError, match="of team-b"):
        claim(storage, registry, OURS)


def test_a_model_of_its_own_does_not_take_a_folder_away(storage: Storage) -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, specification=OURS)
    claim(storage, registry, OURS)
    with pytest.raises(RecordError, match="of team-a"):
        claim(storage, registry, THEIRS, "never_registered")
    claim(storage, registry, OURS, "another_one")  # its owner may name another model; the folder goes with the first
    with pytest.raises(RecordError, match="of team-a"):
        claim(storage, registry, THEIRS, "another_one")


def test_before_a_model_is_registered_another_owner_is_a_correction(storage: Storage) -> None:
    registry = MemoryRegistry()
    claim(storage, registry, OURS)
    claim(storage, registry, THEIRS)
    assert "team-b" in storage.read_text(f"owners/{MODEL}.json")


def test_a_file_that_names_nobody_is_said(storage: Storage) -> None:
    storage.write_text(f"owners/{MODEL}.json", "{}")
    with pytest.raises(RecordError, match=f"owners/{MODEL}.json: found '{{}}', which names no owner"):
        claim(storage, MemoryRegistry(), OURS)
