"""The folder where snapshots, predictions and reports live: on a disk, or in an object store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError, StoreUnavailableError
from airflow_mlops.core.ports import Storage
from airflow_mlops.redaction.raised import raising_no_secrets
from airflow_mlops.spec.problems import Problem, ReasonCode, Refusal
from airflow_mlops.stores.files.location import locate
from airflow_mlops.stores.files.parquet_limits import read_own
from airflow_mlops.stores.files.part import unreadable
from airflow_mlops.stores.s3.address import PLAIN, S3Options, s3_address
from airflow_mlops.stores.s3.bucket import S3Bucket
from airflow_mlops.stores.s3.client import known_connection
from airflow_mlops.stores.storage.backends import Backend, Disk, Objects
from airflow_mlops.stores.storage.s3_backend import S3Objects

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP = 50_000


_FIELD = "[mlops] storage"


def open_storage(root: str, *, s3: S3Options = PLAIN) -> Storage:
    """Open a storage folder; nothing is read or made before the first use.

    Parameters
    ----------
    root
        A local path, or the URI of an object store that Airflow's ObjectStoragePath takes
        (``s3://aws_default@bucket/mlops``).
    s3
        What is asked of a bucket of S3.

    Raises
    ------
    DataError
        If there is no file system for the URI, its connection is missing, or an option for S3 is none.

    Examples
    --------
    >>> import tempfile
    >>> storage = open_storage(tempfile.mkdtemp())
    >>> storage.write_text("reports/a.json", "{}") == storage.uri("reports/a.json")
    True
    >>> storage.read_text("reports/a.json"), storage.names("reports")
    ('{}', ('a.json',))
    """
    address = s3_address(root)
    if address is not None:
        s3.require_sound()
        known_connection(address.conn_id, _FIELD)
        bucket = S3Bucket(address=address, field=_FIELD, options=s3)
        return _Storage(address.uri(address.key), S3Objects(bucket, address.key))
    location = locate(root, field=_FIELD)
    backend = Objects(location.remote, location.path) if location.remote else Disk(Path(location.path))
    return _Storage(location.uri, backend)


class _Storage:
    """Implements :class:`~airflow_mlops.core.ports.Storage` over a backend."""

    def __init__(self, root: str, backend: Backend) -> None:
        self._root = root
        self._backend = backend

    @property
    def root(self) -> str:
        return self._root

    def uri(self, path: str) -> str:
        return f"{self._root}/{path}"

    def exists(self, path: str) -> bool:
        with self._reaching("read", path):
            return self._backend.exists(path)

    def read_text(self, path: str) -> str:
        with self._reaching("read", path), self._backend.read(path) as file:
            return str(file.read().decode())

    def write_text(self, path: str, text: str) -> str:
        with self._reaching("write", path), self._backend.commit(path) as partial:
            partial.write_bytes(text.encode())
        return self.uri(path)

    def write_batches(self, path: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> int:
        import pyarrow.parquet as pq

        rows = 0
        with (
            self._reaching("write", path),
            self._backend.commit(path) as partial,
            pq.ParquetWriter(partial, schema, compression="zstd", use_compliant_nested_type=False) as writer,
        ):
            for table in _row_groups(batches):
                writer.write_table(table)
                rows += table.num_rows
        return rows

    def read_batches(
        self, path: str, columns: Sequence[str] | None = None, *, chunk_rows: int = 50_000
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        with self._reaching("read", path), self._backend.read(path) as file:
            try:
                yield from read_own(pa.PythonFile(file, "r"), self.uri(path), columns=columns, chunk_rows=chunk_rows)
            except (pa.ArrowException, OSError) as error:
                # Arrow says of pages that it cannot unpack a plain OSError; one of a disk or a network has a number.
                if not isinstance(error, pa.ArrowException) and (type(error) is not OSError or error.errno):
                    raise
                raise unreadable(self.uri(path), "a damaged Parquet file", "restore it, or make it again") from error

    def move(self, path: str, target: str) -> str:
        with self._reaching("write", target):
            self._backend.move(path, target)
        return self.uri(target)

    def delete(self, path: str) -> None:
        with self._reaching("write", path):
            self._backend.delete(path)

    def names(self, folder: str) -> tuple[str, ...]:
        with self._reaching("read", folder):
            return tuple(sorted(self._backend.names(folder)))

    def folders(self, folder: str) -> tuple[str, ...]:
        with self._reaching("read", folder):
            return tuple(sorted(self._backend.folders(folder)))

    @contextmanager
    def _reaching(self, doing: str, path: str) -> Iterator[None]:
        """Turn a failure of the disk or object store into one sentence that names the path."""
        with raising_no_secrets(), self._saying(doing, path):
            yield

    @contextmanager
    def _saying(self, doing: str, path: str) -> Iterator[None]:
        try:
            yield
        except (Refusal, GeneratorExit):
            raise
        except OSError as error:
            if doing == "read" and isinstance(error, FileNotFoundError):
                raise DataError(_trouble(ReasonCode.SOURCE_MISSING, f"no file {self.uri(path)}", doing)) from error
            said = os.strerror(error.errno) if error.errno else type(error.__cause__ or error).__name__
            code = ReasonCode.STORE_UNWRITABLE if doing == "write" else ReasonCode.STORE_UNAVAILABLE
            found = f"cannot {doing} {self.uri(path)}: {said}"
            raise StoreUnavailableError(_trouble(code, found, doing)) from error


def _trouble(code: ReasonCode, found: str, doing: str) -> Problem:
    return Problem(
        code=code,
        field=_FIELD,
        found=found,
        allowed=f"a folder or object store that this process can {doing}",
        fix="check the path, its permissions, the free space and the connection",
    )


def _row_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Gather small batches, as a filter leaves them, because each written table becomes a row group."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(part.num_rows for part in waiting) >= _ROW_GROUP:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)
