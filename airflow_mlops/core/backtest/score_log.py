"""The score log of a replay: each version scores a window once, and every replay sees those that its champions made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import Storage
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.scoring import predictions_folder, scoring_window
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pyarrow as pa


class SubfolderStorage:
    """A folder of a storage, as a storage of its own."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self._folder = folder

    @property
    def root(self) -> str:
        """URI of the folder."""
        return self._storage.uri(self._folder)

    def uri(self, path: str) -> str:
        """URI of a path below the root."""
        return self._storage.uri(self._at(path))

    def exists(self, path: str) -> bool:
        """Whether a file stands at `path`."""
        return self._storage.exists(self._at(path))

    def read_text(self, path: str) -> str:
        """Whole text of a file."""
        return self._storage.read_text(self._at(path))

    def write_text(self, path: str, text: str) -> str:
        """Write a file whole or not at all."""
        return self._storage.write_text(self._at(path), text)

    def write_batches(self, path: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> int:
        """Write batches as one Parquet file, whole or not at all."""
        return self._storage.write_batches(self._at(path), batches, schema)

    def read_batches(
        self, path: str, columns: Sequence[str] | None = None, *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        """Read a Parquet file in batches."""
        return self._storage.read_batches(self._at(path), columns, chunk_rows=chunk_rows)

    def move(self, path: str, target: str) -> str:
        """Give a written file its final name."""
        return self._storage.move(self._at(path), self._at(target))

    def delete(self, path: str) -> None:
        """Remove a file."""
        self._storage.delete(self._at(path))

    def names(self, folder: str) -> tuple[str, ...]:
        """Names of the files directly in a folder."""
        return self._storage.names(self._at(folder))

    def folders(self, folder: str) -> tuple[str, ...]:
        """Names of the folders directly in a folder."""
        return self._storage.folders(self._at(folder))

    def _at(self, path: str) -> str:
        return f"{self._folder}/{path}"


def log_folder(storage: Storage, version: int) -> SubfolderStorage:
    """The storage that one version scores into."""
    return SubfolderStorage(storage, f"scores/{version}")


class ScoreLog(SubfolderStorage):
    """The storage as one replay sees it, read only: its score log holds what its own champions scored.

    Parameters
    ----------
    storage
        Of the whole backtest.
    served
        Version by window.
    """

    def __init__(self, spec: ModelSpec, storage: Storage, served: Mapping[Window, int]) -> None:
        super().__init__(storage, "")
        self._log = predictions_folder(spec)
        self._served = dict(served)

    @property
    def root(self) -> str:
        """URI of the folder."""
        return self._storage.root

    def folders(self, folder: str) -> tuple[str, ...]:
        """Names of the folders directly in a folder; of the score log, its windows."""
        if folder != self._log:
            return super().folders(folder)
        found = []
        for version in sorted(set(self._served.values())):
            for name in log_folder(self._storage, version).folders(folder):
                window = scoring_window(name)
                if window is not None and self._served.get(window) == version:
                    found.append(name)
        return tuple(sorted(found))

    def _at(self, path: str) -> str:
        rest = path.removeprefix(f"{self._log}/")
        if rest == path:
            return path
        window = scoring_window(rest.partition("/")[0])
        version = None if window is None else self._served.get(window)
        return f"scores/{version or 0}/{path}"

    def write_text(self, path: str, text: str) -> NoReturn:  # noqa: ARG002 - the signature is the protocol's
        """Refuse: a replay is not the place to write reports."""
        raise _read_only(self.root, path)

    def write_batches(self, path: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> NoReturn:  # noqa: ARG002
        """Refuse."""
        raise _read_only(self.root, path)

    def move(self, path: str, target: str) -> NoReturn:  # noqa: ARG002
        """Refuse."""
        raise _read_only(self.root, path)

    def delete(self, path: str) -> NoReturn:
        """Refuse."""
        raise _read_only(self.root, path)


def _read_only(root: str, path: str) -> RecordError:
    return RecordError(
        Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field="score log",
            found=f"a write to {path} in the score log of a replay, {root}",
            allowed="reads only",
            fix="write reports to the storage of the backtest",
        )
    )
