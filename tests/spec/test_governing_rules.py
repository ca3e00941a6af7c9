"""What of gate, tier and approval has changed: told by value, the gravest first, and not by how it is written."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.spec.governing_rules import changed_rules, governing_rules
from tests.support.builders import make_spec


def changed(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, ...]:
    return changed_rules(governing_rules(make_spec(**before)), governing_rules(make_spec(**now)))


@pytest.mark.parametrize(
    "now",
    [
        {"description": "said better"},
        {"owner": "others"},
        {"risk_tier": "medium"},
        {"gate": {"mode": "enforce"}},
        {"gate": {"champion": {"confidence": 0.95}}},
        {"schedule": "@daily", "monitoring": {"window": "3d"}},
    ],
)
def test_what_is_no_rule_or_its_default_has_not_changed(now: dict[str, Any]) -> None:
    assert changed({}, now) == ()


def test_every_rule_that_changed_is_told_the_gravest_first() -> None:
    gate = {"absolute": [{"metric": "roc_auc", "min": 0.5}], "min_rows": 70, "mode": "dry_run"}
    found = changed({}, {"gate": gate, "risk_tier": "low", "promotion": {"approval": {"tiers": ["low"]}}})
    assert [line.partition(":")[0] for line in found] == [
        "gate.mode", "promotion.approval.tiers", "risk_tier", "gate.absolute", "gate.min_rows",
    ]  # fmt: skip
    assert found[0] == 'gate.mode: "enforce" -> "dry_run"'


def test_a_rule_that_is_taken_away_is_told() -> None:
    fairness = {"gate": {"fairness": {"columns": ["sex"], "max_equalized_odds_difference": 0.05}}}
    assert changed(fairness, {}) == (
        'gate.fairness.columns: ["sex"] -> []',
        "gate.fairness.max_equalized_odds_difference: 0.05 -> 0.1",
    )


def test_a_field_that_a_later_version_brought_has_not_changed_while_it_has_its_default() -> None:
    now = governing_rules(make_spec())
    before = {path: value for path, value in now.items() if path != "gate.mode"}
    assert changed_rules(before, now) == ()
    assert changed_rules(before, {**now, "gate.mode": "off"}) == ('gate.mode: nothing -> "off"',)
