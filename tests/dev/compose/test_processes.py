"""What can be said of the topology before anything of it is started; running, it is tests/deploy/test_topology.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.compose.processes import Topology
from dev.errors import DevError


@pytest.mark.parametrize("name", ["one two", "it's", "a;b", "$HOME"])
def test_a_folder_that_a_shell_would_cut_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(DevError, match="take another"):
        Topology(tmp_path / name, {})
    assert list(tmp_path.iterdir()) == []
