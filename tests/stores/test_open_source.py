"""From a specification's source to a store, by Airflow's connections as a task has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.data import FileSource, SqlSource
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.open_source import connection_url, open_source

BOUNDED = "SELECT * FROM t WHERE at >= :window_start AND at < :window_end"


def connect(patch: pytest.MonkeyPatch, **connection: Any) -> None:
    patch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("data/flights/", "/srv", "files /srv/data/flights/"),
        ("/data/flights", "/srv", "files /data/flights"),
        ("file:///data/flights", "/srv", "files file:///data/flights"),
        ("s3://bucket/flights", "/srv", "files s3://bucket/flights"),
        ("flights", "s3://bucket/root/", "files s3://bucket/root/flights"),
    ],
)
def test_relative_paths_are_below_the_root(path: str, root: str, expected: str) -> None:
    assert open_source(FileSource(path=path), data_root=root).description == expected


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (
            {"conn_type": "postgres", "host": "db", "login": "u", "password": "p@ss/", "port": 5433, "schema": "d"},
            "postgresql+psycopg2://u:p%40ss%2F@db:5433/d",
        ),
        (
            {"conn_type": "postgres", "host": "db", "extra": {"sslmode": "require", "other": "x"}},
            "postgresql+psycopg2://db?sslmode=require",
        ),
        ({"conn_type": "sqlite", "host": "/srv/a.db"}, "sqlite:////srv/a.db"),
    ],
)
def test_a_connection_is_a_url_with_its_driver(
    monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any], expected: str
) -> None:
    connect(monkeypatch, **connection)
    assert connection_url("warehouse").render_as_string(hide_password=False) == expected


def test_a_connection_written_as_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "sqlite:////srv/a.db")
    assert str(connection_url("warehouse")) == "sqlite:////srv/a.db"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "postgresql://u:hunter2@db:5432/d")
    assert str(connection_url("warehouse")) == "postgresql+psycopg2://u:***@db:5432/d"


def test_the_other_driver_is_used_where_only_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, conn_type="postgres", host="db")
    from airflow_mlops.stores import open_source as module

    found = module.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "psycopg2" else found(name))
    assert connection_url("warehouse").drivername == "postgresql+psycopg"
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"without a driver; .*install one of psycopg2, psycopg"):
        connection_url("warehouse")


def test_a_missing_connection_is_named() -> None:
    with pytest.raises(DataError, match="no Airflow connection 'gone_db'") as caught:
        open_source(SqlSource(conn_id="gone_db", table="t"), data_root="/srv")
    assert caught.value.problems[0].code is ReasonCode.SOURCE_MISSING
    assert caught.value.problems[0].field == "data.source.conn_id"


def test_a_query_may_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    connect(monkeypatch, conn_type="sqlite", host=str(tmp_path / "a.db"))
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/t.sql").write_text(BOUNDED)
    source = SqlSource(conn_id="warehouse", query="sql/t.sql")
    assert open_source(source, data_root=str(tmp_path)).description == "query of connection warehouse"
    (tmp_path / "sql/t.sql").write_text("SELECT * FROM t")
    with pytest.raises(DataError, match="a query without :window_start and :window_end"):
        open_source(source, data_root=str(tmp_path))
    with pytest.raises(DataError, match=r"data\.source\.query: found no readable file .*/sql/none\.sql"):
        open_source(SqlSource(conn_id="warehouse", query="sql/none.sql"), data_root=str(tmp_path))


def test_a_connection_that_is_no_database_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, conn_type="http", host="web", login="u", password="hunter2")
    with pytest.raises(DataError) as caught:
        open_source(SqlSource(conn_id="warehouse", table="t"), data_root="/srv").schema()
    assert "hunter2" not in str(caught.value)
