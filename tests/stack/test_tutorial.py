"""The tutorial, command by command as it stands in docs/tutorial.md, against the live stack."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_mlops.spec import load_spec
from tests.stack.live import Live

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BY_THE_FIXTURE = ("make up",)
TRIGGER = re.compile(r"dags trigger (\S+) --run-id (\S+)")
SECONDS = 400


@pytest.fixture(scope="module")
def clone(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder that looks to a command like the clone in which `make up` was called."""
    folder = tmp_path_factory.mktemp("a clone")
    (folder / ".local").symlink_to(live.home.root)
    (folder / "dags").symlink_to(live.dags)
    return folder


def steps() -> Iterator[tuple[str, str]]:
    """Yield what a reader does: a file's name and text, or a command."""
    for language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "python":
            yield text.splitlines()[0].removeprefix("# "), text
        else:
            yield from (("$", line) for line in text.splitlines() if line not in BY_THE_FIXTURE)


def run(command: str, clone: Path, live: Live) -> str:
    done = subprocess.run(command, shell=True, cwd=clone, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S602 - as a reader types it
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    triggered = TRIGGER.search(command)
    if triggered is not None:
        dag, name = triggered.groups()
        state, deadline = "queued", time.monotonic() + SECONDS
        while state in ("queued", "running") and time.monotonic() < deadline:
            state = live.runs.api.get(f"/dags/{dag}/dagRuns/{name}")["state"]
            time.sleep(0.5)
        assert state == "success", f"{dag}/{name} is {state}: {live.task_states(dag, name)}"
    return done.stdout


def test_every_step_of_the_tutorial_does_what_it_says(live: Live, clone: Path) -> None:
    told: dict[str, str] = {}
    for what, text in steps():
        if what == "$":
            told[text] = run(text, clone, live)
        else:
            (clone / what).write_text(text, encoding="utf-8")
    assert len(told) >= 18
    power, revenue = (load_spec(clone / "dags" / "models" / f"{name}.yaml") for name in ("power", "revenue"))
    assert (power.data.time, power.data.key, power.data.label) == ("measured_at", ("measured_at",), "load")
    assert (revenue.data.time, revenue.data.key, revenue.data.label) == ("week", ("shop", "week"), "revenue")
    for name in ("power", "revenue"):
        assert live.records.registry.alias(name, "champion") == 1
        assert "a first model would be accepted" in next(
            text for line, text in told.items() if f"mlops new {name}" in line
        )
    history = live.records.windows.drift_history("power", "power", before=power.schedule.end)
    assert [report.champion_version for report in history] == [1]


def test_the_command_says_where_no_stack_is(tmp_path: Path, live: Live) -> None:
    from dev.stack.home import Home

    nowhere = Home(tmp_path / "nothing here")
    nowhere.make()
    nowhere.write_program()
    done = subprocess.run([nowhere.program, "version"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "is not up (nothing runs there): bring it up with `make up`" in done.stderr
    assert not (tmp_path / "airflow").exists()
