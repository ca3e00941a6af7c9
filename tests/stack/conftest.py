"""One live stack for all tests of this folder: starting it takes longer than most of them.

A file's tests may stop it: the next file's start it again, so that no file depends on another.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.stack.home import Home, State
from tests.stack.live import DAG_FILE, MODELS, Live, write_rows


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    root = tmp_path_factory.mktemp("stack")
    stack = Live(Home(root / "its home"), root / "dags")
    (stack.dags / "models").mkdir(parents=True)
    for name, text in MODELS.items():
        (stack.dags / "models" / f"{name}.yaml").write_text(text)
    (stack.dags / "loop.py").write_text(DAG_FILE)
    stack.home.make()
    for folder in ("small", "drifting"):
        write_rows(stack.home.data / folder)
    try:
        yield stack
    finally:
        stack.command("down")


@pytest.fixture(scope="module")
def live(stack: Live) -> Live:
    state = State.load(stack.home)
    if state is None or not state.services or not all(service.alive for service in state.services):
        started = stack.command("up")
        assert started.returncode == 0, started.stderr
    return stack
