"""`airflow mlops advise` as a user types it: by file and by name, a table, JSON, and refusals."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_mlops.cli import get_cli_commands
from airflow_mlops.cli.advise import advise
from airflow_mlops.cli.history import history
from airflow_mlops.spec import ModelSpec
from tests.support.drifting_stream import specification as of_stream
from tests.support.drifting_stream import stream
from tests.support.loop import rows, run_loop, specification

TREE = {"estimator": "sklearn.tree.DecisionTreeClassifier", "calibration": "never"}
SPAN = ("--from", "2026-03-20", "--to", "2026-04-01", "--workers", "1")


def parsed(*words: str) -> argparse.Namespace:
    """Options as Airflow's command line would hand them over."""
    command: Any = next(c for c in get_cli_commands()[0].subcommands if c.name == "advise")  # type: ignore[union-attr]
    parser = argparse.ArgumentParser()
    for arg in command.args:
        arg.add_to_parser(parser)
    return parser.parse_args(list(words))


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__MLOPS__STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("AIRFLOW__MLOPS__DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    stream(days=90, turn=None).to_parquet(tmp_path / "orders.parquet")
    file = tmp_path / "orders.yaml"
    file.write_text(yaml.safe_dump(of_stream(training=TREE).model_dump(mode="json", exclude_unset=True)))
    return file


@pytest.mark.slow
def test_it_prints_the_table_and_what_follows(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in spec.parent.iterdir())
    advise(parsed(str(spec), *SPAN))
    out, err = capsys.readouterr()
    assert out.startswith("orders: a first model at 2 steps, 2026-03-20 to 2026-04-01, 12 days apart\n")
    for title in ("as it is", "calibrated probabilities", "a simpler estimator", "another metric", "a longer window"):
        assert f"\n{title} " in out
    assert "\nWrite training: {calibration: always}: calibrated probabilities, accepted at 2 of 2" in out
    assert "advice.json" in err
    assert sorted(path.name for path in spec.parent.iterdir()) == sorted([*before, "storage"])
    assert [path.name for path in (spec.parent / "storage").iterdir()] == ["backtests"]  # nothing else was written

    advise(parsed(str(spec), *SPAN, "-o", "json"))
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["recommended"], told["sure"]) == ("AdviceReport", "calibrate", True)
    advise(parsed(str(spec), *SPAN, "--json"))
    assert json.loads(capsys.readouterr().out) == told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "soon", "--every", "x"), ["--from: found 'soon'", "--every: found 'x'"]),
        (("--from", "2027-01-01"), ["--from: found 2027-01-01"]),
        (("--every", "0d"), ["--every: found 0s"]),
    ],
)
def test_what_is_refused_is_said_in_one_sentence_each(
    spec: Path, words: tuple[str, ...], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        advise(parsed(str(spec), *words))
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (1, "")
    assert "Traceback" not in err
    assert all(sentence in err for sentence in said), err


def test_a_file_that_is_not_there_is_one_sentence(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        advise(parsed(str(spec.with_name("none.yaml"))))
    assert "none.yaml" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_by_name_it_goes_by_what_the_newest_version_was_trained_by(
    loop_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    rows(2500).to_parquet(loop_home / "orders.parquet")
    name = f"orders_{abs(hash(str(loop_home))) % 10**9}"
    spec = ModelSpec.model_validate(specification("orders.parquet", name=name, training=TREE))
    run = run_loop(spec)
    assert run.reports["gate"]["verdict"] == "reject"
    assert "the evidence points to calibrated probabilities" in run.reports["promote"]["reasons"][0]
    assert f"airflow mlops advise {name}" in run.skipped
    capsys.readouterr()
    history(argparse.Namespace(model=name, file=None, verify=False, json_lines=False, conn_id="mlflow_default"))
    assert "not beaten; the evidence points to calibrated probabilities" in capsys.readouterr().out
    advise(parsed(name, "--workers", "1"))
    out, _ = capsys.readouterr()
    assert out.startswith(f"{name}: a first model at 1 step, ")
    assert "training: {calibration: always}" in out
    with pytest.raises(SystemExit):
        advise(parsed("nobody"))
    assert "of which the loop has registered no version" in capsys.readouterr().err
