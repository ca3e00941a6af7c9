"""DataValidationOperator alone: any file, function or table, in a DAG without a model."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.operators import DataValidationOperator
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.validation import Expectation

SENTINEL = "do-not-tell"


def orders() -> pd.DataFrame:
    times = pd.date_range("2013-02-01", periods=50, freq="D", tz="UTC")
    return pd.DataFrame({"at": times, "id": range(50), "city": [SENTINEL] * 2 + ["Paris"] * 48})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__MLOPS__STORAGE", str(tmp_path / "mlops"))
    monkeypatch.setenv("AIRFLOW__MLOPS__DATA_ROOT", str(tmp_path))
    return tmp_path


def run(**arguments: Any) -> dict[str, Any]:
    operator = DataValidationOperator(task_id="check", **arguments)
    report = operator.execute({})
    assert operator.report_url
    assert report is not None
    return report


def page(home: Path) -> str:
    (written,) = (home / "mlops" / "reports").rglob("*.html")
    return written.read_text()


def test_a_function_passes_and_leaves_a_page(home: Path) -> None:
    report = run(frame=orders, expectations=[{"expect": "unique", "column": "id"}])
    assert report["passed"]
    assert report["subject"] == "orders()"
    assert report["report_uri"].endswith("check.html")
    json.dumps(report, allow_nan=False)
    assert "The data is fit to be used" in page(home)


def test_bad_rows_fail_without_retry_after_the_page_is_written(home: Path) -> None:
    asked = Expectation.model_validate({"expect": "in_set", "column": "city", "values": ["Paris"]})
    with pytest.raises(AirflowFailException, match=r"2 of 50 values \(4 %\) are not in the set") as caught:
        run(frame=orders, expectations=[asked])
    html = page(home)
    assert "The data is not fit to be used: 1 error" in html
    assert SENTINEL not in html + str(caught.value)


@pytest.mark.parametrize(("fail_on", "severity", "fails"), [("warning", "warning", True), ("never", "error", False)])
def test_fail_on(fail_on: Any, severity: str, fails: bool) -> None:
    arguments: dict[str, Any] = {
        "frame": orders,
        "expectations": [{"expect": "row_count", "min": 99, "severity": severity}],
        "fail_on": fail_on,
    }
    if fails:
        with pytest.raises(AirflowFailException, match="99 rows"):
            run(**arguments)
    else:
        assert not run(**arguments)["passed"]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_file_whole_or_by_window(home: Path, ending: str) -> None:
    path = home / f"orders.{ending}"
    orders().to_parquet(path) if ending == "parquet" else orders().to_csv(path, index=False)
    exactly: Any = [{"expect": "row_count", "min": 50, "max": 50}]
    assert run(source=str(path), expectations=exactly)["rows"] == 50
    assert run(source={"path": f"orders.{ending}"}, time="at", expectations=exactly)["passed"]
    part = run(source=str(path), time="at", window=["2013-02-01", "2013-02-08"], fail_on="never")
    assert part["rows"] == 7


def test_a_table_whole_or_by_window(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(home / "shop.db")) as shop:
        shop.execute("create table orders (at timestamp, id integer, city text)")
        rows = [(at.isoformat(), number, city) for at, number, city in orders().itertuples(index=False)]
        shop.executemany("insert into orders values (?, ?, ?)", [*rows, (None, 50, "Paris")])
        shop.commit()
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": str(home / "shop.db")}))
    table = {"conn_id": "shop", "table": "orders"}
    whole = run(source=table, time="at", expectations=[{"expect": "not_null", "column": "at"}], fail_on="never")
    assert whole["rows"] == 51
    (failed,) = [check for check in whole["checks"] if not check["passed"]]
    assert "1 of 51 values" in failed["problem"]["found"]
    assert run(source=table, time="at", window=["2013-02-01", "2013-02-08"])["rows"] == 7
    assert run(source=table, expectations=[{"expect": "unique", "column": "id"}])["passed"]
    query = {"conn_id": "shop", "query": "select * from orders where at >= :window_start and at < :window_end"}
    assert run(source=query, time="at", window=["2013-02-01", "2013-02-08"])["rows"] == 7
    with pytest.raises(AirflowFailException, match="no window"):
        run(source=query)


def test_freshness_against_a_given_time(home: Path) -> None:
    orders().to_parquet(home / "orders.parquet")
    fresh: dict[str, Any] = {
        "source": "orders.parquet",
        "time": "at",
        "expectations": [{"expect": "freshness", "max_age": "2d"}],
    }
    assert run(**fresh, at="2013-03-23T00:00:00")["passed"]
    with pytest.raises(AirflowFailException, match="older than as-of"):
        run(**fresh, at="2013-03-25")


def test_a_time_column_that_is_missing_is_said_by_the_validation(home: Path) -> None:
    orders().rename(columns={"at": "At"}).to_parquet(home / "orders.parquet")
    with pytest.raises(AirflowFailException, match="no column 'at', but 'At'"):
        run(source="orders.parquet", time="at")


def test_a_missing_file_is_one_clear_failure() -> None:
    with pytest.raises(AirflowFailException, match="nowhere"):
        run(source="nowhere.parquet")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "exactly one of"),
        ({"source": "a", "frame": orders}, "exactly one of"),
        ({"frame": orders, "fail_on": "perhaps"}, "fail_on"),
        ({"frame": orders, "window": ["2013-01-01", "2013-02-01"]}, "window"),
    ],
)
def test_arguments_are_checked_when_the_task_runs(arguments: dict[str, Any], said: str) -> None:
    operator = DataValidationOperator(task_id="check", **arguments)
    with pytest.raises(ValueError, match=said):
        operator.execute({})


def test_a_function_by_import_path_and_one_that_returns_something_else() -> None:
    with pytest.raises(TypeError, match="must return a pandas DataFrame"):
        run(frame="time.time")
    with pytest.raises(AirflowFailException, match=r"frame: found 'no\.such\.function'"):
        run(frame="no.such.function")


def test_a_store_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> pd.DataFrame:
        raise StoreUnavailableError(
            Problem(code=ReasonCode.STORE_UNAVAILABLE, field="f", found="none", allowed="one", fix="wait")
        )

    with pytest.raises(StoreUnavailableError):
        run(frame=away)


def test_it_can_be_mapped_and_templated_in_a_dag_without_a_model() -> None:
    with DAG("checks", schedule=None):
        mapped = DataValidationOperator.partial(task_id="check", expectations=[]).expand(source=["a.csv", "b.csv"])
    assert mapped.operator_class is DataValidationOperator
    assert {"snapshot", "source", "at"} <= set(DataValidationOperator.template_fields)
