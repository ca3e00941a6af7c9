"""`airflow mlops validate`, `schema` and `new`, through Airflow's own parser objects."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from airflow.cli.cli_config import GroupCommand

from airflow_mlops.cli import get_cli_commands
from airflow_mlops.spec import load_spec
from airflow_mlops.spec.schema import json_schema, render_markdown
from tests.support.loop import rows, specification

BROKEN = Path(__file__).parents[1] / "spec" / "broken"


def run(*words: str) -> None:
    """Parse and run words as `airflow` does: from the group, its commands and their arguments."""
    (group,) = get_cli_commands()
    assert isinstance(group, GroupCommand)
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    for command in group.subcommands:
        one = commands.add_parser(command.name, help=command.help)
        one.set_defaults(func=command.func)
        for argument in command.args:
            argument.add_to_parser(one)
    args = parser.parse_args(words)
    args.func(args)


def test_the_group() -> None:
    (group,) = get_cli_commands()
    assert isinstance(group, GroupCommand)
    assert group.name == "mlops"
    assert [command.name for command in group.subcommands][:3] == ["validate", "schema", "new"]


def test_the_commands_are_light_to_import() -> None:
    script = (
        "import airflow.cli.cli_config, sys, airflow_mlops; before = set(sys.modules); "
        "from airflow_mlops.cli import get_cli_commands; get_cli_commands(); print(sorted(set(sys.modules) - before))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.strip().splitlines()[-1] == "['airflow_mlops.cli']"


def test_new_then_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "churn.yaml"
    run("new", "churn", "--owner", "growth: team", "-o", str(file))
    assert load_spec(file).owner == "growth: team"
    assert len(file.read_text().splitlines()) == 12
    run("validate", str(file), str(tmp_path))
    assert capsys.readouterr().out.splitlines()[1:] == [f"{file}: ok (churn, {load_spec(file).fingerprint[:12]})"] * 2


def test_new_writes_beside_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("new", "churn")
    assert load_spec("churn.yaml").name == "churn"


def test_new_replaces_nothing(tmp_path: Path) -> None:
    file = tmp_path / "churn.yaml"
    file.write_text("mine")
    with pytest.raises(SystemExit, match="exists already"):
        run("new", "churn", "-o", str(file))
    assert file.read_text() == "mine"


def test_new_with_a_wrong_name_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    with pytest.raises(SystemExit, match="write it like my_churn"):
        run("new", "My-Churn", "-o", str(file))
    assert not file.exists()


def test_new_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="cannot be written"):
        run("new", "churn", "-o", str(tmp_path / "none" / "churn.yaml"))


def test_validate_says_every_problem_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("validate", str(BROKEN / "several.yaml"), str(BROKEN / "unknown_metric.yaml"))
    assert caught.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{BROKEN / 'several.yaml'}: 12 problems"
    assert lines[13] == f"{BROKEN / 'unknown_metric.yaml'}: 1 problem"
    assert lines[14].startswith("  unknown_metric.yaml:10: gate.primary: found 'log_los'")


def test_validate_says_of_two_files_that_they_share_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, more in (("alpha", {}), ("beta", {"promotion": {"registered_model": "alpha"}})):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(specification("x.parquet", name=name, **more)))
    with pytest.raises(SystemExit):
        run("validate", str(tmp_path))
    said = capsys.readouterr().out
    assert "alpha.yaml: ok" in said
    assert "beta.yaml: 1 problem" in said
    assert "the registered model of specification 'alpha'" in said
    run("validate", str(tmp_path / "beta.yaml"))  # alone it is right
    assert "beta.yaml: ok" in capsys.readouterr().out


def test_validate_an_empty_folder_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("validate", str(tmp_path))
    assert caught.value.code == 1
    assert "no .yaml file" in capsys.readouterr().err


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    run("schema")
    assert json.loads(capsys.readouterr().out) == json_schema()
    run("schema", "--markdown")
    assert capsys.readouterr().out == render_markdown()


# -- against data ------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__MLOPS__DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__MLOPS__STORAGE", str(tmp_path / "storage"))
    rows(1200).to_parquet(tmp_path / "orders.parquet")
    return tmp_path


def checked(home: Path, capsys: pytest.CaptureFixture[str], **changes: Any) -> tuple[str, bool]:
    """What is printed of a specification, and whether it is fine."""
    body = specification("orders.parquet")
    for part, values in changes.items():
        body[part] = {**body.get(part, {}), **values}
    file = home / "orders.yaml"
    file.write_text(yaml.safe_dump(body))
    try:
        run("validate", str(file), "--against-data")
    except SystemExit:
        return capsys.readouterr().out, False
    return capsys.readouterr().out, True


def test_what_would_be_trained_is_said_and_nothing_is_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said, fine = checked(home, capsys, features={"categorical": []})
    assert fine
    assert "as of       2026-0" in said
    assert "1,200 with a label in" in said
    assert "late: 0, 1 (positive)" in said
    assert "numeric     load, distance" in said
    assert "would accept a first model" in said
    assert not (home / "storage").exists()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a parameter that there is not": ({"training": {"parameters": {"Cc": 1}}}, "did you mean 'C'"),
    "a value that is refused": (
        {"training": {"parameters": {"C": -1.0}}},
        "The 'C' parameter of LogisticRegression must be",
    ),
    "a weight of no class": ({"training": {"parameters": {"class_weight": {2: 1}}}}, "a weight of the class '2'"),
    "no such package": ({"training": {"estimator": "no_such_package.Model"}}, "there is no module 'no_such_package'"),
    "a text as a number": ({"features": {"numeric": ["city"], "categorical": []}}, "[column_retyped]"),
    "a column that is missing": ({"features": {"numeric": ["loads"]}}, "'load'"),
    "a date as a number": (
        {"features": {"numeric": ["load"], "categorical": [], "calendar": {"city": ["hour"]}}},
        "no date or time in any of",
    ),
}


@pytest.mark.parametrize(("changes", "words"), WRONG.values(), ids=WRONG)
def test_what_training_would_find_is_found(
    home: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], words: str
) -> None:
    said, fine = checked(home, capsys, **changes)
    assert not fine
    assert words in said


def test_labels_that_say_nothing_are_found(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = rows(1200)
    frame.assign(late=np.where(frame["late"] == 1, "late", "on time")).to_parquet(home / "orders.parquet")
    said, fine = checked(home, capsys)
    assert not fine
    assert "'late' (" in said
    assert "'on time' (" in said
    _, fine = checked(home, capsys, data={"positive": "late"})
    assert fine
