"""Wrapping changes where lines end, and nothing that a reader sees."""

import re
import runpy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "dev" / "wrap_markdown.py"))
wrap, long_lines = TOOL["wrap"], TOOL["long_lines"]
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LONG = "word " * 40


def seen(text: str) -> list[str]:
    """The page as it is rendered: white space counts in code, and nowhere else."""
    parts = re.split(r"(<pre>.*?</pre>)", MARKDOWN.render(text), flags=re.DOTALL)
    return [part if part.startswith("<pre>") else re.sub(r"\s+", " ", part) for part in parts]


@pytest.mark.parametrize("width", [30, 60, 120])
def test_a_page_of_this_repository_is_rendered_as_before(width: int) -> None:
    assert len(PAGES) >= 20
    for page in PAGES:
        text = page.read_text()
        assert seen(wrap(text, width)) == seen(text), page.name


@given(
    st.lists(st.sampled_from(["word", "- item", "1. first", "`a b`", "#", "[t](a b)", "", "| a |", "```"]), max_size=40)
)
def test_what_is_wrapped_is_wrapped_for_good(words: list[str]) -> None:
    once = wrap(" ".join(words) + "\n", 20)
    assert wrap(once, 20) == once
    assert long_lines(once, 20) == []


@pytest.mark.parametrize(
    "kept", [f"| {LONG}|", f"```\n{LONG}\n```", f"# {LONG}", f"<!-- {LONG}-->", f"`{LONG}`", "x" * 200]
)
def test_what_cannot_be_wrapped_is_not_complained_of(kept: str) -> None:
    assert wrap(kept + "\n") == kept + "\n"
    assert long_lines(kept + "\n") == []


def test_a_long_line_is_found_and_mended() -> None:
    text = f"Short.\n\n- {LONG}\n"
    assert long_lines(text) == [3]
    mended = wrap(text)
    assert long_lines(mended) == []
    assert mended.splitlines()[3].startswith("  word")


def test_the_program_says_where_and_returns_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(LONG + "\n")
    assert TOOL["main"]([str(page)]) == 1
    assert f"{page}:1:" in capsys.readouterr().err
    assert TOOL["main"](["--write", str(page)]) == 0
    assert TOOL["main"]([str(page)]) == 0
