"""The connection form of type `mlflow`, as plain data: the UI draws it without importing the hook."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": ["string", "null"]}

CONNECTION_TYPES: list[dict[str, Any]] = [
    {
        "connection-type": "mlflow",
        "hook-class-name": "airflow_mlops.hooks.mlflow.MLflowHook",
        "hook-name": "MLflow",
        "ui-field-behaviour": {
            "hidden-fields": ["extra"],
            "relabeling": {
                "host": "Tracking URI or host",
                "schema": "Scheme (http or https)",
                "login": "User",
            },
            "placeholders": {
                "host": "https://mlflow.example.com",
                "schema": "taken from the URI when it has one; else http",
                "port": "5000",
                "login": "leave empty when a token is used",
            },
        },
        "conn-fields": {
            "registry_uri": {
                "label": "Registry URI",
                "description": "Only when the model registry is not the tracking server.",
                "schema": _TEXT,
            },
            "token": {"label": "Token", "schema": {"type": ["string", "null"], "format": "password"}},
            "ui_url": {
                "label": "Address of MLflow's pages",
                "description": "For links, when browsers reach MLflow under another address than tasks do.",
                "schema": _TEXT,
            },
            "verify_tls": {"label": "Verify TLS certificates", "schema": {"type": "boolean", "default": True}},
            "ca_bundle": {"label": "CA bundle", "description": "Path of a PEM file on the workers.", "schema": _TEXT},
            "client_cert": {
                "label": "Client certificate",
                "description": "Path of a PEM file with key on the workers.",
                "schema": _TEXT,
            },
            "timeout": {
                "label": "Timeout of a request (seconds)",
                "schema": {"type": "integer", "minimum": 1, "default": 60},
            },
            "max_retries": {
                "label": "Retries of a request",
                "description": "On connection errors, 429 and 5xx.",
                "schema": {"type": "integer", "minimum": 0, "maximum": 10, "default": 4},
            },
            "backoff": {
                "label": "Backoff factor (seconds)",
                "description": "Waits 2, 4, 8 ... times this between tries.",
                "schema": {"type": "number", "minimum": 0, "default": 1},
            },
        },
    }
]
