"""What was met in reading the files of a window and how it was treated, for the snapshot's manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_mlops.core.rows.columns import one_of
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.suggest import find_nearest
from airflow_mlops.stores.event_times import TimeReader, said_of_times
from airflow_mlops.stores.files.leftovers import left_out
from airflow_mlops.stores.files.source_file import SourceFile

if TYPE_CHECKING:
    import pyarrow as pa


_SHOWN = 10


class ReadIssues:
    """Counts while files are read one after the other."""

    def __init__(self) -> None:
        self._absent: dict[str, list[tuple[SourceFile, int]]] = {}
        self._lacking: list[str] = []
        self._file: SourceFile | None = None
        self._rows = self._doubtful = 0
        self._reader: TimeReader | None = None
        self._problems: list[Problem] = []

    def begin(self, file: SourceFile, wanted: Sequence[str]) -> None:
        """Begin with a file."""
        self._close()
        there = set(file.names)
        self._file, self._rows = file, 0
        self._lacking = [name for name in wanted if name not in there]

    def count(self, rows: int, reader: TimeReader, chosen: pa.Array | None) -> None:
        """Count rows of the window, and those among them whose time the clock shows twice or never."""
        import pyarrow.compute as pc

        self._rows += rows
        self._reader = reader
        if reader.doubtful is None:
            return
        mine = reader.doubtful if chosen is None else pc.and_(reader.doubtful, chosen)
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
        came_and_went = [self._came_or_went(names, files) for names in self._together()]
        left = left_out(leftovers, len(files))
        times = said_of_times(self._reader, self._doubtful) if self._reader is not None else ()
        self._problems = [*came_and_went, *left, *_shortened(list(told.values())), *times]

    def problems(self) -> tuple[Problem, ...]:
        """What was met in all."""
        return tuple(self._problems)

    def _close(self) -> None:
        if self._file is not None:
            for name in self._lacking:
                self._absent.setdefault(name, []).append((self._file, self._rows))
        self._file = None

    @property
    def absent(self) -> frozenset[str]:
        """Columns that are missing in rows of some files."""
        return frozenset(name for name, lacking in self._absent.items() if any(rows for _, rows in lacking))

    def _together(self) -> list[list[str]]:
        """Columns that the same files lack: said at once, because a wide table lacks hundreds."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in self._absent:
            if name in self.absent:
                groups.setdefault(tuple(file.path for file, _ in self._absent[name]), []).append(name)
        return list(groups.values())

    def _came_or_went(self, names: Sequence[str], files: Sequence[SourceFile]) -> Problem:
        lacking = self._absent[names[0]]
        rows = sum(count for _, count in lacking)
        paths = {file.path for file, _ in lacking}
        elsewhere = {other for file in files if file.path not in paths for other in file.names}
        new = [other for other in lacking[0][0].names if other not in elsewhere]
        near = {name: found for name in names[:_SHOWN] if (found := find_nearest(name, new))}
        asked = "".join(f"; was {name} named '{other}' there?" for name, other in near.items())
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        one = len(names) == 1
        return Problem(
            code=ReasonCode.COLUMN_RENAMED if near else ReasonCode.COLUMN_MISSING,
            field=f"column{'' if one else 's'} {', '.join(names[:_SHOWN])}{more}",
            found=f"no such column{'' if one else 's'} in {len(lacking)} of {len(files)} files, such as "
            f"{lacking[0][0].path}",
            allowed="columns that all files of the window have, or that come or go",
            fix=f"{'it is' if one else 'they are'} read as missing in these {rows} rows{asked}",
        )


def _shortened(doubts: list[Problem]) -> list[Problem]:
    """Return doubts about columns, of hundreds the first few and the names of some others."""
    rest = doubts[_SHOWN:]
    if not rest:
        return doubts
    names = [problem.field.removeprefix("column ") for problem in rest]
    first = doubts[0]
    more = Problem(
        code=first.code,
        field=f"{len(rest)} more columns",
        found=f"the like in {one_of(names).removeprefix('one of: ')}",
        allowed=first.allowed,
        fix="they are read as the specification says; look at them as at the columns before",
    )
    return [*doubts[:_SHOWN], more]
