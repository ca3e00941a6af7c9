"""The reader of compose.yaml: what it understands, and that it leaves nothing out."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.compose.description import interpolate, load, secret_files
from dev.errors import DevError

NEEDED = "{image: x, depends_on: {two: {condition: service_healthy}}}"


def written(folder: Path, text: str) -> Path:
    file = folder / "compose.yaml"
    file.write_text(text)
    return file


def test_the_projects_own_file_is_understood_and_ordered() -> None:
    services = load({})
    names = list(services)
    assert len(names) == 15
    for name, service in services.items():
        assert all(names.index(needed) < names.index(name) for needed in service.needs)
    assert services["worker-1"].command == ("airflow", "celery", "worker", "--celery-hostname", "worker-1")
    assert services["mlflow"].published == {5000: 5000}
    assert services["redis"].ports == (6379,)
    assert services["grafana"].profiles == ("metrics",)


def test_variables_and_paths_of_the_host(tmp_path: Path) -> None:
    text = 'services: {one: {image: "x:${TAG:-1}", volumes: ["${DATA:-./data}:/srv/data:ro", "kept:/srv/kept"]}}'
    file = written(tmp_path, text)
    by_default = load({}, file)["one"]
    assert by_default.image == "x:1"
    assert [(mount.target, mount.source) for mount in by_default.mounts] == [
        ("/srv/data", (tmp_path / "data").resolve()),
        ("/srv/kept", None),
    ]
    assert load({"DATA": "/elsewhere", "TAG": "2"}, file)["one"].mounts[0].source == Path("/elsewhere")


def test_a_variable_without_a_value_is_an_error() -> None:
    with pytest.raises(DevError, match=r"\$\{NAME\}"):
        interpolate("${NAME}", {})


def test_an_empty_variable_has_its_default_as_compose_says() -> None:
    assert interpolate("${NAME:-x}", {"NAME": ""}) == "x"


def test_a_key_that_is_not_understood_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    file = written(tmp_path, "services: {one: {image: x, network_mode: host}}")
    with pytest.raises(DevError, match="service one has network_mode"):
        load({}, file)


def test_services_that_wait_for_each_other_are_an_error(tmp_path: Path) -> None:
    one = "{image: x, depends_on: {one: {condition: service_healthy}}}"
    with pytest.raises(DevError, match="one, two wait for each other"):
        load({}, written(tmp_path, f"services: {{one: {NEEDED}, two: {one}}}"))


def test_files_of_secrets(tmp_path: Path) -> None:
    file = written(tmp_path, 'services: {}\nsecrets: {word: {file: "${SECRETS:-./secrets}/word"}}')
    assert secret_files({}, file) == {"word": (tmp_path / "secrets" / "word").resolve()}
    assert secret_files({"SECRETS": "/x"}, file) == {"word": Path("/x/word")}
