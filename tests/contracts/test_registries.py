"""One registry for each kind of thing: every name of it crossed with the specification, the records and the docs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.metrics.registry import ABSOLUTE, FUNCTIONS
from airflow_mlops.core.monitoring.drift.effect_sizes import EFFECT_SIZES, EffectSize, beyond_chance, measure
from airflow_mlops.core.monitoring.performance.direct_loss import LOSSES
from airflow_mlops.core.records.drift import ColumnDrift
from airflow_mlops.core.records.profile import ColumnProfile
from airflow_mlops.core.retraining import rules as retraining
from airflow_mlops.core.retraining.case import Objection
from airflow_mlops.core.validation.rules import RULES as EXPECTATIONS
from airflow_mlops.spec.metrics import METRICS as DECLARED
from airflow_mlops.spec.monitoring import EFFECTS, DriftSpec
from airflow_mlops.spec.retraining import PLAYBOOK, RetrainingSpec
from airflow_mlops.spec.validation import SHORT_NAMES

ROOT = Path(__file__).parents[2]


def first_cells(page: str, heading: str) -> Iterator[str]:
    """First column of the table that begins with this heading."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return
        yield line.split("|")[1]


def names_in(page: str, heading: str) -> list[str]:
    return [name for cell in first_cells(page, heading) for name in re.findall(r"`(\w+)`", cell)]


# effect sizes --------------------------------------------------------------------------------------------------------


def test_effect_sizes_are_those_of_specification_report_and_docs() -> None:
    assert len(EFFECT_SIZES) >= 5
    assert tuple(EFFECT_SIZES) == tuple(name for name, effect in EFFECT_SIZES.items() if name == effect.name)
    assert set(EFFECT_SIZES) == set(EFFECTS)
    assert set(EFFECT_SIZES) <= {field.name for field in fields(ColumnDrift)}
    assert names_in("monitoring.md", "`effect`") == list(EFFECT_SIZES)


@pytest.mark.parametrize("effect", EFFECT_SIZES.values(), ids=EFFECT_SIZES)
@pytest.mark.parametrize("role", ["numeric", "categorical"])
def test_every_effect_size_can_be_chosen_and_is_none_without_and_some_with_drift(effect: EffectSize, role: str) -> None:
    assert DriftSpec(effect=effect.name).effect == effect.name
    edges, categories = ((1.0, 2.0), ()) if role == "numeric" else ((), ("a", "b"))
    before, same, other = (
        ColumnProfile(name="x", role=role, edges=edges, categories=categories, counts=counts, missing=missing)
        for counts, missing in (((500, 300, 200), 50), ((50, 30, 20), 5), ((20, 30, 50), 5))
    )
    assert set(measure(before, same)) == set(EFFECT_SIZES)
    assert (measure(before, other)[effect.name] is None) == (role not in effect.roles)
    left = [beyond_chance(effect.name, measure(before, now), before, now) for now in (same, other)]
    assert len(left) == 2
    assert left[0] == 0 < left[1] < np.inf
    assert effect.words


# rules of retraining -------------------------------------------------------------------------------------------------


def test_rules_of_retraining_are_those_of_the_docs_in_their_order() -> None:
    named = [name for rule in retraining.RULES for name in rule.names]
    assert len(named) == len(set(named)) >= 13
    documented = names_in("monitoring.md", "rule")
    rows = [re.findall(r"`(\w+)`", cell) for cell in first_cells("monitoring.md", "rule")]
    assert set(named) == set(documented)
    order = [next(n for n, rule in enumerate(retraining.RULES) if row[0] in rule.names) for row in rows]
    assert order == sorted(order)
    assert set(order) | {1} == set(range(len(retraining.RULES)))  # `retired` and `out_of_date` share a row


def test_objections_are_made_under_registered_names_and_situations() -> None:
    """Read from the code: a rule may be silent in every test, and not here."""
    made, situations = set(), set()
    for node in ast.walk(ast.parse(Path(retraining.__file__).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        words = {one.arg: one.value for one in node.keywords}
        name = words.get("rule") if node.func.id == Objection.__name__ else None
        name = node.args[0] if node.func.id == "_against" else name
        made |= {one.value for one in ast.walk(name) if isinstance(one, ast.Constant)} if name is not None else set()
        if node.func.id == Objection.__name__ and "situation" in words:
            situations |= {one.value for one in ast.walk(words["situation"]) if isinstance(one, ast.Constant)}
    assert made == {name for rule in retraining.RULES for name in rule.names}
    assert situations == {rule.situation for rule in retraining.RULES} - {""}
    assert situations <= set(PLAYBOOK)


def test_the_reference_names_every_situation_of_the_playbook() -> None:
    assert re.findall(r"`(\w+)`", RetrainingSpec.part_fields["playbook"].doc) == list(PLAYBOOK)


# expectations --------------------------------------------------------------------------------------------------------


def test_expectations_are_those_of_specification_and_docs() -> None:
    assert len(EXPECTATIONS) >= 12
    assert list(EXPECTATIONS) == list(SHORT_NAMES) == names_in("specification.md", "`expect` | Takes")
    assert all(rule.takes and callable(rule.plan) and callable(rule.wrong) for rule in EXPECTATIONS.values())


# metrics -------------------------------------------------------------------------------------------------------------


def test_metrics_are_those_of_specification_functions_and_docs() -> None:
    assert len(METRICS) >= 14
    assert list(METRICS) == list(DECLARED) == names_in("specification.md", "Metric")
    assert set(METRICS) == set(FUNCTIONS)
    assert all(metric.name == name and metric.declared is DECLARED[name] for name, metric in METRICS.items())


def test_what_is_told_of_a_loss_by_its_name_is_told_of_a_loss() -> None:
    """A name that was changed or mistyped there would be judged as the squared error, and nothing would fail."""
    losses = {name for name, one in DECLARED.items() if one.kind == "regression" and not one.greater_is_better}
    grow_as_errors_do = {name for name, kind in LOSSES.items() if kind != "squared"}
    assert grow_as_errors_do
    assert grow_as_errors_do <= ABSOLUTE <= losses
    assert set(LOSSES) <= losses
