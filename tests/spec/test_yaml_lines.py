"""YAML's traps: scalars as YAML 1.2 reads them, and nesting that is bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_mlops.spec import ReasonCode, SpecError, load_spec
from airflow_mlops.spec.yaml_lines import plain_scalar
from tests.spec.samples import with_lines


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"), ("NO", "NO"), ("on", "on"), ("y", "y"), ("12:30", "12:30"), ("2013-03-01", "2013-03-01"),
        ("1e-3", 0.001), ("1E5", 100000.0), (".5", 0.5), ("1.", 1.0), ("-7", -7), ("+7", 7), ("010", 10),
        ("0x1F", 31), ("0o17", 15), ("1_000", "1_000"), ("~", None), ("null", None), ("TRUE", True), ("false", False),
        ("1.2.3", "1.2.3"), ("-", "-"), ("e5", "e5"), ("1e", "1e"), ("٣", "٣"), ("inf", "inf"), ("0xZZ", "0xZZ"),
        ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_plain_scalars_follow_yaml_1_2(written: str, meant: Any) -> None:
    assert plain_scalar(written) == meant
    assert type(plain_scalar(written)) is type(meant)


def test_quoted_scalars_are_text() -> None:
    spec = with_lines('  parameters: {a: "1", b: 1, c: \'true\', d: true, e: ~, f: [1e-3, "x"]}\n')
    assert spec.training.parameters == {"a": "1", "b": 1, "c": "true", "d": True, "e": None, "f": [0.001, "x"]}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nesting_as_deep_as_a_file_can_be(tmp_path: Path, opening: str) -> None:
    deep = tmp_path / "deep.yaml"
    deep.write_text("name: x\nother:\n  " + opening * (250_000 // len(opening)))
    with pytest.raises(SpecError) as caught:
        load_spec(deep)
    assert {problem.code for problem in caught.value.problems} <= {ReasonCode.SPEC_UNSAFE, ReasonCode.SPEC_UNREADABLE}
