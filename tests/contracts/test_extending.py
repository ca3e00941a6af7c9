"""The pages of docs/extending, followed word for word in a copy of the repository: what they promise comes about."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.support import extended
from tests.support.recipes import Command, Edit, RecipeError, copy_repository, run, steps_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "extending"
CONTRACTS = {
    "metric": "tests/contracts/test_registries.py",
    "gate-rule": "tests/contracts/test_gate_rules.py",
    "effect-size": "tests/contracts/test_registries.py",
    "retraining-rule": "tests/contracts/test_registries.py",
    "expectation": "tests/contracts/test_registries.py",
    "store": "tests/contracts/test_sources.py",
    "operator": "tests/test_provider.py",
    "command": "tests/test_docs.py",
}
"""Each page with an example, and what must hold after it."""


def environment_of(root: Path) -> dict[str, str]:
    """Return this process's environment with the copy's package instead of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {**kept, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}


def follow(page: str, root: Path) -> list[str]:
    """Do to a copy of the repository what a page says; return the names of Python files in its commands.

    Raises
    ------
    RecipeError
        When the page does not fit the repository, its code is not in the style of the house, or a command fails.
    """
    copy_repository(ROOT, root)
    steps = list(steps_of(FOLDER / f"{page}.md"))
    edits = [step for step in steps if isinstance(step, Edit)]
    commands = [step for step in steps if isinstance(step, Command)]
    assert len(edits) >= 2
    for edit in edits:
        edit.apply(root)
    changed = sorted({edit.path for edit in edits if edit.path.endswith(".py")})
    environment = environment_of(root)
    for words in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
        run([sys.executable, "-m", "ruff", *words, *changed], root, environment)
    printed = [run(command.words(), root, environment) for command in commands]
    assert sum(" passed" in text for text in printed) == sum(" pytest " in command.line for command in commands) > 0
    return [word for command in commands for word in command.words() if word.endswith(".py")]


def test_every_page_is_followed() -> None:
    assert {page.stem for page in FOLDER.glob("*.md")} == {"README", *CONTRACTS}
    assert list(steps_of(FOLDER / "README.md")) == []


LONG = ("gate-rule", "metric", "effect-size", "expectation", "store")
"""Pages whose contracts take half a minute and more each: `make test-long`. That all of them can be followed, and pass
the linters together, is seen in every run."""


@pytest.mark.slow  # of other processes
@pytest.mark.parametrize("page", [pytest.param(p, marks=[pytest.mark.long] * (p in LONG)) for p in CONTRACTS])
def test_what_a_page_adds_is_there_works_and_keeps_the_contracts(page: str, tmp_path: Path) -> None:
    assert CONTRACTS[page] in follow(page, tmp_path)
    use = page.replace("-", "_")
    assert callable(getattr(extended, use))
    run(
        [sys.executable, "-c", f"from tests.support.extended import {use}; {use}()"], tmp_path, environment_of(tmp_path)
    )
    with pytest.raises(RecipeError):  # without what the page adds
        run([sys.executable, "-c", f"from tests.support.extended import {use}; {use}()"], ROOT, environment_of(ROOT))


@pytest.mark.slow
def test_all_pages_together_pass_the_linters(tmp_path: Path) -> None:
    copy_repository(ROOT, tmp_path)
    edits = [edit for page in CONTRACTS for edit in steps_of(FOLDER / f"{page}.md") if isinstance(edit, Edit)]
    assert len(edits) > 3 * len(CONTRACTS)
    for edit in edits:
        edit.apply(tmp_path)
    environment = environment_of(tmp_path)
    for linter in ("ruff check --fix --quiet", "ruff format --quiet", "ruff check", "mypy"):
        run([sys.executable, "-m", *linter.split()], tmp_path, environment)
    arrows = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run([sys.executable, "-c", arrows], tmp_path, environment)


PIECE = "```python\n# a.py, after `x = `\ny = 2\n```\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```python\ny = 2\n```\n", "neither a place in a file nor commands"),
        ("```\nrm a.py\n```\n", "neither a place in a file nor commands"),
        ("```\n.venv/bin/python -m pytest\nrm a.py\n```\n", "neither a place in a file nor commands"),
        ("```python\ny = 2\n", "a fence that does not begin and end"),
        ("  ```python\ny = 2\n```\n", "a fence that does not begin and end"),
        (PIECE.replace("x", "z"), "0 lines of a.py begin with 'z = '"),
        (PIECE.replace("x = ", "x"), "2 lines of a.py begin with 'x'"),
        (PIECE.replace("a.py", "b.py"), "0 lines of b.py"),
        ("```python\n# a.py\ny = 2\n```\n", "a.py exists"),
        ("```python\n# folder/b.py\ny = 2\n```\n", "its folder does not"),
        ("```\n.venv/bin/python -c 1/0\n```\n", "ended with 1"),
    ],
)
def test_a_page_that_cannot_be_followed_says_where(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("if True:\n    x = 1\nxs = []\n")
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(RecipeError, match=re.escape(said)):
        for step in steps_of(page):
            if isinstance(step, Edit):
                step.apply(tmp_path)
            else:
                run(step.words(), tmp_path, environment_of(tmp_path))


def test_pieces_stand_where_they_are_put_and_as_deep(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("if True:\n    x = 1\nxs = []\n")
    (tmp_path / "page.md").write_text(
        "1. Do:\n\n    ```python\n    # a.py, after `x =`\n    y = 2\n    # a remark\n\n"
        "    # a.py, before `x =`\n    w = 0\n    # a.py, in place of `xs`\n"
        "    for _ in range(2):\n        pass\n    ```\n"
    )
    for step in steps_of(tmp_path / "page.md"):
        assert isinstance(step, Edit)
        step.apply(tmp_path)
    assert (tmp_path / "a.py").read_text() == (
        "if True:\n    w = 0\n    x = 1\n    y = 2\n    # a remark\nfor _ in range(2):\n    pass\n"
    )
