"""A specification's folder of the storage belongs to it: `snapshots/<name>` and `predictions/<name>`."""

from __future__ import annotations

from uuid import uuid4

from airflow_mlops.core.ports import AuditTrail, Registry, Storage
from airflow_mlops.core.promotion.ownership import may_follow
from airflow_mlops.core.records.ownership import SpecIdentity, handover_fix, owned_by_another


def claim_folder(
    storage: Storage, registry: Registry, trail: AuditTrail, *, registered_model: str, specification: SpecIdentity
) -> None:
    """Write down whose folder of the storage it is, once, or refuse who it is not.

    Folders are named by specifications, of which one Airflow has one of each name; two that share a storage may have
    two. A folder follows its model when that is handed over.

    Raises
    ------
    RecordError
        OWNED_BY_ANOTHER; RECORD_CONFLICT, if what is written there names nobody.
    StoreUnavailableError
        If the storage does not answer.
    """
    path = f"owners/{specification.name}.json"
    if not storage.exists(path):
        # Under another name first: a name that is taken meanwhile is not replaced, and read below.
        staged = f"{path}.{uuid4().hex}"
        storage.write_text(staged, specification.to_text())
        storage.move(staged, path)
    holder = SpecIdentity.from_text(storage.read_text(path), where=storage.uri(path))
    if holder == specification:
        return
    if not holder.is_same(specification) and not may_follow(
        registry, trail, registered_model=registered_model, holder=holder, to=specification
    ):
        folder = storage.uri(f"snapshots/{specification.name}")
        fix = handover_fix(registered_model, specification, "name")
        raise owned_by_another(f"storage folder {folder}", holder, specification, fix=fix)
    storage.write_text(path, specification.to_text())
