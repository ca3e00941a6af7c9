"""`airflow mlops validate --against-data`: what a training would find, found without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.cli.test_validate import run
from tests.support.loop import rows, specification


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
    assert "as of 2026-0" in said
    assert "1,200 rows of" in said
    assert "binary of 0, 1 (positive)" in said
    assert "features: load (numeric), distance (numeric)" in said
    assert "log_loss 0." in said
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


def test_labels_that_say_nothing_are_found_and_the_file_alone_is_right(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = rows(1200)
    frame.assign(late=np.where(frame["late"] == 1, "late", "on time")).to_parquet(home / "orders.parquet")
    said, fine = checked(home, capsys)
    assert not fine
    assert "orders.yaml: ok" in said
    assert "'late' (" in said
    assert "'on time' (" in said
    _, fine = checked(home, capsys, data={"positive": "late"})
    assert fine
