"""Cheap marks of a source: while its mark stays the same, nothing has come that a sensor could wait for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.columns import missing_columns
from airflow_mlops.spec.data import FileSource, Source, SqlSource
from airflow_mlops.stores.files.location import is_hidden, locate
from airflow_mlops.stores.open_source import below, connection_url, query_text

_OF_OBJECTS = ("size", "ETag", "etag", "LastModified", "last_modified", "mtime", "updated", "md5")
"""What file systems of object stores call what changes with an object's content."""


def change_token(source: Source, *, data_root: str, window: Window, time: str, counted: Sequence[str] = ()) -> str:
    """Return a mark of a source's content.

    Of files: names, sizes and times of change, without opening one; the window does not matter. Of a database: how
    many rows the window holds, how many of them have a value in each of the `counted` columns, and their newest event
    time, in one query that an index on the event time serves (in SQLite, where times are text, of whole days around
    the window). A value that is replaced by another one does not change a database's mark.

    Raises
    ------
    DataError
        If a table, a column, or the database's file is missing.
    StoreUnavailableError
        If the database does not answer.
    OSError
        If files cannot be listed now.
    """
    if isinstance(source, FileSource):
        return file_change_token(below(source.path, data_root), conn_id=source.conn_id)
    return _digest(f"{place} {value}" for place, value in enumerate(_counts(source, data_root, window, time, counted)))


def file_change_token(path: str, *, conn_id: str | None = None) -> str:
    """Return a mark of the files at or below a path or URI: the same as long as no file came, went or changed.

    Names that begin with a dot or underscore do not count, as they do not when a folder is read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> with TemporaryDirectory() as folder:
    ...     empty = file_change_token(folder)
    ...     _ = (Path(folder) / "a.csv").write_text("t")
    ...     one = file_change_token(folder)
    ...     _ = (Path(folder) / "_half.csv").write_text("t")
    ...     empty == one, one == file_change_token(folder)
    (False, True)
    """
    place = locate(path, conn_id=conn_id)
    if not place.remote:
        return _digest(_local(place.path))
    place.remote.invalidate_cache()
    found = place.remote.find(place.path, detail=True)
    return _digest(
        f"{name} {[str(info[field]) for field in _OF_OBJECTS if info.get(field) is not None]}"
        for name, info in found.items()
    )


def count_at_least(source: SqlSource, *, data_root: str, window: Window, time: str, rows: int) -> bool:
    """Whether a database may hold so many rows in a window: of SQLite, rows of whole days around it are counted."""
    return bool(_counts(source, data_root, window, time, ())[0] >= rows)


def _local(path: str) -> Iterator[str]:
    """One line for each file, by names relative to the path, so that two machines with the same mount agree."""
    waiting = [(path, "")]
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - a Path for each of thousands of files costs more than its stat
            yield f"{os.path.basename(path)} {_facts(os.stat(path))}"  # noqa: PTH116, PTH119
            return
    except FileNotFoundError:
        return
    while waiting:
        folder, prefix = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_hidden(entry.name) and entry.name != "_delta_log":  # a commit changes nothing else
                        continue
                    name = f"{prefix}{entry.name}"
                    if entry.is_dir():
                        waiting.append((entry.path, f"{name}/"))
                    else:
                        yield f"{name} {_facts_of(entry)}"
        except FileNotFoundError:  # removed between being listed and being opened: the next look sees it gone
            continue


def _facts_of(entry: os.DirEntry[str]) -> str:
    """What changes with a file; of one that went meanwhile, or of a link to nothing, that it is gone."""
    try:
        return _facts(entry.stat())
    except FileNotFoundError:
        return "gone"


def _facts(found: os.stat_result) -> str:
    return f"{found.st_size} {found.st_mtime_ns}"


def _counts(source: SqlSource, data_root: str, window: Window, time: str, counted: Sequence[str]) -> tuple[Any, ...]:
    """Rows in the window, values in each counted column, newest event time."""
    import sqlalchemy as sa

    from airflow_mlops.stores.sql.engine import make_engine, reading
    from airflow_mlops.stores.sql.query import checked_query
    from airflow_mlops.stores.sql.relation import Relation

    subject = f"{f'table {source.table}' if source.table else 'query'} of connection {source.conn_id}, window {window}"
    query = None if source.query is None else checked_query(query_text(source.query, data_root))
    relation = Relation(make_engine(connection_url(source.conn_id), subject), source.table, query, subject)
    names = list(dict.fromkeys([time, *counted]))
    problems = missing_columns({name: f"column {name}" for name in names} | {time: "data.time"}, relation.types)
    if problems:
        raise DataError(problems, subject=subject)
    statement, binds = relation.select(window, time, names, ordered=False)
    inner = statement.columns(*map(sa.column, names)) if isinstance(statement, sa.TextClause) else statement
    rows = inner.subquery("seen")
    asked = [sa.func.count(), *(sa.func.count(rows.c[name]) for name in counted), sa.func.max(rows.c[time])]
    with reading(relation.engine, subject) as connection:
        return tuple(connection.execute(sa.select(*asked).select_from(rows), binds).one())


def _digest(lines: Iterable[str]) -> str:
    found = blake2b(digest_size=16)
    for line in sorted(lines):
        found.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return found.hexdigest()
