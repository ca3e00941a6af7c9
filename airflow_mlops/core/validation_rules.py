"""Our short expectation names, each with its arguments and how it is checked."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_mlops.core import validation_arguments as arguments
from airflow_mlops.core import validation_counted as counted
from airflow_mlops.core import validation_direct as direct
from airflow_mlops.core.validation_plan import Rule
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.validation import Expectation

_COLUMN = "column or columns"
RULES: Mapping[str, Rule] = {
    "row_count": Rule(
        wrong=arguments.wrong_row_count,
        takes="min, max or both: whole numbers, min not above max",
        plan=counted.row_count,
    ),
    "not_null": Rule(wrong=arguments.some_column, takes=_COLUMN, plan=counted.not_null),
    "unique": Rule(wrong=arguments.some_column, takes=_COLUMN, plan=counted.unique),
    "between": Rule(
        wrong=arguments.wrong_between,
        takes=f"{_COLUMN}; min, max or both: numbers, texts or dates, in order",
        plan=counted.between,
    ),
    "in_set": Rule(
        wrong=arguments.wrong_in_set, takes=f"{_COLUMN}; values: a list that is not empty", plan=counted.in_set
    ),
    "type": Rule(
        wrong=arguments.wrong_type, takes=f"{_COLUMN}; type: one of {', '.join(direct.TYPES)}", plan=direct.check_type
    ),
    "finite": Rule(wrong=lambda _: "", takes=f"{_COLUMN}, or none for every numeric column", plan=direct.check_finite),
    "freshness": Rule(
        wrong=lambda e: "" if e.max_age else "no max_age", takes="max_age, such as 2d", plan=direct.check_freshness
    ),
    "compare": Rule(
        wrong=arguments.wrong_compare,
        takes=f"left and right: column names; op: one of {' '.join(counted.COMPARISONS)}",
        plan=counted.compare,
    ),
    "columns": Rule(wrong=arguments.wrong_columns, takes="extra: forbid or allow", plan=direct.check_columns),
    "not_all_null": Rule(
        wrong=lambda _: "", takes=f"{_COLUMN}, or none for every column", plan=direct.check_not_all_null
    ),
    "not_future": Rule(
        wrong=lambda _: "", takes=f"{_COLUMN}, or none for the event time", plan=direct.check_not_future
    ),
}
"""Every short name of :data:`airflow_mlops.spec.validation.SHORT_NAMES`."""


def audit(expectation: Expectation) -> Problem | None:
    """Say what is wrong with a short expectation's arguments, before any row is read."""
    rule = RULES[expectation.expect]
    found = rule.wrong(expectation)
    if not found:
        return None
    return Problem(
        code=ReasonCode.SPEC_INVALID_VALUE,
        field=f"validation.{expectation.expect}",
        found=found,
        allowed=rule.takes,
        fix="correct the expectation's arguments",
    )
