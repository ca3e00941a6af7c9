"""The services of docker/compose.yaml as plain processes, once for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.compose.processes import Topology
from tests.stack.live import DAG_FILE, small, write_rows


@pytest.fixture(scope="session")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """Everything of the file that has no profile, with one small model in its DAG folder."""
    root = tmp_path_factory.mktemp("topology")
    (root / "dags" / "models").mkdir(parents=True)
    (root / "dags" / "models" / "small.yaml").write_text(small("small"))
    (root / "dags" / "loop.py").write_text(DAG_FILE)
    write_rows(root / "data" / "small")
    with Topology(root / "home", {"DAGS": str(root / "dags"), "DATA": str(root / "data")}) as running:
        yield running
