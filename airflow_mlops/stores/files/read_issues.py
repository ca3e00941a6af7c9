"""What was met in reading the files of a window and how it was treated, for the snapshot's manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.suggest import find_nearest
from airflow_mlops.stores.event_times import shifted
from airflow_mlops.stores.files.leftovers import left_out
from airflow_mlops.stores.files.source_file import SourceFile

if TYPE_CHECKING:
    import pyarrow as pa


class ReadIssues:
    """Counts while files are read one after the other."""

    def __init__(self) -> None:
        self._absent: dict[str, list[tuple[SourceFile, int]]] = {}
        self._lacking: list[str] = []
        self._file: SourceFile | None = None
        self._rows = self._doubtful = 0
        self._zone: str | None = None
        self._problems: list[Problem] = []

    def begin(self, file: SourceFile, wanted: Sequence[str]) -> None:
        """Begin with a file."""
        self._close()
        there = set(file.names)
        self._file, self._rows = file, 0
        self._lacking = [name for name in wanted if name not in there]

    def count(self, rows: int, doubtful: pa.Array | None, chosen: pa.Array | None, zone: str | None) -> None:
        """Count rows of the window, and those among them whose time the clock shows twice or never."""
        import pyarrow.compute as pc

        self._rows += rows
        if doubtful is None:
            return
        self._zone = zone
        mine = doubtful if chosen is None else pc.and_(doubtful, chosen)
        self._doubtful += int(pc.sum(mine).as_py() or 0)

    def end(self, files: Sequence[SourceFile], wanted: Sequence[str]) -> None:
        """Everything is read: put it into words."""
        self._close()
        told: dict[str, Problem] = {}
        leftovers: dict[str, tuple[str, str]] = {}
        for file in files:
            for problem in file.doubts(wanted):
                told.setdefault(problem.field, problem)
            for name, what in file.leftovers().items():
                leftovers.setdefault(name, (what, file.path))
        came_and_went = [
            self._came_or_went(name, files) for name in self._absent if any(n for _, n in self._absent[name])
        ]
        self._problems = [
            *came_and_went,
            *left_out(leftovers, len(files)),
            *told.values(),
            *shifted(self._doubtful, self._zone),
        ]

    def problems(self) -> tuple[Problem, ...]:
        """What was met in all."""
        return tuple(self._problems)

    def _close(self) -> None:
        if self._file is not None:
            for name in self._lacking:
                self._absent.setdefault(name, []).append((self._file, self._rows))
        self._file = None

    def _came_or_went(self, name: str, files: Sequence[SourceFile]) -> Problem:
        lacking = self._absent[name]
        rows = sum(count for _, count in lacking)
        paths = {file.path for file, _ in lacking}
        elsewhere = {other for file in files if file.path not in paths for other in file.names}
        near = find_nearest(name, [other for other in lacking[0][0].names if other not in elsewhere])
        asked = f"; was it '{near}' there?" if near else ""
        return Problem(
            code=ReasonCode.COLUMN_RENAMED if near else ReasonCode.COLUMN_MISSING,
            field=f"column {name}",
            found=f"no such column in {len(lacking)} of {len(files)} files, such as {lacking[0][0].path}",
            allowed="a column that all files of the window have, or one that comes or goes",
            fix=f"it is read as missing in these {rows} rows{asked}",
        )
