"""What the stack runs, and with which environment: all of its configuration is here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from dev.stack import postgres
from dev.stack.home import Home, State

MLFLOW = ("mlflow", "server", "--host", "127.0.0.1", "--workers", "1")
"""Arguments behind `python -m` of MLflow's server; its port comes with them, Airflow's by the environment."""
AIRFLOW = {
    "api-server": ("airflow", "api-server"),
    # the log servers of these two would listen on every address of the machine; logs are read from the disk here
    "scheduler": ("airflow", "scheduler", "--skip-serve-logs"),
    "dag-processor": ("airflow", "dag-processor"),
    "triggerer": ("airflow", "triggerer", "--skip-serve-logs"),
}
"""Arguments behind `python -m` of Airflow's processes. Why not `airflow standalone`: docs/decisions/0013."""
NAMES = ("postgres", "mlflow", *AIRFLOW)
_FOREIGN = ("AIRFLOW", "MLFLOW", "PG", "_AIRFLOW", "_MLFLOW")
"""Settings of another Airflow, MLflow or PostgreSQL in the caller's environment: they would leak into this stack."""


def base() -> dict[str, str]:
    """Return the caller's environment without foreign settings, without telemetry, and with local addresses direct."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    direct = ",".join(filter(None, [kept.get("no_proxy", kept.get("NO_PROXY")), "127.0.0.1", "localhost"]))
    programs = str(Path(sys.executable).parent)
    return kept | {
        "PATH": os.pathsep.join([programs, kept.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": direct,
        "no_proxy": direct,
        "DO_NOT_TRACK": "true",  # MLflow wants "true", Evidently anything
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def mlflow(home: Home) -> dict[str, str]:
    """Return the environment of the MLflow server."""
    return base() | {
        "MLFLOW_BACKEND_STORE_URI": postgres.url(home.postgres, "mlflow", "psycopg2"),
        "MLFLOW_ARTIFACTS_DESTINATION": home.artifacts.as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # background jobs of its own: eight processes that nobody uses
    }


def airflow(home: Home, state: State) -> dict[str, str]:
    """Return the environment of Airflow's processes."""
    connection = {"conn_type": "mlflow", "host": state.mlflow_url}
    return base() | {
        "AIRFLOW_HOME": str(home.airflow),
        "AIRFLOW_CONN_MLFLOW_DEFAULT": json.dumps(connection),
        "MLFLOW_TRACKING_URI": state.mlflow_url,  # should a task forget the connection, no mlflow.db appears somewhere
        "AIRFLOW__MLOPS__STORAGE": str(home.storage),
        "AIRFLOW__MLOPS__DATA_ROOT": str(home.root),
        "AIRFLOW__CORE__DAGS_FOLDER": state.dags,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the default asks the name server
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home.passwords),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url(home.postgres, "airflow", "psycopg2"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": postgres.url(home.postgres, "airflow", "asyncpg"),
        "AIRFLOW__API_AUTH__JWT_SECRET": state.secret,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(state.airflow_port),
        "AIRFLOW__API__BASE_URL": state.airflow_url,
        "AIRFLOW__API__WORKERS": "1",
        # OpenMP's threads spin while they wait for each other; beside other processes on few cores that makes a fit
        # ten times slower
        "OMP_WAIT_POLICY": "PASSIVE",
        # quick on small jobs, without keeping two cores busy
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        # a task whose scheduler was killed is run again soon after the next start, not after five minutes
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    }
