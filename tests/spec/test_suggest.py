"""Words that were meant, and values shown briefly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_mlops.spec import suggest
from airflow_mlops.spec.suggest import did_you_mean, find_nearest, likeness, shown


@pytest.mark.parametrize(
    ("word", "nearest"), [("Origin", "origin"), ("orign", "origin"), ("DEST", "Dest"), ("", None), ("zzz", None)]
)
def test_the_nearest_word_whatever_its_case(word: str, nearest: str | None) -> None:
    known = ["origin", "Dest"]
    assert find_nearest(word, known) == nearest
    assert did_you_mean(word, known) == (f"did you mean {nearest!r}?" if nearest else "")


def test_a_long_word_is_not_compared_whole() -> None:
    assert find_nearest("a" * 10_000_000, ["a" * 100]) == "a" * 100


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), ((1, 2), "a list of 2"), ("x" * 100, f"'{'x' * 59}... (102 characters)")]
)
def test_values_are_shown_briefly(value: Any, text: str) -> None:
    assert shown(value) == text


def test_names_that_are_alike() -> None:
    assert likeness("scheduled_departure", "sched_dep") > 0.8
    assert likeness("wind_speed", "windSpeed") == 1.0
    assert likeness("temp", "temperature") > 0.8
    assert likeness("origin", "destination") < 0.72


def test_no_other_module_compares_words() -> None:
    package = Path(suggest.__file__).parents[1]
    assert [path.name for path in package.rglob("*.py") if "difflib import" in path.read_text()] == ["suggest.py"]
