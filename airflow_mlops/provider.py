"""What Airflow learns of this package without importing the rest of it."""

from __future__ import annotations

from typing import Any

_OURS = "MLOps"
_MLFLOW = "MLflow"
_OPERATORS = (
    *("approval", "gate", "invalid_spec", "performance", "promotion", "retraining"),
    *("rollback", "scoring", "snapshot", "training", "validation"),
)
_SENSORS = ("drift", "new_data", "performance")
_TRIGGERS = ("change", "window", "events")


def get_provider_info() -> dict[str, Any]:
    """Describe the provider, in the words of Airflow's `provider_info.schema.json`.

    Airflow asks at every start of every component, so the modules are named here and not looked for; a test compares
    them with what the package holds. The plugin has an entry point of its own and is therefore not named again.

    Examples
    --------
    >>> [entry["integration-name"] for entry in get_provider_info()["integrations"]]
    ['MLOps', 'MLflow']
    """
    from airflow_mlops.config import CONFIG
    from airflow_mlops.hooks.form import CONNECTION_TYPES

    return {
        "package-name": "airflow-mlops",
        "name": "MLOps",
        "description": "Keeps machine-learning models good after launch, with MLflow as the system of record.",
        "integrations": [
            {
                "integration-name": _OURS,
                "how-to-guide": ["/docs/operators.md", "/docs/gate.md", "/docs/monitoring.md", "/docs/operating.md"],
                "logo": "/docs/images/logo.svg",
                "tags": ["machine-learning"],
            },
            {
                "integration-name": _MLFLOW,
                "external-doc-url": "https://mlflow.org/docs/latest/",
                "how-to-guide": ["/docs/operating.md"],
                "tags": ["machine-learning", "software"],
            },
        ],
        "operators": [_modules(_OURS, "operators", _OPERATORS)],
        "sensors": [_modules(_OURS, "sensors", _SENSORS)],
        "hooks": [_modules(_MLFLOW, "hooks", ("mlflow",))],
        "triggers": [_modules(_OURS, "triggers", _TRIGGERS)],
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


def _modules(integration: str, folder: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "integration-name": integration,
        "python-modules": [f"airflow_mlops.{folder}.{name}" for name in names],
    }
