"""The rules of the gate, each registered once: what runs is what is owed."""

from __future__ import annotations

from airflow_mlops.core.gate.rule import Rule
from airflow_mlops.core.gate.rules import (
    bounds,
    calibration,
    champion,
    classes,
    convergence,
    holdout,
    robustness,
    serving,
)
from airflow_mlops.core.gate.rules.fairness import judge as fairness
from airflow_mlops.core.gate.rules.leakage import judge as leakage
from airflow_mlops.core.gate.rules.slices import judge as slices

RULES: tuple[Rule, ...] = (
    holdout.HOLDOUT,
    classes.RULE,
    bounds.FINITE,
    bounds.ABSOLUTE,
    champion.BASELINE,
    champion.FIRST_MODEL,
    champion.CHAMPION,
    champion.AS_OF,
    slices.RULE,
    fairness.RULE,
    calibration.RULE,
    convergence.RULE,
    robustness.RULE,
    leakage.RULE,
    serving.RULE,  # the last one: a fresh interpreter is at it meanwhile
)
"""In the order in which they are evaluated."""
