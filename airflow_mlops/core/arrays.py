"""NumPy arrays in signatures, and numbers where JSON knows none."""

from __future__ import annotations

import math
from typing import Any

Array = Any
"""numpy.ndarray; its import must not be paid for by whoever only names the type."""


def finite_or_none(value: float | None) -> float | None:
    """Return a number that is one; None where it is NaN or infinite, which records do not hold.

    >>> finite_or_none(0.5), finite_or_none(float("nan")), finite_or_none(None)
    (0.5, None, None)
    """
    return value if value is not None and math.isfinite(value) else None
