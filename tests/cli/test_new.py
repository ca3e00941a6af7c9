"""`airflow mlops new NAME --from SOURCE`, and what it leads to: the file, what is printed, what is asked."""

import io
import sqlite3
from pathlib import Path

import pytest

from airflow_mlops.cli.new import source_of
from airflow_mlops.spec import load_spec
from airflow_mlops.spec.data import SqlSource
from tests.cli.test_validate import run
from tests.support import tables


@pytest.fixture
def churn(tmp_path: Path) -> Path:
    return tables.write(tables.churn(1500), tmp_path / "churn.csv")


def test_a_specification_is_proposed_said_and_holds_against_its_data(
    churn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "churn.yaml"
    run("new", "churn", "--from", str(churn), "-o", str(file))
    told = capsys.readouterr().out
    spec = load_spec(file)
    assert (spec.data.time, spec.data.key, spec.data.label) == ("signup_time", ("customer_id",), "churned")
    assert "left out  refund (knows the label" in told
    assert "a first model would be accepted: log loss" in told
    assert told.splitlines()[-3].endswith(f"airflow mlops validate {file} --against-data")
    assert told.splitlines()[-1].endswith(
        """airflow dags trigger churn.train --conf '{"as_of": "2024-04-30T00:00:00Z"}'"""
    )
    run("validate", str(file), "--against-data")
    held = capsys.readouterr().out
    assert held.startswith(f"{file}: ok (churn, ")
    for line in ("numeric     usage", "categorical plan", "left out    refund (features.exclude)", "would accept"):
        assert line in held


def test_a_table_of_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "shops.db"
    with sqlite3.connect(database) as connection:
        frame = tables.panel(36, 40)
        frame["wave"] = frame["wave"].dt.strftime("%Y-%m-%d %H:%M:%S")
        frame.to_sql("shops", connection, index=False)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", f"sqlite:///{database}")
    file = tmp_path / "sales.yaml"
    run("new", "sales", "--from", "shop_db:shops", "-o", str(file))
    spec = load_spec(file)
    assert spec.data.source == SqlSource.model_validate({"conn_id": "shop_db", "table": "shops"})
    assert (spec.data.time, spec.data.key, spec.data.label) == ("wave", ("shop_id", "wave"), "sales")


def test_answers_replace_what_was_found(
    churn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n\nplan\n"))
    file = tmp_path / "plan.yaml"
    run("new", "plan", "--from", str(churn), "--interactive", "-o", str(file))
    assert load_spec(file).data.label == "plan"
    assert "event-time column [signup_time]" in capsys.readouterr().err


def test_a_source_that_is_not_there_is_one_sentence_and_no_file(tmp_path: Path) -> None:
    file = tmp_path / "churn.yaml"
    with pytest.raises(SystemExit, match="nowhere.csv") as caught:
        run("new", "churn", "--from", str(tmp_path / "nowhere.csv"), "-o", str(file))
    assert "Traceback" not in str(caught.value)
    assert not file.exists()


def test_a_label_that_was_guessed_is_said_with_what_says_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = tables.hourly(60)
    frame["billed_amount"] = frame["load"].round() + frame["temp"]
    path, file = tables.write(frame, tmp_path / "two amounts.csv"), tmp_path / "demand.yaml"
    run("new", "demand", "--from", str(path), "-o", str(file))
    told = capsys.readouterr().out
    assert "A GUESS: named as an amount; also possible: load" in told
    assert "A GUESS, look at it: named as an amount" in file.read_text()
    assert f"rm {file}, then airflow mlops new demand --from '{path}' -o {file} --label COLUMN" in told
    with pytest.raises(SystemExit, match=f"exists already; to write it anew take it away first .rm {file}."):
        run("new", "demand", "--from", str(path), "-o", str(file), "--label", "load")
    file.unlink()
    run("new", "demand", "--from", str(path), "-o", str(file), "--label", "load")
    assert load_spec(file).data.label == "load"
    assert "where a guess is wrong" not in capsys.readouterr().out


def test_a_path_is_written_as_it_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_of("data/orders.csv", "/elsewhere") == {"path": str(tmp_path / "data/orders.csv")}
    assert source_of("data/orders.csv", str(tmp_path)) == {"path": "data/orders.csv"}


def test_validate_against_data_fails_with_the_sentence_of_training(
    churn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(
        f"name: churn\nowner: o\ndata:\n  source: {{path: {churn}}}\n"
        "  time: signup_time\n  key: customer_id\n  label: churned\ngate: {holdout: 30d}\n"
        "training: {estimator: sklearn.linear_model.LogisticRegression, parameters: {solver: no_such}}\n"
    )
    run("validate", str(file))
    assert "ok (churn" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run("validate", str(file), "--against-data", "--as-of", "2024-04-01")
    told = capsys.readouterr().out
    assert told.startswith(f"{file}: 1 problem\n")
    assert "no_such" in told
    assert "as of       2024-04-01" in told
