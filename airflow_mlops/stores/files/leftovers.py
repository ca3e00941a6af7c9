"""Columns that are no data: what a table's index becomes when pandas writes it into a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from airflow_mlops.spec.problems import Problem, ReasonCode

RUNNING = frozenset({"index", "level_0"})
"""Names that pandas gives an index that becomes a column: no data where it is nothing but 0, 1, 2, ..."""
RUNNING_NUMBER = "a running number from 0, as pandas' reset_index() makes of an index"
_INDEX = re.compile(r"__index_level_\d+__|Unnamed: \d+(_level_\d+)?")


def left_by_pandas(names: Iterable[str]) -> dict[str, str]:
    """Return the columns that nobody named, among them those that pandas made of an index, and what they are.

    >>> left_by_pandas(["id", "Unnamed: 0", "__index_level_0__"])
    {'Unnamed: 0': 'the index of a pandas frame', '__index_level_0__': 'the index of a pandas frame'}
    """
    known = list(names)
    nameless = {"": "a column without a name"} if "" in known else {}
    return nameless | {name: "the index of a pandas frame" for name in known if _INDEX.fullmatch(name)}


def left_out(leftovers: Mapping[str, Sequence[str]], files: int) -> list[Problem]:
    """Return what the manifest says of columns that are left out.

    Parameters
    ----------
    leftovers
        By column: what it is, and the first file that has it.
    files
        How many files were read.
    """
    return [
        Problem(
            code=ReasonCode.COLUMN_EXTRA,
            field=f"column {name}" if name else "a column without a name",
            found=f"{what}, in {path}{' and other files' if files > 1 else ''}",
            allowed="columns with a name and a meaning",
            fix="it is left out; write the file with index=False, or give the column a name if it is one",
        )
        for name, (what, path) in leftovers.items()
    ]
