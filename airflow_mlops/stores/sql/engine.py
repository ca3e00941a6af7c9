"""A connection for reading, and a database's failures as sentences without secrets or values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlops.core.errors import DataError, StoreUnavailableError
from airflow_mlops.redaction import hide_login, redact
from airflow_mlops.redaction.raised import raising_no_secrets
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import sqlalchemy as sa


_TIMEOUTS: Mapping[str, Mapping[str, int]] = {
    # A peer that vanishes in the middle of an answer is noticed within a minute or so; a query may take as long as it
    # takes, and the task's execution.timeout ends it.
    "postgresql": {
        "connect_timeout": 10,
        "keepalives": 1,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    },
    "mysql": {"connect_timeout": 10},
}
"""By backend, in seconds, as its drivers name them."""


def make_engine(url: str | sa.URL, subject: str) -> sa.Engine:
    """Return an engine that keeps no connection between reads and shows no parameters in its errors.

    Raises
    ------
    DataError
        If the URL is none, or its driver is not installed.
    """
    import sqlalchemy as sa

    try:
        parsed = sa.make_url(url)
        hide_login(parsed.username, str(parsed.password or ""))
        timeouts = _TIMEOUTS.get(parsed.get_backend_name(), {})
        return sa.create_engine(parsed, poolclass=sa.NullPool, hide_parameters=True, connect_args=dict(timeouts))
    except (sa.exc.ArgumentError, ImportError) as error:
        # make_url's message quotes the URL, with its password.
        found = "a connection that is no database URL" if _is_url_error(error) else f"no driver: {error}"
        raise DataError(
            Problem(
                code=ReasonCode.SOURCE_UNREADABLE,
                field="data.source.conn_id",
                found=found,
                allowed="a connection to a database whose SQLAlchemy driver is installed",
                fix="check the connection's type, or install the driver",
            ),
            subject=subject,
        ) from None


def _is_url_error(error: Exception) -> bool:
    import sqlalchemy as sa

    return isinstance(error, sa.exc.ArgumentError) and not isinstance(error, sa.exc.NoSuchModuleError)


@contextmanager
def reading(engine: sa.Engine, subject: str) -> Iterator[sa.Connection]:
    """Connect for reading: PostgreSQL in a read-only transaction, with UTC as the zone of times without one.

    Raises
    ------
    StoreUnavailableError
        If the database does not answer.
    DataError
        If a statement fails; the message names the source and window.
    """
    with raising_no_secrets(), _answering(engine, subject) as connection:
        yield connection


@contextmanager
def _answering(engine: sa.Engine, subject: str) -> Iterator[sa.Connection]:
    import sqlalchemy as sa

    _require_file(engine, subject)
    connected = False
    try:
        with engine.connect() as connection:
            connected = True
            if engine.dialect.name == "postgresql":
                connection.execution_options(postgresql_readonly=True)
                connection.execute(sa.text("SET TIME ZONE 'UTC'"))
            yield connection
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated or not connected:
            raise StoreUnavailableError(
                Problem(
                    code=ReasonCode.STORE_UNAVAILABLE,
                    field="data.source.conn_id",
                    found=f"no answer from the database: {_said(error)}",
                    allowed="a database that answers",
                    fix="check that it is up, and the connection's host, port, user and password",
                ),
                subject=subject,
            ) from None
        raise query_failed(f"the database refused it: {_said(error)}", subject) from None
    except sa.exc.SQLAlchemyError as error:
        raise query_failed(f"it cannot be run: {type(error).__name__}", subject) from error


def query_failed(found: str, subject: str) -> DataError:
    """Return the error for a query or table read that fails."""
    return DataError(
        Problem(
            code=ReasonCode.QUERY_FAILED,
            field="data.source",
            found=found,
            allowed="SQL that this database runs",
            fix="run it there by hand with the same window, and mend it",
        ),
        subject=subject,
    )


def _said(error: sa.exc.DBAPIError) -> str:
    """The database's own words, unless they are about a value: those would carry it into logs."""
    import sqlalchemy as sa

    name = type(error.orig).__name__
    if isinstance(error, sa.exc.DataError | sa.exc.IntegrityError):
        state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
        return f"{name} (SQLSTATE {state})" if state else name
    lines = str(error.orig).strip().splitlines()
    return redact(lines[0] if lines else name)


def _require_file(engine: sa.Engine, subject: str) -> None:
    """Refuse a missing SQLite file: connecting would make an empty one."""
    database = engine.url.database
    if engine.dialect.name != "sqlite" or database in (None, "", ":memory:") or str(database).startswith("file:"):
        return
    if not Path(str(database)).is_file():
        raise DataError(
            Problem(
                code=ReasonCode.SOURCE_MISSING,
                field="data.source.conn_id",
                found=f"no SQLite file {database}",
                allowed="a database that exists",
                fix="check the connection's host, which is the file's path",
            ),
            subject=subject,
        )
