"""The rules of the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.gate.rules import calibration, convergence, robustness, serving
from airflow_mlops.core.gate.rules.fairness import judge as fairness
from airflow_mlops.core.gate.rules.leakage import judge as leakage
from airflow_mlops.core.gate.rules.slices import judge as slices

RULES: Mapping[str, Callable[[RuleInput], RuleOutcome]] = {
    "slices": slices.judge,
    "fairness": fairness.judge,
    "calibration": calibration.judge,
    "convergence": convergence.judge,
    "robustness": robustness.judge,
    "leakage": leakage.judge,
    "serving": serving.judge,
}
"""Rules with a part and a `mode` of their own in the specification, by the name of that part."""
