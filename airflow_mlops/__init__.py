"""Keep machine-learning models good after launch, with Apache Airflow and MLflow."""

from __future__ import annotations

from airflow_mlops.platform_rules import PlatformRules, read_rules_by

__version__ = "0.1.0"


def _rules_of_airflow() -> PlatformRules:
    from airflow_mlops.config import platform_rules_of_config

    return platform_rules_of_config()


read_rules_by(_rules_of_airflow)
