"""Data that did not come from a file is held to a file's bounds."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.spec import SpecError, apply_overrides, parse_spec
from airflow_mlops.spec.plain_data import first_unsafe
from tests.spec.samples import RAW, TEN_LINES


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


CIRCLE: dict[str, Any] = {}
CIRCLE["a"] = CIRCLE
UNSAFE = {
    "too deep": nested(50_000),
    "a circle": CIRCLE,
    "too many": list(range(70_000)),
    "NUL": "a\0",
    "half a pair": {"a": ["\ud800"]},
    "a key": {"\x1b[2J": 1},
}


@pytest.mark.parametrize("what", UNSAFE)
def test_it_is_refused_by_overrides_and_mappings(what: str) -> None:
    assert first_unsafe(UNSAFE[what]) is not None
    with pytest.raises(SpecError, match="spec_unsafe"):
        parse_spec({**RAW, "training": {**RAW["training"], "parameters": {"a": UNSAFE[what]}}})
    with pytest.raises(SpecError, match="spec_unsafe"):
        apply_overrides(parse_spec(TEN_LINES), {"training.parameters.a": UNSAFE[what]})


def test_ordinary_data_is_not() -> None:
    assert first_unsafe(RAW) is None
    assert first_unsafe({"text": "two\nlines\tand café", "n": [1, 2.5, None, True]}) is None
