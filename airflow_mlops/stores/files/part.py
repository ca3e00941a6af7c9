"""What the files of one source have in common: their interface and their errors."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airflow_mlops.core.errors import DataError, StoreUnavailableError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.files.leftovers import left_by_pandas

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class TimeSpan:
    """First and last event time of a file, in microseconds since 1970 in UTC; both None where it holds none."""

    first: int | None
    last: int | None


class FilePart(Protocol):
    """One file of a source."""

    path: str

    @property
    def names(self) -> Sequence[str]:
        """Columns of this file."""

    def types(self, names: Sequence[str]) -> Mapping[str, pa.DataType]:
        """Types of some columns that it has."""

    def batches(
        self, window: Window | None, time: str, columns: Sequence[str], chunk_rows: int, *, encode: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Rows in file order, of columns that the file has; some may lie outside of the window.

        `time` may come as text. Texts in the columns of `encode` may come as dictionaries, which costs less where they
        are only counted.
        """

    def ends(self, time: str) -> pa.Array | None:
        """First and last event time as the file's statistics have them; None where only its rows tell."""

    def undated(self, time: str) -> int | None:
        """Rows without an event time; None when that is not cheap to know."""

    def is_all_missing(self, name: str) -> bool:
        """Whether a column is known, without reading it, to hold no value."""

    def leftovers(self) -> Mapping[str, str]:
        """Columns that are no data, such as the index of a pandas frame: name, and what they are."""

    def doubts(self, names: Sequence[str]) -> Iterator[Problem]:
        """What is odd about columns that were read, and how it was read."""

    def forget(self) -> None:
        """Let go of what was learned of the file: no row of it is needed."""


class RowsOnlyPart(ABC):
    """What a part answers whose format tells nothing but its rows."""

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """Columns of this file."""

    def ends(self, time: str) -> pa.Array | None:  # noqa: ARG002
        """Only the rows tell."""
        return None

    def undated(self, time: str) -> int | None:  # noqa: ARG002
        """Counting them would be a read of their own."""
        return None

    def is_all_missing(self, name: str) -> bool:  # noqa: ARG002
        """Only the rows tell."""
        return False

    def leftovers(self) -> Mapping[str, str]:
        """Columns that pandas made of an index."""
        return left_by_pandas(self.names)

    def doubts(self, names: Sequence[str]) -> Iterator[Problem]:  # noqa: ARG002
        """The format says what its columns are."""
        return iter(())

    def forget(self) -> None:  # noqa: B027 - not abstract: a format that holds more lets go of it
        """Nothing but names and types is held."""


def unreadable(path: str, found: str, fix: str) -> DataError:
    """Return the error for a file that cannot be read."""
    return DataError(
        Problem(
            code=ReasonCode.SOURCE_UNREADABLE,
            field="data.source.path",
            found=f"{found}: {path}",
            allowed="whole files of the stated format, encoding and delimiter; CSV files with a header",
            fix=fix,
        )
    )


_AWAY = {errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ESTALE}


def raise_if_away(error: BaseException, path: str) -> None:
    """Raise StoreUnavailableError when an error is about reaching a file, and not about what is in it.

    Only the first can be mended by trying again. A store that has said itself what is wrong is not said over.
    """
    if isinstance(error, StoreUnavailableError):
        raise error
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
