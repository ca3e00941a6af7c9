"""A path or URI as a file system and a path on it: local disk, or any object store that Airflow knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.redaction import hide_connection
from airflow_mlops.redaction.raised import raising_no_secrets
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.s3.address import s3_address
from airflow_mlops.stores.s3.client import known_connection
from airflow_mlops.stores.s3.files import S3Files

if TYPE_CHECKING:
    import pyarrow.fs as pafs


@dataclass(frozen=True)
class Location:
    """Where something is. `remote` is a file system as fsspec has them, of an object store; None for the local disk."""

    uri: str
    path: str
    remote: Any = None

    @property
    def arrow(self) -> pafs.FileSystem:
        """The file system as pyarrow takes it."""
        import pyarrow.fs as pafs

        return pafs.PyFileSystem(pafs.FSSpecHandler(self.remote)) if self.remote else pafs.LocalFileSystem()


def is_uri(path: str) -> bool:
    """Whether `path` names a place that is not a path of this machine.

    >>> is_uri("s3://bucket/flights"), is_uri("file:///data"), is_uri("data/flights")
    (True, False, False)
    """
    return "://" in path and not path.startswith("file://")


def locate(path: str, *, conn_id: str | None = None, field: str = "data.source.path") -> Location:
    """Find the file system of a path or URI.

    Parameters
    ----------
    path
        A local path, ``file://`` and a local path, or an object-store URI, which may carry the Airflow connection
        (``s3://aws_default@bucket/flights``).
    conn_id
        Airflow connection of the object store.
    field
        What a problem is reported against.

    Raises
    ------
    DataError
        If there is no file system for the URI, or its connection is missing.
    """
    if not is_uri(path):
        local = Path(path.removeprefix("file://")).expanduser().resolve()
        return Location(uri=f"file://{local.as_posix()}", path=local.as_posix())
    address = s3_address(path, conn_id=conn_id)
    if address is not None:
        known_connection(address.conn_id, field)
        place = f"{address.bucket}/{address.key}".rstrip("/")
        return Location(uri=address.uri(address.key), path=place, remote=S3Files(address, field))
    from airflow.sdk import ObjectStoragePath
    from airflow.sdk.exceptions import AirflowNotFoundException

    scheme = path.partition("://")[0]
    try:
        with raising_no_secrets():
            target = ObjectStoragePath(path.rstrip("/"), conn_id=conn_id)
            _hide_secrets_of(getattr(target, "conn_id", None))
            return Location(uri=str(target).rstrip("/"), path=target.path.rstrip("/"), remote=target.fs)
    except AirflowNotFoundException as error:
        name = conn_id or path.partition("://")[2].partition("@")[0]
        raise DataError(_unreachable(field, f"no Airflow connection '{name}'", "add the connection")) from error
    except (ImportError, ValueError) as error:
        hint = _PACKAGES.get(scheme, "install the Airflow provider of that object store, with its fsspec extra")
        raise DataError(_unreachable(field, f"no file system for '{scheme}://'", hint)) from error


def _hide_secrets_of(conn_id: str | None) -> None:
    """Let nobody say what the connection of an object store holds; which connection is missing is said by its use."""
    if not conn_id:
        return
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    with suppress(AirflowNotFoundException):
        hide_connection(BaseHook.get_connection(conn_id))


_PACKAGES = {
    "gs": "install apache-airflow-providers-google",
    "abfs": "install apache-airflow-providers-microsoft-azure",
}


def _unreachable(field: str, found: str, fix: str) -> Problem:
    return Problem(
        code=ReasonCode.SOURCE_UNREADABLE,
        field=field,
        found=found,
        allowed="a local path, or a URI of an object store whose Airflow provider is installed and connected",
        fix=fix,
    )


@dataclass(frozen=True)
class Listing:
    """What lies at or below a location."""

    files: tuple[str, ...]
    """Paths of files, sorted."""
    tables: Mapping[str, str]
    """Folders that are tables of a format with a log of its own, and the format's name."""


_LOGS = (
    (re.compile(r"^(.*)/_delta_log(/|$)"), "Delta"),
    (re.compile(r"^(.*)/\.hoodie(/|$)"), "Hudi"),
    (re.compile(r"^(.*)/metadata/([^/]*\.metadata\.json(\.gz)?|version-hint\.text)$"), "Iceberg"),
)


def list_files(location: Location) -> Listing:
    """List all files at or below a location; none if nothing is there.

    Names that begin with a dot or underscore are left out, as every tool that reads folders of tables does: they are
    half-written, or say something about the folder (``_SUCCESS``); unless they are a partition (``_day=1``).
    """
    import pyarrow.fs as pafs

    if location.remote:
        location.remote.invalidate_cache()
    arrow = location.arrow
    info = arrow.get_file_info(location.path)
    above = _tables_above(arrow, location.path, is_file=info.type == pafs.FileType.File)
    if info.type == pafs.FileType.File:
        return Listing((location.path,), above)
    if info.type != pafs.FileType.Directory:
        return Listing((), {})
    found = arrow.get_file_info(pafs.FileSelector(location.path, recursive=True))
    # Folders, too: a log without a file is a damaged one, and no reason to read what it once listed.
    tables = above | {match[1]: name for item in found for log, name in _LOGS if (match := log.match(item.path))}
    files = (item.path for item in found if item.type == pafs.FileType.File)
    return Listing(tuple(sorted(path for path in files if not _hidden(path[len(location.path) :]))), tables)


def _tables_above(arrow: pafs.FileSystem, path: str, *, is_file: bool) -> dict[str, str]:
    """Find the table that a file, or a folder of a partition, is part of."""
    import pyarrow.fs as pafs

    above: list[str] = []
    place, inside = path, is_file
    while inside or "=" in place.rpartition("/")[2]:
        place, inside = place.rpartition("/")[0], False
        above.append(place)
    logs = {
        f"{place}/{log}": (place, name)
        for place in above
        for log, name in (("_delta_log", "Delta"), (".hoodie", "Hudi"))
    }
    found = arrow.get_file_info(list(logs)) if logs else []
    return dict(logs[item.path] for item in found if item.type == pafs.FileType.Directory)


def _hidden(relative: str) -> bool:
    return any(is_hidden(part) for part in relative.split("/") if part)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no data."""
    return name.startswith((".", "_")) and "=" not in name
