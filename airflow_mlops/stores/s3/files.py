"""Files of S3 as pyarrow and fsspec's callers ask for them: listed, and read where they need it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any

from airflow_mlops.stores.s3.address import S3Address
from airflow_mlops.stores.s3.bucket import S3Bucket, S3Object
from airflow_mlops.stores.s3.client import s3_credentials

_BLOCK, _MOST_BLOCKS = 2 << 20, 32
"""Bytes that are read at once, and how many of them are kept: a file is opened for its end, for its types, for rows."""


class S3Files:
    """What `pyarrow.fs.FSSpecHandler` and this package call of fsspec's file systems; only reading.

    s3fs, which fsspec would load, wants another botocore than Airflow's Amazon provider. Paths are ``bucket/key``.

    Parameters
    ----------
    address
        Bucket and connection; its key does not matter.
    field
        What a problem is reported against.
    """

    protocol = "s3"

    def __init__(self, address: S3Address, field: str) -> None:
        self._bucket = S3Bucket(address=address, field=field)
        self._known: dict[str, S3Object] = {}
        self._folders: set[str] = set()

        @lru_cache(_MOST_BLOCKS)
        def block(found: S3Object, number: int) -> bytes:
            first = number * _BLOCK
            return self._bucket.read_range(found, first, min(first + _BLOCK, found.size))

        self._block = block

    def invalidate_cache(self) -> None:
        """Forget what was listed and read."""
        self._known.clear()
        self._folders.clear()
        self._block.cache_clear()

    def info(self, path: str) -> dict[str, Any]:
        """Tell what stands at a path.

        Raises
        ------
        FileNotFoundError
            If nothing does.
        """
        key = self._key(path)
        found = self._known.get(key)
        if found is None and key and key not in self._folders:
            found = self._bucket.head(key)
        if found is not None:
            self._known[key] = found
            return self._described(found)
        if key not in self._folders and not self._bucket.has_any(f"{key}/" if key else ""):
            raise FileNotFoundError(path)
        self._folders.add(key)
        return {"name": path, "size": 0, "type": "directory"}

    def exists(self, path: str) -> bool:
        """Whether anything stands at a path."""
        return self._type(path) is not None

    def isfile(self, path: str) -> bool:
        """Whether a file stands at a path."""
        return self._type(path) == "file"

    def isdir(self, path: str) -> bool:
        """Whether files stand below a path."""
        return self._type(path) == "directory"

    def find(
        self, path: str, maxdepth: int | None = None, *, withdirs: bool = False, detail: bool = False
    ) -> Mapping[str, Any]:
        """List all files at and below a path by their paths, with what is known of them.

        Parameters
        ----------
        maxdepth
            Folders to go down; all of them, if it is None.
        withdirs
            Also the folders.
        """
        del detail  # fsspec's other answer is a list of names, which nobody here asks for
        key = self._key(path)
        found = dict(self._found(key))
        if not found and key and (one := self._bucket.head(key)) is not None:
            found = {one.key: one}
        self._known |= found
        listed = {self._path(name): self._described(item) for name, item in found.items()}
        folders = {self._path(name): None for name in _folders(found, key)} if withdirs else {}
        listed |= {name: {"name": name, "size": 0, "type": "directory"} for name in folders}
        depth = path.rstrip("/").count("/")
        return {name: item for name, item in listed.items() if maxdepth is None or name.count("/") - depth <= maxdepth}

    def open(self, path: str, mode: str = "rb") -> S3File:  # noqa: ARG002 - as fsspec's; nothing is written here
        """Open a file for random reads.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        """
        key = self._key(path)
        found = self._known.get(key) or self._bucket.head(key)
        if found is None:
            raise FileNotFoundError(path)
        return S3File(found.size, partial(self._block, found))

    def delta_options(self) -> dict[str, str]:
        """Return what opens the same bucket for the package deltalake, whose client is its own."""
        client = self._bucket.client
        frozen = s3_credentials(self._bucket.address, self._bucket.field)
        known = {
            "AWS_ACCESS_KEY_ID": frozen and frozen.access_key,
            "AWS_SECRET_ACCESS_KEY": frozen and frozen.secret_key,
            "AWS_SESSION_TOKEN": frozen and frozen.token,
            "AWS_ENDPOINT_URL": client.meta.endpoint_url,
            "AWS_REGION": client.meta.region_name,
        }
        if str(client.meta.endpoint_url).startswith("http://"):
            known["AWS_ALLOW_HTTP"] = "true"
        return {name: str(value) for name, value in known.items() if value}

    def _type(self, path: str) -> str | None:
        try:
            return str(self.info(path)["type"])
        except FileNotFoundError:
            return None

    def _found(self, key: str) -> Iterator[tuple[str, S3Object]]:
        for item in self._bucket.objects(f"{key}/" if key else ""):
            # Consoles make "folders": empty objects whose names end so.
            if isinstance(item, S3Object) and not item.key.endswith("/"):
                yield item.key, item

    def _described(self, item: S3Object) -> dict[str, Any]:
        return {
            "name": self._path(item.key),
            "size": item.size,
            "type": "file",
            "ETag": item.etag,
            "LastModified": item.modified,
        }

    def _key(self, path: str) -> str:
        return path.partition("/")[2].strip("/")

    def _path(self, key: str) -> str:
        return f"{self._bucket.address.bucket}/{key}"


def _folders(keys: Mapping[str, S3Object], below: str) -> Iterator[str]:
    start = f"{below}/" if below else ""
    for key in keys:
        parts = key.removeprefix(start).split("/")[:-1]
        yield from (start + "/".join(parts[:depth]) for depth in range(1, len(parts) + 1))


class S3File(io.RawIOBase):
    """An object, read by blocks as they are needed: a Parquet file's footer and columns are a small part of it."""

    def __init__(self, size: int, block: Callable[[int], bytes]) -> None:
        super().__init__()
        self._size, self._block, self._at = size, block, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Say where the next read begins."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, into: Any) -> int:
        """Read up to the end of a block."""
        wanted = min(len(into), self._size - self._at)
        if wanted <= 0:
            return 0
        number, skip = divmod(self._at, _BLOCK)
        piece = self._block(number)[skip : skip + wanted]
        into[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as many bytes as are asked for: who reads Parquet takes fewer for the end of the file."""
        left = self._size - self._at if size is None or size < 0 else min(size, self._size - self._at)
        pieces = []
        while left > 0:
            number, skip = divmod(self._at, _BLOCK)
            piece = self._block(number)[skip : skip + left]
            if not piece:
                break
            pieces.append(piece)
            self._at += len(piece)
            left -= len(piece)
        return b"".join(pieces)
