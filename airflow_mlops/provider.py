"""What Airflow learns of this package without importing the rest of it."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Describe the provider: connection type, links, notifier, commands, configuration."""
    from airflow_mlops.config import CONFIG
    from airflow_mlops.hooks.form import CONNECTION_TYPES

    return {
        "package-name": "airflow-mlops",
        "name": "MLOps",
        "description": "Keeps machine-learning models good after launch, with MLflow as the system of record.",
        "connection-types": CONNECTION_TYPES,
        "extra-links": [
            "airflow_mlops.links.MLflowRunLink",
            "airflow_mlops.links.ReportLink",
            "airflow_mlops.links.ModelVersionLink",
            "airflow_mlops.links.ModelCardLink",
        ],
        "notifications": ["airflow_mlops.notifications.webhook.LoopNotifier"],
        "cli": ["airflow_mlops.cli.get_cli_commands", "airflow_mlops.preload.watch_celery_worker"],
        "config": CONFIG,
    }
