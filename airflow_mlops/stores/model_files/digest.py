"""The SHA-256 of a stored model: every byte of every file of its folder, and where it stands."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def digest_folder(folder: Path) -> str:
    """Return the digest of a model's folder, hexadecimal: of the names, lengths and bytes of all files below it.

    Every file counts, also one that nothing names: a compiled module beside the steps that a model brings along would
    be imported in their place. Order and times of the files do not count, and empty folders do not: an artifact store
    keeps none. A file is read in pieces, at the speed of SHA-256 (about 1.5 GB a second on one core).

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> before = digest_folder(folder)
    >>> _ = (folder / "model.skops").write_bytes(b"weights")
    >>> len(before), before == digest_folder(folder)
    (64, False)
    """
    files = sorted((file.relative_to(folder).as_posix(), file) for file in folder.rglob("*") if file.is_file())
    listed = [(name, *_length_and_digest(file)) for name, file in files]
    return hashlib.sha256(json.dumps(["airflow_mlops model 1", listed]).encode()).hexdigest()


def _length_and_digest(file: Path) -> tuple[int, str]:
    with file.open("rb") as stream:
        return file.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()
