"""What the files of one source have in common: their interface, their errors, and one type for each column."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from airflow_mlops.core.errors import DataError, StoreUnavailableError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.types import plain_type
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa


class FilePart(Protocol):
    """One file of a source."""

    path: str
    widens_numbers: bool
    """Whether whole numbers here and fractions in another file are the same column (types are only guessed)."""

    @property
    def schema(self) -> pa.Schema:
        """Columns and types of this file."""

    def batches(
        self, window: Window | None, time: str, columns: Sequence[str], chunk_rows: int, *, encode: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Rows in file order; some may lie outside of the window. `time` may come as text.

        Texts in the columns of `encode` may come as dictionaries, which costs less where they are only counted.
        """

    def undated(self, time: str) -> int | None:
        """Rows without an event time; None when that is not cheap to know."""


def unreadable(path: str, found: str, fix: str) -> DataError:
    """Return the error for a file that cannot be read."""
    return DataError(
        Problem(
            code=ReasonCode.SOURCE_UNREADABLE,
            field="data.source.path",
            found=f"{found}: {path}",
            allowed="whole Parquet files, or CSV files with a header, of the stated encoding and delimiter",
            fix=fix,
        )
    )


_AWAY = {errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ESTALE}


def raise_if_away(error: BaseException, path: str) -> None:
    """Raise StoreUnavailableError when an error is about reaching a file, and not about what is in it.

    Only the first can be mended by trying again.
    """
    if isinstance(error, ConnectionError | TimeoutError) or getattr(error, "errno", None) in _AWAY:
        raise StoreUnavailableError(
            Problem(
                code=ReasonCode.STORE_UNAVAILABLE,
                field="data.source.path",
                found=f"no answer for {path} ({type(error).__name__})",
                allowed="a store that answers",
                fix="it is tried again; check the network and the store if it stays away",
            )
        ) from error


def duplicated(path: str, names: Sequence[str]) -> DataError:
    """Return the error for a file with columns of the same name."""
    return DataError(
        Problem(
            code=ReasonCode.COLUMN_DUPLICATED,
            field=f"column {name}",
            found=f"{count} columns named '{name}' in {path}",
            allowed="each column name once",
            fix="rename or drop the others where the file is written",
        )
        for name, count in Counter(names).items()
        if count > 1
    )


def unify(parts: Sequence[FilePart]) -> dict[str, pa.DataType]:
    """Return every column of the parts, with the one type that it is read as.

    Raises
    ------
    DataError
        If a column has types that do not go together: it names the files, the column and both types.
    """
    types: dict[str, pa.DataType] = {}
    origin: dict[str, str] = {}
    problems: list[Problem] = []
    for part in parts:
        for field in part.schema:
            ours = plain_type(field.type)
            known = types.setdefault(field.name, ours)
            joined = _join(known, ours, widens=part.widens_numbers)
            if joined is None:
                problems.append(_retyped(field.name, part.path, ours, origin[field.name], known))
                continue
            if field.name not in origin or known != joined:
                origin[field.name] = part.path
            types[field.name] = joined
    if problems:
        raise DataError(problems)
    return types


def _retyped(name: str, path: str, found: pa.DataType, origin: str, known: pa.DataType) -> Problem:
    return Problem(
        code=ReasonCode.COLUMN_RETYPED,
        field=f"column {name}",
        found=f"type {found} in {path}, but {known} in {origin}",
        allowed="one type in all files of a source",
        fix="write one of the two files again with the other's type",
    )


def _join(a: pa.DataType, b: pa.DataType, *, widens: bool) -> pa.DataType | None:
    """Return the type that holds the values of both without a loss, if there is one."""
    import pyarrow as pa
    import pyarrow.types as t

    if a == b or t.is_null(b):
        return a
    if t.is_null(a):
        return b
    if t.is_timestamp(a) and t.is_timestamp(b) and (a.tz is None) == (b.tz is None):
        return pa.timestamp("ns" if "ns" in (a.unit, b.unit) else "us", tz=None if a.tz is None else "UTC")
    same_kind = any(kind(a) and kind(b) for kind in (t.is_signed_integer, t.is_unsigned_integer, t.is_floating))
    if same_kind:
        return a if a.bit_width >= b.bit_width else b
    numbers = all(t.is_integer(x) or t.is_floating(x) for x in (a, b))
    return pa.float64() if widens and numbers else None
