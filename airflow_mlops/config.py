"""The `[mlops]` section of Airflow's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_mlops.platform_rules import DEFAULT_IMPORTS, PlatformRules

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
