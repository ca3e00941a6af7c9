"""The job before an install brings MLflow's tables to its version, on a real database; without that nothing starts."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from tests.support.charts import CHART, RELEASE, values_file
from tests.support.cluster import Cluster
from tests.support.kubelet import running_pods

JOB = f"{RELEASE}-airflow-mlops-mlflow-migrations"


def test_tables_are_made_before_the_server_and_are_left_alone_when_they_are_there(
    cluster: Cluster, postgres_url: str, tmp_path: Path
) -> None:
    namespace = cluster.namespace("hooks")
    cluster.secret(namespace, "mlflow-backend", uri=postgres_url)
    with running_pods(cluster, namespace, tmp_path / "one"):
        cluster.install(RELEASE, namespace, "default", "--timeout", "4m")
    engine = sa.create_engine(postgres_url)
    tables = set(sa.inspect(engine).get_table_names())
    assert {"experiments", "registered_models", "alembic_version"} <= tables
    with engine.connect() as connection:
        version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()

    with running_pods(cluster, namespace, tmp_path / "two"):
        cluster.install(RELEASE, namespace, "default", "--timeout", "4m", command="upgrade")
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one() == version
    engine.dispose()
    jobs = cluster.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"]
    assert jobs == [], "a job that ended well is taken away"


def test_a_database_that_is_not_there_stops_the_install_before_the_server(cluster: Cluster, tmp_path: Path) -> None:
    namespace = cluster.namespace("no-database")
    cluster.secret(namespace, "mlflow-backend", uri="nosuch://nowhere/mlflow")
    words = ["install", RELEASE, str(CHART), "--namespace", namespace, "--values", str(values_file("default"))]
    with running_pods(cluster, namespace, tmp_path / "pods") as kubelet:
        done = cluster.run_helm(*words, "--timeout", "2m")
        assert "nosuch" in kubelet.log(JOB)
    assert done.returncode != 0
    assert "pre-install" in done.stderr
    assert cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments")["items"] == []
