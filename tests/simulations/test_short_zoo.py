"""Six streams whose truth is known, for half a year each: what the loop decides must be as right as it was."""

from __future__ import annotations

import pytest

from benchmarks.zoo.measure import SHORT, SHORT_WEEKS, Zoo, judge_streams
from benchmarks.zoo.referee import Finding

RIGHT = ("stable_binary", "vanishing_class")
"""Streams on which nothing may be held against the loop."""


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    zoo = Zoo(weeks=SHORT_WEEKS, folder=tmp_path_factory.mktemp("zoo"))
    return {found.name: found for found in judge_streams(zoo, SHORT, workers=2)}


def test_every_stream_is_judged_and_none_ends_the_backtest(findings: dict[str, Finding]) -> None:
    assert list(findings) == list(SHORT)
    assert not [found.severe for found in findings.values() if found.oracle is None]


@pytest.mark.parametrize("name", RIGHT)
def test_the_loop_is_right(findings: dict[str, Finding], name: str) -> None:
    found = findings[name]
    assert (found.mark, found.severe, found.mild) == ("RIGHT", (), ())


def test_a_sudden_change_is_learned(findings: dict[str, Finding]) -> None:
    found = findings["sudden"]
    assert found.promotions
    assert found.false_alarms == 0


def test_a_change_of_unit_is_called_a_fault(findings: dict[str, Finding]) -> None:
    assert findings["unit_fault"].delay is not None
