"""Dockerfiles by hadolint, compose.yaml by the Compose specification's schema, and what both promise."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = ("airflow", "mlflow")
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
OURS = ("api-server", "scheduler", "dag-processor", "triggerer", "worker-1", "worker-2", "mlflow")
"""Services that run this project's images, and stay."""


def program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)


def test_no_dockerfile_is_left_out() -> None:
    assert sorted(path.parent.name for path in DOCKER.rglob("Dockerfile*")) == sorted(DOCKERFILES)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_finds_nothing(name: str) -> None:
    done = run(program("hadolint"), "--config", "docker/.hadolint.yaml", f"docker/{name}/Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_is_really_asked(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp && sudo pip install mlflow\n")
    done = run(program("hadolint"), "--config", "docker/.hadolint.yaml", str(tmp_path / "Dockerfile"))
    assert done.returncode != 0
    assert {"DL3004", "DL3006"} <= set(re.findall(r"DL\d+", done.stdout))


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_is_pinned_compiled_checked_and_not_roots(name: str) -> None:
    text = (DOCKER / name / "Dockerfile").read_text(encoding="utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert re.search(r"--constraint /tmp/constraints.txt", text)
    assert re.search(r"^USER [1-9]\d+:0$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    installs = re.findall(r"pip install[^&]*", text)
    assert installs != []
    assert all("--no-cache-dir --compile" in words for words in installs)
    assert "build-essential" not in text


def test_the_airflow_image_is_the_version_that_the_constraints_pin() -> None:
    pinned = re.search(r"^apache-airflow==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert f"ARG AIRFLOW={pinned[1]}\n" in (DOCKER / "airflow" / "Dockerfile").read_text()


def test_the_requirements_of_the_image_are_those_of_the_package() -> None:
    done = run(sys.executable, "docker/airflow/requirements.py", "celery", "kubernetes")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "apache-airflow>=3.3,<3.4" in said
    assert any(line.startswith("apache-airflow-providers-celery") for line in said)
    assert [line for line in said if line.startswith("airflow-mlops[")] == []


def test_what_the_image_is_built_from_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY --chown=airflow:0 (.+) \S+$", (DOCKER / "airflow/Dockerfile").read_text(), re.MULTILINE)
    assert len(copied) == 4
    for source in " ".join(copied).split():
        assert (ROOT / source).exists()
        assert any(source.startswith(line[1:]) for line in ignored if line.startswith("!")), source


def test_the_compose_file_is_valid() -> None:
    done = run(program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "docker/compose.yaml")
    assert done.returncode == 0, done.stdout


def test_the_schema_is_really_asked(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {one: {image: x, helthcheck: {}}}")
    done = run(program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(tmp_path / "compose.yaml"))
    assert done.returncode == 1


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_is_checked_and_closed_off(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service, "the image's own user"


def test_what_is_published_is_published_to_this_machine_only() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_images_of_others_have_a_version() -> None:
    images = {service["image"] for service in COMPOSE["services"].values() if "build" not in service}
    assert len(images) == 6
    assert [image for image in images if not re.search(r":v?\d+\.\d+", image)] == []


def test_each_secret_is_made_by_the_script_and_named_where_it_is_read(tmp_path: Path) -> None:
    made = run("sh", str(DOCKER / "secrets.sh"), str(tmp_path / "secrets"))
    assert made.returncode == 0, made.stderr
    assert {path.name for path in (tmp_path / "secrets").iterdir()} == set(COMPOSE["secrets"])
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    services = COMPOSE["services"].items()
    assert len(services) == 15
    for name, service in services:
        read = set(re.findall(r"/run/secrets/(\w+)", json.dumps(service)))
        granted = set(service.get("secrets", ()))
        assert read <= granted, name


def test_secrets_that_are_there_are_kept(tmp_path: Path) -> None:
    words = ("sh", str(DOCKER / "secrets.sh"), str(tmp_path))
    assert run(*words).returncode == 0
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    (tmp_path / "jwt_secret").unlink()
    assert run(*words).returncode == 0
    after = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"jwt_secret"}
    assert len(set(before.values())) == len(before) == 10
