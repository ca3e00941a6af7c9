"""Where there is no container engine, the command says so and what to do instead; nothing is started or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.compose.__main__ import main
from dev.compose.demo import with_engine
from dev.errors import DevError


def test_without_docker_it_is_refused_with_the_other_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DevError, match="make processes-demo"):
        with_engine({"DATA": str(tmp_path / "data"), "SECRETS": str(tmp_path / "secrets")}, print)
    assert list(tmp_path.iterdir()) == []


def test_a_docker_without_compose_is_no_engine_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert main(["demo"]) == 1
    assert "no Docker with its compose plugin" in capsys.readouterr().err
