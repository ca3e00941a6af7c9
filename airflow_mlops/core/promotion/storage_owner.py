"""A specification's folder of the storage belongs to it: `snapshots/<name>` and `predictions/<name>`."""

from __future__ import annotations

from uuid import uuid4

from airflow_mlops.core.ports import AuditTrail, Registry, Storage
from airflow_mlops.core.promotion.ownership import settle_claim
from airflow_mlops.core.records.ownership import Claim


def claim_folder(storage: Storage, registry: Registry, trail: AuditTrail, asker: Claim) -> None:
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
    name = asker.holder.name
    path = f"owners/{name}.json"
    if not storage.exists(path):
        # Under another name first: a name that is taken meanwhile is not replaced, and read below.
        staged = f"{path}.{uuid4().hex}"
        storage.write_text(staged, asker.to_text())
        storage.move(staged, path)
    standing = Claim.from_text(storage.read_text(path), where=storage.uri(path))
    what = f"storage folder {storage.uri(f'snapshots/{name}')}"
    settled = settle_claim(registry, trail, standing, asker, what=what, field="name")
    if settled != standing:
        storage.write_text(path, settled.to_text())
