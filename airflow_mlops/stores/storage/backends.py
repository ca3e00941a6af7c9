"""How a file becomes visible whole: by a rename on a disk, by the end of its upload in an object store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4


class Backend(Protocol):
    """What a disk and an object store do differently. Paths are relative to the root."""

    def exists(self, path: str) -> bool:
        """Whether a file stands at `path`."""

    def read(self, path: str) -> Any:
        """Open a file for random reads of bytes."""

    def commit(self, path: str) -> AbstractContextManager[Path]:
        """Context: a local path to write to, which becomes the file at the end, and never if the body fails."""

    def move(self, path: str, target: str) -> None:
        """Give a file another name, unless that is taken; the first name is gone either way."""

    def delete(self, path: str) -> None:
        """Remove a file, if there is one."""

    def names(self, folder: str) -> list[str]:
        """Names of the files directly in a folder."""

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder."""


class Disk:
    """A folder on this machine. A name always stands for a whole file: it is given by one rename, after fsync."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def exists(self, path: str) -> bool:
        """Whether a file stands at `path`."""
        return (self._root / path).is_file()

    def read(self, path: str) -> Any:
        """Open a file for random reads of bytes."""
        return (self._root / path).open("rb")

    @contextmanager
    def commit(self, path: str) -> Iterator[Path]:
        """Context: a local path to write to, which becomes the file at the end, and never if the body fails."""
        final = self._root / path
        final.parent.mkdir(parents=True, exist_ok=True)
        # Hidden, and beginning like the final name, so that whoever sweeps leftovers of that name finds it too.
        partial = final.parent / f".{final.name.lstrip('.')}.{uuid4().hex}.tmp"
        try:
            yield partial
            _flush(partial)
            partial.replace(final)
        finally:
            partial.unlink(missing_ok=True)
        _flush(final.parent)

    def move(self, path: str, target: str) -> None:
        """Give a file another name, unless that is taken; the first name is gone either way."""
        source, final = self._root / path, self._root / target
        final.parent.mkdir(parents=True, exist_ok=True)
        # A hard link fails when the name is taken, a rename would replace; not every file system has links.
        with suppress(FileExistsError):
            try:
                final.hardlink_to(source)
            except FileExistsError:
                raise
            except OSError:
                if not final.exists():
                    source.replace(final)
        source.unlink(missing_ok=True)
        _flush(final.parent)

    def delete(self, path: str) -> None:
        """Remove a file, if there is one."""
        (self._root / path).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """Names of the files directly in a folder."""
        place = self._root / folder
        return [item.name for item in place.iterdir() if item.is_file()] if place.is_dir() else []

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder."""
        place = self._root / folder
        return [item.name for item in place.iterdir() if item.is_dir()] if place.is_dir() else []


def _flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def local_file() -> Iterator[Path]:
    """Context: a file of this machine to write to before it is sent away; it is gone at the end."""
    handle, name = tempfile.mkstemp(prefix="airflow_mlops_", suffix=".upload")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


class Objects:
    """A prefix of an object store. An object appears whole, when its upload ends.

    Files are written to the local disk first, and then uploaded: closing a half-written remote file, which happens
    whenever an exception leaves a ``with`` block, would publish the half.
    """

    def __init__(self, remote: Any, root: str) -> None:
        self._remote = remote
        self._root = root

    def exists(self, path: str) -> bool:
        """Whether a file stands at `path`."""
        with _answering():
            self._remote.invalidate_cache()
            return bool(self._remote.isfile(self._full(path)))

    def read(self, path: str) -> Any:
        """Open a file for random reads of bytes."""
        with _answering():
            self._remote.invalidate_cache()
            return self._remote.open(self._full(path), "rb")

    @contextmanager
    def commit(self, path: str) -> Iterator[Path]:
        """Context: a local path to write to, which becomes the file at the end, and never if the body fails."""
        with local_file() as partial:
            yield partial
            with _answering():
                self._remote.put_file(str(partial), self._full(path))

    def move(self, path: str, target: str) -> None:
        """Give a file another name, unless that is taken; the first name is gone either way."""
        # No store has "rename unless taken". Two writers of one final name write the same rows (it is their hash),
        # so the later copy changes nothing.
        if not self.exists(target):
            with _answering():
                self._copy(self._full(path), self._full(target))
        self.delete(path)

    def delete(self, path: str) -> None:
        """Remove a file, if there is one."""
        if self.exists(path):
            with _answering():
                self._remote.rm_file(self._full(path))

    def names(self, folder: str) -> list[str]:
        """Names of the files directly in a folder."""
        return self._list(folder, "file")

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder."""
        return self._list(folder, "directory")

    def _list(self, folder: str, kind: str) -> list[str]:
        with _answering():
            self._remote.invalidate_cache()
            if not self._remote.isdir(self._full(folder)):
                return []
            found = self._remote.ls(self._full(folder), detail=True)
        return [item["name"].rstrip("/").rpartition("/")[2] for item in found if item["type"] == kind]

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _copy(self, source: str, target: str) -> None:
        try:
            self._remote.cp_file(source, target)
        except FileNotFoundError:
            # Stores of objects have no folders; those file systems that do want them made.
            self._remote.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._remote.cp_file(source, target)


@contextmanager
def _answering() -> Iterator[None]:
    """Turn the errors of a store's own library, which are of many classes, into OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise ConnectionError(type(error).__name__) from error
