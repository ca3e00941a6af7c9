"""From the specification's source to a store of rows: Airflow's connections are looked up here."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.ports import DataStore
from airflow_mlops.platform_rules import platform_rules
from airflow_mlops.redaction import hide_connection
from airflow_mlops.spec.data import FileSource, LabelSpec, Source
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.sql_names import query_problems, table_problems
from airflow_mlops.stores.deduplicated import DeduplicatedStore
from airflow_mlops.stores.event_times import TimeRules
from airflow_mlops.stores.files.formats import options_of
from airflow_mlops.stores.files.location import is_uri
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.joined_labels import JoinedLabels, LabelSource
from airflow_mlops.stores.sql.store import SqlStore

if TYPE_CHECKING:
    import sqlalchemy as sa

_DRIVERS = {
    # Bare `postgresql://` means another driver in SQLAlchemy 2.1 than in 2.0, so the driver is always written.
    "postgres": ("postgresql", ("psycopg2", "psycopg")),
    "postgresql": ("postgresql", ("psycopg2", "psycopg")),
    "mysql": ("mysql", ("MySQLdb", "pymysql")),
    "mssql": ("mssql", ("pyodbc", "pymssql")),
}
_DRIVER_NAMES = {"MySQLdb": "mysqldb"}
_OPTIONS = ("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "options", "application_name", "charset", "driver")


def open_rows(spec: ModelSpec, *, data_root: str) -> DataStore:
    """Open the rows of a model, as its whole specification says that they are read. Nothing is read yet.

    Parts of the key are text in files whose types are guessed, and of rows with one key those are read that
    `data.duplicates` says. Labels of a source of their own are joined.

    Raises
    ------
    DataError
        As :func:`open_source`.
    """
    data, features = spec.data, spec.features
    named = {data.time, data.label, data.weight, *data.key, *features.numeric, *features.categorical}
    store: DataStore = open_source(
        data.source,
        data_root=data_root,
        text=tuple(name for name in data.key if name not in {data.time, *features.numeric}),
        keep=tuple(name for name in named if name is not None),
    )
    if data.duplicates != "refuse":
        store = DeduplicatedStore(store, data.key, data.duplicates)
    return store if data.labels is None else _with_labels(store, spec, data.labels, data_root)


def _with_labels(store: DataStore, spec: ModelSpec, labels: LabelSpec, data_root: str) -> JoinedLabels:
    """Join labels to rows; parts of the key are read as they are of the rows."""
    key = labels.key or spec.data.key
    texts = tuple(
        theirs
        for own, theirs in zip(spec.data.key, key, strict=True)
        if own not in {spec.data.time, *spec.features.numeric}
    )
    source = open_source(labels.source, data_root=data_root, text=texts, keep=(*key, labels.time, spec.data.label))
    return JoinedLabels(
        store, LabelSource(store=source, label=spec.data.label, key=key, time=labels.time), spec.data.key
    )


def open_source(
    source: Source, *, data_root: str, text: Collection[str] = (), keep: Collection[str] = ()
) -> FileStore | SqlStore:
    """Open a source of rows. Nothing of it is read yet.

    Parameters
    ----------
    source
        ``spec.data.source``.
    data_root
        Folder, or object-store URI, that relative paths (of files, and of ``.sql`` files) are below.
    text, keep
        As :class:`~airflow_mlops.stores.files.store.FileStore`.

    Raises
    ------
    DataError
        If the connection or the ``.sql`` file is missing, the driver is not installed, the query is not bounded by
        the window, or a table lies in a schema that the platform does not allow.

    Examples
    --------
    >>> open_source(FileSource(path="data/flights"), data_root="/srv").description
    'files /srv/data/flights'
    """
    if isinstance(source, FileSource):
        return FileStore(below(source.path, data_root), text=text, keep=keep, **options_of(source))
    query = None if source.query is None else query_text(source.query, data_root)
    _require_schemas(source.table, query)
    url = connection_url(source.conn_id)
    return SqlStore(
        url, table=source.table, query=query, name=f"connection {source.conn_id}", rules=TimeRules.of(source)
    )


def _require_schemas(table: str | None, query: str | None) -> None:
    """Hold what is read to `[mlops] allowed_schemas`: the text of a .sql file was not looked at before."""
    schemas = platform_rules().schemas
    if not schemas:
        return
    problems = [*(table_problems(table, schemas) if table else ()), *(query_problems(query, schemas) if query else ())]
    if problems:
        raise DataError(problems)


def connection_url(conn_id: str) -> sa.URL:
    """Return the SQLAlchemy URL of an Airflow connection. It carries the password: never print it unmasked.

    Raises
    ------
    DataError
        If there is no such connection, or it is no database.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise _refuse(
            ReasonCode.SOURCE_MISSING,
            f"no Airflow connection '{conn_id}'",
            "add it under Admin, Connections, or as AIRFLOW_CONN_" + conn_id.upper(),
        ) from None
    return _url(connection, conn_id)


def _url(connection: Any, conn_id: str) -> sa.URL:
    import sqlalchemy as sa

    hide_connection(connection)
    kind = str(connection.conn_type or "").replace("-", "_")
    if kind == "sqlite":
        # The form's host is the file; `sqlite:////srv/a.db` in an environment variable arrives as the schema.
        return sa.URL.create("sqlite", database=connection.host or connection.schema)
    if kind not in _DRIVERS:
        try:
            return sa.make_url(connection.get_uri())
        except sa.exc.ArgumentError:
            raise _refuse(
                ReasonCode.SOURCE_UNREADABLE,
                f"connection '{conn_id}' of type '{kind}'",
                "use a connection of type postgres, mysql, mssql or sqlite, or one whose URI SQLAlchemy takes",
            ) from None
    dialect, modules = _DRIVERS[kind]
    module = next((name for name in modules if find_spec(name) is not None), None)
    if module is None:
        raise _refuse(
            ReasonCode.SOURCE_UNREADABLE,
            f"connection '{conn_id}' of type '{kind}', without a driver",
            f"install one of {', '.join(modules)}",
        )
    extra = connection.extra_dejson
    return sa.URL.create(
        f"{dialect}+{_DRIVER_NAMES.get(module, module)}",
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host or None,
        port=connection.port,
        database=connection.schema or None,
        query={name: str(extra[name]) for name in _OPTIONS if extra.get(name)},
    )


def below(path: str, root: str) -> str:
    """Return a path or URI, below the root if it is relative."""
    if is_uri(path) or path.startswith("file://") or Path(path).expanduser().is_absolute():
        return path
    return f"{root.rstrip('/')}/{path}"


def query_text(query: str, root: str) -> str:
    """Return the query itself, or the text of the `.sql` file that it names."""
    if not query.strip().endswith(".sql") or len(query.split()) > 1:
        return query
    path = Path(below(query.strip(), root)).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise _refuse(
            ReasonCode.SOURCE_MISSING, f"no readable file {path}", "check the path, or write the query here", "query"
        ) from None


def _refuse(code: ReasonCode, found: str, fix: str, field: str = "conn_id") -> DataError:
    return DataError(
        Problem(
            code=code,
            field=f"data.source.{field}",
            found=found,
            allowed="an Airflow connection to a database" if field == "conn_id" else "SQL, or the path of a .sql file",
            fix=fix,
        )
    )
