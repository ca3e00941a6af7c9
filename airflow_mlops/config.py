"""The `[mlops]` section of Airflow's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.platform_rules import DEFAULT_IMPORTS, PlatformRules

if TYPE_CHECKING:
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.stores.mlflow.seals import SealKeys
    from airflow_mlops.stores.s3.address import S3Options

CONFIG: dict[str, Any] = {
    "mlops": {
        "description": "Keeps machine-learning models good after launch.",
        "options": {
            "storage": {
                "description": "Where snapshots, predictions and reports live: a folder, or an object-store URI where "
                "several machines work (s3://conn_id@bucket/mlops). Default: mlops/ below AIRFLOW_HOME.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "s3://aws_default@my-bucket/mlops",
                "default": "",
            },
            "s3_encryption": {
                "description": "What a storage in S3 asks its objects to be encrypted by: AES256, aws:kms or "
                "aws:kms:dsse. Empty: the bucket's own default, which its owner sets.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "aws:kms",
                "default": "",
            },
            "s3_kms_key_id": {
                "description": "With s3_encryption = aws:kms: the KMS key, by id, ARN or alias. Empty: the account's "
                "own key for S3.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "alias/mlops",
                "default": "",
            },
            "s3_bucket_owner": {
                "description": "AWS account, 12 digits, that must own the bucket of a storage in S3: any request to "
                "another's bucket of the same name is refused by S3. Empty: not asked.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "123456789012",
                "default": "",
            },
            "data_root": {
                "description": "Folder that relative data paths of specifications start from. Default: AIRFLOW_HOME.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "/srv/data",
                "default": "",
            },
            "allowed_imports": {
                "description": "Modules that specifications may name classes and functions of, separated by commas: "
                "estimators, transformers, metrics, notifiers, trusted types. Add your own packages to the default.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "sklearn, xgboost, lightgbm, catboost, airflow_mlops, our_models, "
                "airflow.providers.smtp.notifications",
                "default": ", ".join(DEFAULT_IMPORTS),
            },
            "allowed_schemas": {
                "description": "Schemas of databases that SQL sources of specifications may read, separated by commas. "
                "Empty: any; what the connection's user may read is the database's to say.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "sales, public",
                "default": "",
            },
            "seal_secret": {
                "description": "Keys of the seals of what is written to MLflow, id:secret, separated by commas; the "
                "first seals, all verify. Without one, a seal shows accidents and not people.",
                "version_added": "0.1.0",
                "type": "string",
                "example": None,
                "sensitive": True,
                "default": "",
            },
            "seal_unkeyed_until": {
                "description": "With a key: until when what was sealed before there was one is accepted, ISO 8601. "
                "Empty: it is not; airflow mlops seal seals it.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "2026-07-01T00:00:00+00:00",
                "default": "",
            },
            "preload_workers": {
                "description": "Import the machine-learning libraries once, in the process that task processes are "
                "forked from, instead of in every task.",
                "version_added": "0.1.0",
                "type": "boolean",
                "example": None,
                "default": "True",
            },
        },
    }
}
"""The same text serves Airflow's configuration reference, through the provider's information."""


@dataclass(frozen=True)
class Settings:
    """What `[mlops]` says, with the defaults filled in."""

    storage: str
    data_root: str
    preload_workers: bool


def settings() -> Settings:
    """Read the section. Environment variables work as everywhere: ``AIRFLOW__MLOPS__STORAGE``."""
    from airflow.sdk.configuration import conf

    home = _home()
    return Settings(
        storage=conf.get("mlops", "storage", fallback="") or str(home / "mlops"),
        data_root=conf.get("mlops", "data_root", fallback="") or str(home),
        preload_workers=conf.getboolean("mlops", "preload_workers", fallback=True),
    )


def s3_options() -> S3Options:
    """Read what is asked of a storage in S3."""
    from airflow.sdk.configuration import conf

    from airflow_mlops.stores.s3.address import S3Options

    return S3Options(
        encryption=conf.get("mlops", "s3_encryption", fallback="") or "",
        kms_key_id=conf.get("mlops", "s3_kms_key_id", fallback="") or "",
        bucket_owner=conf.get("mlops", "s3_bucket_owner", fallback="") or "",
    )


def open_configured_storage(root: str = "") -> Storage:
    """Open `[mlops] storage`, or another place as that is opened: with what is asked of a storage in S3.

    Raises
    ------
    DataError
        If the place's connection, or what serves it, is missing, or an option is none that S3 knows.
    """
    from airflow_mlops.stores.storage.storage import open_storage

    return open_storage(root or settings().storage, s3=s3_options())


def seal_keys() -> SealKeys:
    """Read the keys of seals; from then on, logs mask their secrets.

    Raises
    ------
    RecordError
        If an option cannot be read; without any part of a secret.
    """
    from airflow.sdk.configuration import conf
    from airflow.sdk.log import mask_secret

    from airflow_mlops.stores.mlflow.seals import read_keys

    given = conf.get("mlops", "seal_secret", fallback="") or ""
    if given:
        mask_secret(given)
    keys = read_keys(given, conf.get("mlops", "seal_unkeyed_until", fallback="") or "")
    for secret in keys.secrets.values():
        mask_secret(secret.decode())
    return keys


def platform_rules_of_config() -> PlatformRules:
    """Read what the platform allows specifications to name."""
    from airflow.sdk.configuration import conf

    return PlatformRules(
        imports=_listed(conf.get("mlops", "allowed_imports", fallback=", ".join(DEFAULT_IMPORTS))),
        schemas=_listed(conf.get("mlops", "allowed_schemas", fallback="")),
    )


def _listed(value: str | None) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in (value or "").split(",")) if name)


def _home() -> Path:
    import os

    return Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser().resolve()
