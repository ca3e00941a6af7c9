"""Tables: on the screen, as JSON, and in the documentation."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- begin: written by `python -m {} --write-docs` -->", "<!-- end -->"
"""Around the tables that a module writes, in `docs/benchmarks.md`."""
PACKAGES = ("apache-airflow", "mlflow", "great-expectations", "scikit-learn", "pandas", "pyarrow")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with its notes."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """For a terminal."""
        widths = [max(len(row[i]) for row in (self.heads, *self.rows)) for i in range(len(self.heads))]
        lines = [self.title, self._line(self.heads, widths), self._line(["-" * width for width in widths], widths)]
        lines += [self._line(row, widths) for row in self.rows]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def markdown(self) -> str:
        """For the documentation."""
        lines = ["| " + " | ".join(row) + " |" for row in (self.heads, *self.rows)]
        marks = [" ---: " if self._number(i) else " --- " for i in range(len(self.heads))]
        lines.insert(1, f"|{'|'.join(marks)}|")
        return "\n".join([f"## {self.title}", "", *lines, "", *(f"- {note}" for note in self.notes)]).rstrip() + "\n"

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded = [
            cell.rjust(width) if self._number(i) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  " + "  ".join(padded).rstrip()

    def _number(self, column: int) -> bool:
        return all(row[column][:1].isdigit() for row in self.rows if row[column])


def machine() -> dict[str, Any]:
    """Say what was measured on: it is part of every number."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": {name: version(name) for name in PACKAGES},
    }


def write_json(name: str, figures: dict[str, Any], table: Table) -> Path:
    """Keep the figures of one benchmark, and its table."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **figures, "table": asdict(table)}, indent=2) + "\n")
    return path


def write_docs(names: Sequence[str], module: str = "benchmarks") -> None:
    """Put the latest table of each benchmark between a module's two marks in `docs/benchmarks.md`; the rest stays.

    Raises
    ------
    FileNotFoundError
        If one of them was never run here: a page with a hole looks whole.
    """
    parts = [_section(json.loads((RESULTS / f"{name}.json").read_text())) for name in names]
    begin = BEGIN.format(module)
    before, rest = DOCS.read_text().split(begin)
    _, after = rest.split(END, maxsplit=1)
    DOCS.write_text("\n".join([before + begin, "", *parts, END + after]))


def _section(kept: dict[str, Any]) -> str:
    here, raw = kept["machine"], kept["table"]
    table = Table(
        title=raw["title"],
        heads=tuple(raw["heads"]),
        rows=tuple(tuple(row) for row in raw["rows"]),
        notes=tuple(raw["notes"]),
    )
    packages = ", ".join(f"{name} {number}" for name, number in here["packages"].items())
    when = f"Measured {here['at'][:10]}, {here['cores']} cores, {here['system']}, Python {here['python']}; {packages}."
    return f"{table.markdown()}\n{when}\n"
