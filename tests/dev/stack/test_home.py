"""What the stack remembers between commands."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dev.errors import DevError
from dev.stack.home import Home, State
from dev.stack.process import Service


def state() -> State:
    service = Service(name="mlflow", pid=1, started="boot:1", log="x.log")
    return State(
        airflow_port=1, mlflow_port=2, password="p", secret="s", dags="/d", command="demo", services=(service,)
    )


def test_state_comes_back_as_it_was_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert State.load(home) is None
    state().save(home)
    assert State.load(home) == state()
    assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_a_state_of_the_first_days_is_understood(tmp_path: Path) -> None:
    """It named the command that started the stack in another place; its processes must be found all the same."""
    driver = {"command": "up", "pid": 1, "started": "boot:1"}
    service = {"name": "mlflow", "pid": 1, "started": "boot:1", "log": "x.log"}
    known = {"airflow_port": 1, "mlflow_port": 2, "password": "p", "secret": "s", "dags": "/d"}
    text = json.dumps({"format": 1, **known, "driver": driver, "services": [service]})
    (tmp_path / "stack.json").write_text(text)
    assert State.load(Home(tmp_path)) == replace(state(), command="up")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1, "driver": {}}'])
def test_a_state_that_cannot_be_understood_is_said_not_guessed(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.json").write_text(text)
    with pytest.raises(DevError, match=r"stack\.json cannot be understood"):
        State.load(Home(tmp_path))


def test_folders_are_for_the_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    for folder in (home.root, home.airflow, home.artifacts, home.storage, home.data):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_second_command_is_refused_while_the_first_holds_the_stack(tmp_path: Path) -> None:
    home = Home(tmp_path)
    code = f"""
from pathlib import Path
from dev.stack.home import Home
with Home(Path({str(tmp_path)!r})).lock():
    print("held", flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DevError, match="another command is using the stack"), home.lock():
            pass
        holder.communicate(b"\n")
    with home.lock():
        assert (tmp_path / "lock").exists()
