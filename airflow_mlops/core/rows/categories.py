"""Categories as texts: how one is written stands where stored models have it, in `airflow_mlops_steps`."""

from __future__ import annotations

import re

from airflow_mlops_steps.categories import written

__all__ = ["reads_as_number", "written"]

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?|-?inf", re.IGNORECASE)


def reads_as_number(category: str) -> bool:
    """Whether a category is how a number is written: "01234" and "AA" are not.

    >>> [reads_as_number(text) for text in ("1000000000000000001", "0.10", "-2.5", "1e-07", "01234", "AA", "1 000")]
    [True, True, True, True, False, False, False]
    """
    return _NUMBER.fullmatch(category) is not None
