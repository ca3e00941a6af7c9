"""Every specification beside this file becomes three DAGs: `<model>.train`, `<model>.score` and `<model>.monitor`."""

from pathlib import Path

from airflow_mlops.dags import load_models

globals().update(load_models(Path(__file__).parent))
