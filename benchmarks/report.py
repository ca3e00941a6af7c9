"""Tables: on the screen, as JSON, and in the documentation."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- begin: written by `python -m benchmarks --write-docs` -->", "<!-- end -->"
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
        return "\n".join([f"### {self.title}", "", *lines, "", *(f"- {note}" for note in self.notes)]).rstrip() + "\n"

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


def write_json(name: str, figures: dict[str, Any]) -> Path:
    """Keep the figures of one benchmark."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n")
    return path


def write_docs(tables: Sequence[Table]) -> None:
    """Put the tables between the two marks of `docs/benchmarks.md`; what stands around them stays."""
    here = machine()
    packages = ", ".join(f"{name} {number}" for name, number in here["packages"].items())
    head = (
        f"Measured {here['at'][:10]}, {here['cores']} cores, {here['system']}, Python {here['python']}; {packages}.\n"
    )
    before, rest = DOCS.read_text().split(BEGIN)
    _, after = rest.split(END)
    DOCS.write_text("\n".join([before + BEGIN, "", head, *(table.markdown() for table in tables), END + after]))
