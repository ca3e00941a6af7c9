"""Keep machine-learning models good after launch, with Apache Airflow and MLflow."""

from __future__ import annotations

import sys

from airflow_mlops.platform_rules import PlatformRules, read_rules_by
from airflow_mlops.redaction import tell_secrets_to

__version__ = "0.1.0"


def _rules_of_airflow() -> PlatformRules:
    from airflow_mlops.config import platform_rules_of_config

    return platform_rules_of_config()


def _mask_in_airflow(secrets: list[str]) -> None:
    """Let Airflow's own masker know what was seen, for the lines that it writes itself."""
    if "airflow.sdk" in sys.modules:
        from airflow.sdk.log import mask_secret

        mask_secret(list(secrets))


read_rules_by(_rules_of_airflow)
tell_secrets_to(_mask_in_airflow)
