"""The pages of docs/extending as recipes: what their code blocks say, done to a copy of the repository.

A block begins with the place that it belongs to (docs/extending/README.md says how), or is made of commands. A block
that is neither, a place that is not there and a fence that is not understood end in a RecipeError: nothing is left out.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"# (?P<path>[\w./-]+\.\w+)(?:, (?P<where>after|before|in place of) `(?P<line>.+)`)?")
PYTHON, MAKE = ".venv/bin/python ", "make "
PARTS = ("airflow_mlops", "airflow_mlops_steps", "benchmarks", "dags", "dev", "docker", "docs", "helm", "tests")


class RecipeError(ValueError):
    """A page that cannot be followed."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A block that belongs to a file: a new one, or beside the one line of it that begins with `line`."""

    at: str
    """Page and line of the block."""
    path: str
    where: str
    """Empty for a new file."""
    line: str
    text: str

    def apply(self, root: Path) -> None:
        """Do what the block says to the files below `root`."""
        file = root / self.path
        if not self.where:
            if file.exists() or not file.parent.is_dir():
                raise RecipeError(f"{self.at}: {self.path} exists, or its folder does not")
            file.write_text(self.text, encoding="utf-8")
            return
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.is_file() else []
        found = [number for number, line in enumerate(lines) if line.strip().startswith(self.line)]
        if len(found) != 1:
            raise RecipeError(f"{self.at}: {len(found)} lines of {self.path} begin with {self.line!r}, and not one")
        (start,) = found
        first = start + (self.where == "after")
        margin = lines[start][: -len(lines[start].lstrip())]
        lines[first : start + (self.where != "before")] = [indent(self.text, margin)]
        file.write_text("".join(lines), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A line to be run from the root of the repository."""

    at: str
    line: str

    def words(self) -> list[str]:
        """Return what is run: this interpreter stands in for the one of `.venv`, which is taken as installed."""
        if self.line.startswith(PYTHON):
            return [sys.executable, *shlex.split(self.line)[1:]]
        return ["make", "-o", ".venv/installed", f"PY={shlex.quote(sys.executable)}", *shlex.split(self.line)[1:]]


def steps_of(page: Path) -> Iterator[Edit | Command]:
    """Yield what a page says to do, in its order."""
    text = page.read_text(encoding="utf-8")
    blocks = list(FENCE.finditer(text))
    if text.count("```") != 2 * len(blocks):
        raise RecipeError(f"{page.name}: a fence that does not begin and end a block of its own")
    for block in blocks:
        at = f"{page.name}:{text.count(chr(10), 0, block.start()) + 1}"
        lines = dedent(block["text"]).splitlines(keepends=True)
        if PLACE.fullmatch(lines[0].rstrip()):
            yield from _edits(lines, at)
        elif block["language"] == "" and all(line.startswith((PYTHON, MAKE)) for line in lines):
            yield from (Command(at=at, line=line.rstrip()) for line in lines)
        else:
            raise RecipeError(f"{at}: neither a place in a file nor commands: {lines[0]!r}")


def _edits(lines: list[str], at: str) -> Iterator[Edit]:
    """Yield the pieces of a block; the first line of each is its place."""
    places = [PLACE.fullmatch(line.rstrip()) for line in lines]
    starts = [n for n, place in enumerate(places) if place is not None and (n == 0 or place["where"])]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        place = places[start]
        assert place is not None
        text = "".join(lines[start + 1 : end]).rstrip() + "\n"
        yield Edit(at=at, path=place["path"], where=place["where"] or "", line=place["line"] or "", text=text)


def copy_repository(source: Path, target: Path) -> None:
    """Copy what tests and documentation are made of."""
    for part in PARTS:
        shutil.copytree(source / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in source.iterdir():
        if file.is_file():
            shutil.copy2(file, target / file.name)


def run(words: list[str], root: Path, environment: dict[str, str]) -> str:
    """Run a program in the copy; return what it printed. A status other than 0 is a RecipeError with it."""
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise RecipeError(
            f"{shlex.join(words)} ended with {done.returncode}:\n{done.stdout[-6000:]}{done.stderr[-3000:]}"
        )
    return done.stdout
