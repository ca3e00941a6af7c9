"""A Delta table's files at one version, as its log has them: never the folder, which holds files that were replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.files.location import Location
from airflow_mlops.stores.files.part import raise_if_away
from airflow_mlops.stores.s3.files import S3Files

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as pafs


@dataclass(frozen=True, kw_only=True)
class DeltaFile:
    """One data file of a table."""

    path: str
    partition: Mapping[str, Any]
    ends: Mapping[str, pa.Array] = field(default_factory=dict)
    """First and last value by column, where the log has them."""


@dataclass(frozen=True, kw_only=True)
class DeltaFiles:
    """The data files of one version of a table."""

    version: int
    filesystem: pafs.FileSystem
    files: Sequence[DeltaFile]
    types: Mapping[str, pa.DataType]
    """Of the table, the columns of its folders included."""


def read_log(location: Location) -> DeltaFiles:
    """Read which files a Delta table consists of now.

    Raises
    ------
    DataError
        If the package `deltalake` is not installed, the log cannot be read, or the table has a feature (such as
        deletion vectors) that its data files alone do not tell.
    """
    if find_spec("deltalake") is None:
        raise _refused(location, "a Delta table, without the package that reads its log", "pip install deltalake")
    import pyarrow as pa
    import pyarrow.dataset as pads
    import pyarrow.fs as pafs
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, DeltaProtocolError

    try:
        options = _options(location)
        table = DeltaTable(_address(location), storage_options=options)
        dataset = table.to_pyarrow_dataset()
    except DeltaProtocolError as error:
        found = "a Delta table with a feature that its files alone do not tell, such as deletion vectors"
        raise _refused(location, found, "write it without them: REORG TABLE ... APPLY (PURGE)") from error
    except (DeltaError, OSError) as error:
        raise_if_away(error, location.uri)
        raise _refused(location, f"no readable log of a Delta table ({type(error).__name__})", "mend it") from error
    logged = pa.table(table.get_add_actions(flatten=True))
    ends = _ends(logged)
    files = [
        DeltaFile(
            path=fragment.path if location.remote else str(Path(location.path) / fragment.path),
            partition=pads.get_partition_keys(fragment.partition_expression),
            ends=ends.get(fragment.path, {}),
        )
        for fragment in dataset.get_fragments()
    ]
    return DeltaFiles(
        version=table.version(),
        filesystem=dataset.filesystem if location.remote else pafs.LocalFileSystem(),
        files=sorted(files, key=lambda file: file.path),
        types={column.name: column.type for column in dataset.schema},
    )


def _ends(logged: pa.Table) -> dict[str, dict[str, pa.Array]]:
    import pyarrow as pa

    columns = [name.removeprefix("min.") for name in logged.column_names if name.startswith("min.")]
    found: dict[str, dict[str, pa.Array]] = {path: {} for path in logged["path"].to_pylist()}
    for name in columns:
        low, high = logged[f"min.{name}"], logged[f"max.{name}"]
        if not pa.types.is_timestamp(low.type) and not pa.types.is_date(low.type):
            continue  # texts are cut in a log
        for place, path in enumerate(found):
            if low[place].is_valid and high[place].is_valid:
                found[path][name] = pa.array([low[place], high[place]], low.type)
    return found


def _address(location: Location) -> str:
    """The table's place as its package takes it: an address that names a connection of Airflow is none to it."""
    return f"{location.uri.partition('://')[0]}://{location.path}" if location.remote else location.path


def _options(location: Location) -> dict[str, str] | None:
    """What opens an object store, as the connection of Airflow says it; None: what the environment says."""
    remote = location.remote
    if remote is None:
        return None
    if isinstance(remote, S3Files):
        return remote.delta_options()
    client = getattr(remote, "client_kwargs", None) or {}
    known = {
        "AWS_ACCESS_KEY_ID": getattr(remote, "key", None),
        "AWS_SECRET_ACCESS_KEY": getattr(remote, "secret", None),
        "AWS_SESSION_TOKEN": getattr(remote, "token", None),
        "AWS_ENDPOINT_URL": client.get("endpoint_url") or getattr(remote, "endpoint_url", None),
        "AWS_REGION": client.get("region_name"),
    }
    options = {name: str(value) for name, value in known.items() if value}
    if str(options.get("AWS_ENDPOINT_URL", "")).startswith("http://"):
        options["AWS_ALLOW_HTTP"] = "true"
    return options or None


def _refused(location: Location, found: str, fix: str) -> DataError:
    return DataError(
        Problem(
            code=ReasonCode.SOURCE_UNREADABLE,
            field="data.source.path",
            found=f"{found}: {location.uri}",
            allowed="a Delta table that the package deltalake (the extra airflow-mlops[delta]) reads as plain files",
            fix=fix,
        )
    )
