"""How a value is written as a category: one text for one value, whatever type carries it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def written(value: Any) -> str:
    """Write a value as a category: 5, 5.0 and Decimal("5.00") alike, to the last digit.

    A missing value elsewhere makes floats of whole numbers, and another table declares more decimals: neither renames
    a category.

    >>> written(5.0), written(Decimal("5.00")), written(Decimal("0.10")), written(0.1), written(10**18 + 1)
    ('5', '5', '0.1', '0.1', '1000000000000000001')
    """
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite():
        return str(int(value)) if value == value.to_integral_value() else f"{value.normalize():f}"
    return str(value)
