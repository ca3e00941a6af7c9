"""Programs are built whole or not at all, and what is missing for it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.errors import DevError
from dev.kubernetes import tools


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tools, "FOLDER", tmp_path / "tools")
    return tmp_path / "tools"


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name which refuses everything."""
    program = tmp_path / "bin" / "go"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return program


@pytest.mark.parametrize("act", [tools.helm, tools.helm_docs, tools.operator_kinds, tools.control_plane])
def test_without_go_one_sentence_says_what_is_missing(
    act: object, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert callable(act)
    with pytest.raises(DevError, match="Go is missing: install Go"):
        act()
    assert not kept.exists()


@pytest.mark.usefixtures("go")
def test_a_build_that_fails_leaves_nothing_and_says_why(kept: Path) -> None:
    with pytest.raises(DevError, match="no such module"):
        tools.helm(lambda _: None)
    assert list(kept.iterdir()) == []


@pytest.mark.usefixtures("go")
def test_what_is_built_is_not_built_again(kept: Path) -> None:
    (kept / f"helm-{tools.HELM}").mkdir(parents=True)
    assert tools.helm() == kept / f"helm-{tools.HELM}" / "helm"


def test_only_what_is_developed_inside_of_kubernetes_is_replaced() -> None:
    own = {"Go": "1.26", "Replace": [{"Old": {"Path": "k8s.io/x"}, "New": {"Path": "example.com/fork"}}]}
    assert "k8s.io/x" not in tools.kubernetes_go_mod(own)
