"""Import the machine-learning libraries once, where task processes are forked from.

A task that imports scikit-learn, MLflow, Great Expectations and Evidently by itself pays ten seconds for it.
LocalExecutor's workers and Celery's prefork pool fork without exec, so what their parent has imported is there at
once, and its memory is shared. Importing is all that is done here: no thread is started and no connection opened,
because neither survives a fork.
"""

from __future__ import annotations

import importlib
import logging
import os
import pkgutil
import sys
import warnings
from typing import Any

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)

LIBRARIES = (
    "numpy",
    "pandas",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "scipy.stats",
    "sqlalchemy",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "skops.io",
    "mlflow",
    "mlflow.data",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "mlflow.tracing.export",
    "great_expectations",
    "great_expectations.expectations",
    "fairlearn.metrics",
    "jinja2",
    "requests",
    "boto3.s3.transfer",
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow_mlops_steps",
)
"""What tasks use, down to the submodules that the libraries themselves would load on first use."""
FLOORS = ("airflow_mlops.core", "airflow_mlops.reports", "airflow_mlops.stores")
"""Every module of these floors is loaded too."""
ADAPTERS = (
    *("airflow_mlops.dags", "airflow_mlops.hooks.mlflow", "airflow_mlops.provenance"),
    *("airflow_mlops.operators._card", "airflow_mlops.operators._evaluate"),
    *("airflow_mlops.operators.approval", "airflow_mlops.operators.rollback"),
    *("airflow_mlops.notifications.send", "airflow_mlops.notifications.webhook"),
)
"""What each task loads to find its own operator."""


def preload() -> list[str]:
    """Import everything the tasks use; return what could not be imported, after a warning for each."""
    # Great Expectations prints a line for every function it registers; its own documentation names this remedy.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    # MLflow reports its use over the network from a thread that it starts when it is imported: neither belongs here.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    failed = []
    with warnings.catch_warnings():
        # skops asks every loaded module for the names of all of scipy's functions, and Airflow's modules that forward
        # old names warn at each: a thousand lines in the scheduler's log that nobody can act on.
        warnings.simplefilter("ignore")
        for name in modules():
            try:
                importlib.import_module(name)
            except Exception as error:  # noqa: BLE001 - a broken library must cost its own tasks, not the scheduler
                failed.append(name)
                log.warning("mlops: could not preload %s (%r); tasks import it themselves", name, error)
    return failed


def modules() -> list[str]:
    """Name everything to import: the libraries, then this package's own modules, in folders however deep."""
    own = []
    for floor in FLOORS:
        folder = importlib.import_module(floor)
        own += [found.name for found in pkgutil.walk_packages(folder.__path__, f"{floor}.", onerror=_unreadable)]
    return [*LIBRARIES, *own, *ADAPTERS]


def _unreadable(name: str) -> None:
    """Leave a package that cannot be imported to :func:`preload`, which names it among those that failed."""
    log.debug("mlops: %s cannot be looked into", name)


def forks_tasks(arguments: list[str], executors: str) -> bool:
    """Whether this process, started with these arguments, is one that task processes are forked from.

    >>> forks_tasks(["airflow", "scheduler"], "LocalExecutor"), forks_tasks(["airflow", "triggerer"], "LocalExecutor")
    (True, False)
    >>> forks_tasks(["airflow", "scheduler"], "CeleryExecutor")
    False
    """
    return arguments[1:2] == ["scheduler"] and "LocalExecutor" in executors


class WarmWorkers:
    """Listener: fires when a component starts, and acts in the scheduler of a LocalExecutor only."""

    @hookimpl
    def on_starting(self, component: Any) -> None:
        """Preload before the executor forks its workers. `component` is not needed to tell where we are."""
        del component
        from airflow.sdk.configuration import conf

        if _wanted() and forks_tasks(sys.argv, conf.get("core", "executor")):
            preload()


def watch_celery_worker() -> list[Any]:
    """Preload in a Celery worker's parent process, before it forks its pool.

    No Airflow listener fires there. Airflow does call the functions under the provider's `cli` key when any provider
    command starts, `airflow celery worker` among them: this one adds no command, it connects Celery's own signal.
    """
    if sys.argv[1:3] == ["celery", "worker"] and _wanted():
        from celery.signals import worker_init

        worker_init.connect(_on_worker_init, weak=False)
    return []


def _on_worker_init(**_: Any) -> None:
    preload()


def _wanted() -> bool:
    from airflow_mlops.config import settings

    return settings().preload_workers
