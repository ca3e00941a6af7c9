"""Text files that are compressed: told by their first bytes, whatever the file is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_mlops.stores.files.part import unreadable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as pafs

_READ = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_BZIP2, _BLOCK = b"BZh", b"1AY&SY"
"""A bzip2 file: its mark, the size of its blocks as a digit, and the mark of its first block."""
_NOT_READ = {
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
}
"""First bytes of what is compressed otherwise: none of them begins a text that people write."""
OTHER_ENDINGS = (".xz", ".zip", ".lz4", ".snappy", ".7z", ".rar", ".lzma", ".z", ".br", ".tar", ".tgz")
COMPRESS_AGAIN = "write it without compression, or compress it as .gz, .bz2 or .zst"
_LONGEST = 10


def compression_of(filesystem: pafs.FileSystem, path: str) -> str | None:
    """Return how a file is compressed, as pyarrow names it; None when it is not.

    Raises
    ------
    DataError
        SOURCE_UNREADABLE, if it is compressed in a way that is not read.
    OSError
        If the file cannot be read.
    """
    with filesystem.open_input_stream(path, compression=None) as stream:
        first = bytes(stream.read(_LONGEST))
    for mark, name in _NOT_READ.items():
        if first.startswith(mark):
            raise unreadable(path, f"a file that is compressed as {name}", COMPRESS_AGAIN)
    if first.startswith(_BZIP2) and first[4:] == _BLOCK:
        return "bz2"
    return next((name for mark, name in _READ.items() if first.startswith(mark)), None)


def open_text(filesystem: pafs.FileSystem, path: str) -> pa.NativeFile:
    """Open a text file for reading from its beginning to its end, uncompressed."""
    return filesystem.open_input_stream(path, compression=compression_of(filesystem, path))
