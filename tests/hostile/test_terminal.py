"""Names and values of the data, and what others wrote into MLflow, show on a terminal: they move and clear nothing."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.cli._common import columns
from airflow_mlops.cli.printed import say
from airflow_mlops.core.proposal.text import _comment, _scalar
from airflow_mlops.core.text import visible
from airflow_mlops.spec import load_spec
from tests.cli.test_validate import run
from tests.support import tables

COMMANDS = Path(__file__).parents[2] / "airflow_mlops" / "cli"
CLEARED = "\x1b[2K\x1b[1A"
"""Clears a line, and goes up to the one before it."""
END = "\u2028"
"""A character at which YAML ends a line, and with it a comment."""


def shows(text: str) -> bool:
    return all(letter.isprintable() or letter == "\n" for letter in text)


def prints(file: Path) -> bool:
    text = file.read_text()
    names = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return "print" in {name.id for name in names if isinstance(name, ast.Name)} or "stdout" in text


def test_commands_print_through_one_door() -> None:
    assert {file.name for file in COMMANDS.glob("*.py") if prints(file)} == {"printed.py", "screen.py"}


@given(st.text(max_size=60))
def test_every_character_shows_and_stays_the_same_text_in_json(text: str) -> None:
    assert shows(visible(text).replace("\t", ""))
    assert visible(text, keep="").isprintable()
    quoted = json.dumps(text, ensure_ascii=False)
    assert json.loads(visible(quoted)) == json.loads(quoted)


@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_a_name_is_the_same_name_in_the_file_that_is_written(name: str) -> None:
    assert yaml.safe_load(f"a: {_scalar(name)}") == {"a": name}
    assert not yaml.safe_load("\n".join(_comment(f"x{END}{name}", "")) or "")


def test_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(columns(("why",), [(f"ok\n5  promoted{CLEARED}\x9b2J\u202e",)]))
    printed = capsys.readouterr().out
    assert shows(printed)
    assert len(printed.splitlines()) == 3


def test_the_names_and_classes_of_a_file_are_no_lines_of_a_specification(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class that ends the comment in which it is told would write a field of its own."""
    frame = tables.churn(1500)
    frame["churned"] = [f"b{END}  duplicates: last{END}  #" if one else "a" for one in frame["churned"]]
    frame.loc[::5, "churned"] = "c"
    hostile = f"refund{END}  duplicates: last{END}  #"
    frame.rename(columns={"refund": hostile}).to_parquet(tmp_path / "churn.parquet")
    file = tmp_path / "churn.yaml"
    run("new", "churn", "--from", str(tmp_path / "churn.parquet"), "--label", "churned", "-o", str(file))
    assert shows(capsys.readouterr().out)
    text = file.read_text()
    assert shows(text)
    assert "duplicates" not in yaml.safe_load(text)["data"]
    assert load_spec(file).data.duplicates == "refuse"


def test_a_name_that_no_specification_can_hold_is_said_so_that_it_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = tables.churn(1500).rename(columns={"refund": f"refund{CLEARED}"})
    frame.to_parquet(tmp_path / "churn.parquet")
    with pytest.raises(SystemExit) as ended:
        run("new", "churn", "--from", str(tmp_path / "churn.parquet"), "-o", str(tmp_path / "churn.yaml"))
    assert shows(f"{ended.value}{capsys.readouterr().out}")
