"""One live stack for all tests of this folder: starting it takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_mlops.local.home import Home
from tests.stack.live import DAG_FILE, MODELS, Live, write_rows


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
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
        started = stack.command("up")
        assert started.returncode == 0, started.stderr
        yield stack
    finally:
        stack.command("down")
