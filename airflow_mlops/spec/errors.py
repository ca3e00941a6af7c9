"""Say what is wrong with a specification; the classes for it are imported only when something is.

The enum and the dataclass of :mod:`airflow_mlops.spec.problems` take 1.5 ms to build, a tenth of what parsing a DAG
file may cost, and a right specification needs neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem, SpecError

Code = Literal[
    "spec_unreadable",
    "spec_unsafe",
    "spec_unknown_field",
    "spec_missing_field",
    "spec_invalid_value",
    "spec_duplicate",
    "import_not_allowed",
    "schema_not_allowed",
    "metric_unknown",
    "expectation_unknown",
]
"""The members of ReasonCode that a specification can be refused with."""

MOST_TOLD = 50
"""Problems of one specification that are told: thousands of them would fill a page, and a database, for nobody."""


def wrong(
    field: str, found: str, allowed: str, fix: str, *, code: Code = "spec_invalid_value", where: str = ""
) -> Problem:
    """Return one problem.

    Examples
    --------
    >>> print(wrong("of", "2 of 1", "at most 1", "raise `of`"))
    of: found 2 of 1; allowed: at most 1; raise `of` [spec_invalid_value]
    """
    from airflow_mlops.spec.problems import Problem, ReasonCode

    return Problem(code=ReasonCode(code), field=field, found=found, allowed=allowed, fix=fix, where=where)


def refusal(problems: Problem | Iterable[Problem], *, subject: str) -> SpecError:
    """Return the exception that carries them all."""
    from airflow_mlops.spec.problems import SpecError

    return SpecError(problems, subject=subject)
