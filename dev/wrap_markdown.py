"""Keep the lines of Markdown short enough to be reviewed: `make lint` asks, `make format` mends.

Only prose and lists are wrapped. Code, tables, headings, HTML and lines that hold one long word (an address) stay as
they are, and nothing is broken inside a code span or a link's address: tools and tests read these line by line.

A formatter (mdformat, Prettier) was not taken because it has an opinion on every mark, not on the length alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

WIDTH = 120
"""Longest line, in characters; the same as that of code."""
_FENCE = re.compile(r"^\s*(```|~~~)")
_ITEM = re.compile(r"^(?P<indent>\s*)(?P<mark>[-*+]|\d+[.)])(?P<gap>\s+)(?=\S)")
_QUOTE = re.compile(r"^\s*>")
_LEFT_ALONE = re.compile(r"^\s*(\||#{1,6}\s|<|!\[[^\]]*\]\([^)]*\)$|\[[^\]]+\]:\s|(---+|===+|\*\*\*+)\s*$)")
_WHOLE = re.compile(r"(`+)(?:(?!\1).)+\1|\]\([^)]*\)", re.DOTALL)
"""Code spans, and the part of a link that holds its address."""
_OPENS_BLOCK = re.compile(r"^([-+*>#|]|\d+[.)]$|[-+*]$|=+$|#+$|```|~~~)")
"""A word that would begin a list, a heading, a quotation or a table if it stood first in a line."""
_NO_BREAK = "\x00"


def wrap(text: str, width: int = WIDTH) -> str:
    r"""Wrap the paragraphs and list items that have a line over `width` characters.

    Examples
    --------
    >>> print(wrap("- one two three four\n\n`not broken here` five", width=12))
    - one two
      three four
    <BLANKLINE>
    `not broken here`
    five
    """
    lines = [line for block, prose in _blocks(text.splitlines()) for line in _wrapped(block, width, prose)]
    return "\n".join(lines) + ("\n" if text.endswith("\n") else "")


def long_lines(text: str, width: int = WIDTH) -> list[int]:
    r"""Return the numbers, from 1, of the lines that :func:`wrap` would have broken.

    >>> long_lines("a b c\n| a | b | c | d |\naaaaaaaaaaaa\n", width=4)
    [1]
    """
    found: list[int] = []
    number = 1
    for block, prose in _blocks(text.splitlines()):
        if _wrapped(block, width, prose) != block:
            found += [number + place for place, line in enumerate(block) if len(line) > width]
        number += len(block)
    return found


def _blocks(lines: Sequence[str]) -> Iterator[tuple[list[str], bool]]:
    """Cut a page into paragraphs and list items; each line of whatever else there is is a block that is no prose."""
    block: list[str] = []
    fence = ""
    for line in lines:
        mark = _FENCE.match(line)
        prose = not (fence or mark) and line.strip() != "" and not _LEFT_ALONE.match(line) and not _QUOTE.match(line)
        if block and (not prose or _ITEM.match(line)):
            yield block, True
            block = []
        if prose:
            block.append(line)
        else:
            yield [line], False
        if mark and (not fence or mark[1] == fence):
            fence = "" if fence else mark[1]
    if block:
        yield block, True


def _wrapped(block: list[str], width: int, prose: bool) -> list[str]:
    if not prose or all(len(line) <= width for line in block):
        return block
    first = block[0]
    item = _ITEM.match(first)
    if item is None and len(first) - len(first.lstrip()) >= 4:  # noqa: PLR2004 - four spaces are code
        return block
    head = item.group() if item else first[: len(first) - len(first.lstrip())]
    text = "\n".join([first[len(head) :], *(line.strip() for line in block[1:])])
    lines = _filled(_words(text), width - len(head))
    return [head + lines[0], *(" " * len(head) + line for line in lines[1:])]


def _words(text: str) -> list[str]:
    """Words that a line may end between; a code span is one of them."""
    kept = _WHOLE.sub(lambda found: re.sub(r"\s+", _NO_BREAK, found.group()), text)
    return [word.replace(_NO_BREAK, " ") for word in kept.split()]


def _filled(words: list[str], width: int) -> list[str]:
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= width or _OPENS_BLOCK.match(word):
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def main(arguments: Sequence[str]) -> int:
    """Check, or with `--write` mend, the pages named; return 1 when a line is too long."""
    pages = [Path(name) for name in arguments if name != "--write"]
    bad = 0
    for page in pages:
        text = page.read_text(encoding="utf-8")
        if "--write" in arguments:
            page.write_text(wrap(text), encoding="utf-8")
            continue
        for number in long_lines(text):
            bad += 1
            sys.stderr.write(f"{page}:{number}: a line over {WIDTH} characters; `make format` wraps it\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
