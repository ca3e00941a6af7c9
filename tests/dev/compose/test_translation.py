"""What of a container's words becomes other words for a process, and what must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.compose.description import load
from dev.compose.translation import mounted, translate

SERVICES = load({"SECRETS": "/home/secrets", "DATA": "/home/data"})
PORTS = {(one.name, port): 40000 + number for number, one in enumerate(SERVICES.values()) for port in one.ports}
ROOT = Path("/home")


def here(name: str, text: str) -> str:
    service = SERVICES[name]
    return translate(text, service, SERVICES.values(), PORTS, mounted(service, ROOT, ROOT / "secrets"))


def port(name: str, inside: int) -> int:
    return PORTS[name, inside]


@pytest.mark.parametrize(
    ("name", "said", "becomes"),
    [
        ("scheduler", "http://api-server:8080/execution/", f"http://127.0.0.1:{port('api-server', 8080)}/execution/"),
        ("scheduler", "redis://:word@redis:6379/0", f"redis://:word@127.0.0.1:{port('redis', 6379)}/0"),
        ("scheduler", "http://localhost:8080", f"http://127.0.0.1:{port('api-server', 8080)}"),
        ("mlflow", "exec mlflow server --port 5000", f"exec mlflow server --port {port('mlflow', 5000)}"),
        ("api-server", "8080", str(port("api-server", 8080))),
        ("redis", "--bind 0.0.0.0", "--bind 127.0.0.1"),
        ("scheduler", "cat /run/secrets/jwt_secret", "cat /home/secrets/jwt_secret"),
        ("scheduler", "/opt/airflow", "/home/containers/scheduler"),
        ("scheduler", "/opt/airflow/data", "/home/data"),
        ("scheduler", "/opt/airflow/logs", "/home/containers/scheduler/logs"),
        ("worker-2", "x > /opt/airflow/passwords.json;", "x > /home/containers/worker-2/passwords.json;"),
        # and what only looks like it
        ("scheduler", "http://my-redis:6379", "http://my-redis:6379"),
        ("scheduler", "http://redis:63790", "http://redis:63790"),
        ("scheduler", "port 5000 is MLflow's, not mine", "port 5000 is MLflow's, not mine"),
        ("scheduler", "s3://mlops/logs", "s3://mlops/logs"),
        ("scheduler", "/srv/opt/airflow", "/srv/opt/airflow"),
        ("scheduler", "/opt/airflow-other", "/opt/airflow-other"),
    ],
)
def test_words(name: str, said: str, becomes: str) -> None:
    assert here(name, said) == becomes


def test_each_service_has_a_home_of_its_own_and_shares_its_volumes() -> None:
    one, other = (mounted(SERVICES[name], ROOT, ROOT / "secrets") for name in ("worker-1", "worker-2"))
    assert one["/opt/airflow"] != other["/opt/airflow"]
    assert one["/opt/airflow/dags"] == other["/opt/airflow/dags"]
    assert one["/opt/airflow/data"] == other["/opt/airflow/data"]
