"""A prefix of a bucket as a storage's backend: an object appears whole, and a name is taken once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_mlops.stores.s3.bucket import PART, S3Bucket, S3Object
from airflow_mlops.stores.storage.backends import local_file


class S3Objects:
    """Implements :class:`~airflow_mlops.stores.storage.backends.Backend` over a bucket.

    Parameters
    ----------
    bucket
        Where, and what is asked of it.
    root
        Prefix of every name, without a slash at its end; empty for the whole bucket.
    """

    def __init__(self, bucket: S3Bucket, root: str) -> None:
        self._bucket = bucket
        self._root = f"{root}/" if root else ""

    def exists(self, path: str) -> bool:
        """Whether a file stands at `path`."""
        return self._bucket.head(self._key(path)) is not None

    def read(self, path: str) -> Any:
        """Fetch a file, to memory or, where it is large, to the local disk; open it for random reads of bytes.

        What this package wrote is read from end to end nearly always: one answer, instead of one for each piece.
        """
        # It has no name on the disk, so that a killed process leaves nothing.
        file = tempfile.SpooledTemporaryFile(max_size=PART, prefix="airflow_mlops_")  # noqa: SIM115 - the caller's
        try:
            self._bucket.read(self._key(path), file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    @contextmanager
    def commit(self, path: str) -> Iterator[Path]:
        """Context: a local path to write to, which becomes the file at the end, and never if the body fails."""
        with local_file() as partial:
            yield partial
            self._bucket.upload(self._key(path), partial)

    def move(self, path: str, target: str) -> None:
        """Give a file another name, unless that is taken; the first name is gone either way."""
        self._bucket.copy_unless_taken(self._key(path), self._key(target))
        self._bucket.delete(self._key(path))

    def delete(self, path: str) -> None:
        """Remove a file, if there is one."""
        self._bucket.delete(self._key(path))

    def names(self, folder: str) -> list[str]:
        """Names of the files directly in a folder."""
        start = self._folder(folder)
        found = (item.key.removeprefix(start) for item in self._listed(start) if isinstance(item, S3Object))
        return [name for name in found if name]  # consoles make "folders": empty objects of the folder's own name

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder."""
        start = self._folder(folder)
        return [item.removeprefix(start).rstrip("/") for item in self._listed(start) if isinstance(item, str)]

    def _listed(self, start: str) -> Iterator[S3Object | str]:
        return self._bucket.objects(start, delimiter="/")

    def _folder(self, folder: str) -> str:
        key = self._key(folder).rstrip("/")
        return f"{key}/" if key else ""

    def _key(self, path: str) -> str:
        return f"{self._root}{path}"
