"""The `[mlops]` section of Airflow's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def _home() -> Path:
    import os

    return Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser().resolve()
