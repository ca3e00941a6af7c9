"""Units that get mixed up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """``now = factor * before + shift``."""

    factor: float
    shift: float
    words: str


def _both(factor: float, there: str, back: str) -> tuple[Unit, Unit]:
    return Unit(factor, 0.0, there), Unit(1 / factor, 0.0, back)


UNITS: tuple[Unit, ...] = (
    *(
        unit
        for power, name in ((1, "10"), (2, "100"), (3, "1,000"), (4, "10,000"), (6, "1,000,000"), (9, "1,000,000,000"))
        for unit in _both(10.0**power, f"multiplied by {name}", f"divided by {name}")
    ),
    Unit(1.8, 32.0, "degrees Fahrenheit in place of Celsius (1.8 x + 32)"),
    Unit(1 / 1.8, -32 / 1.8, "degrees Celsius in place of Fahrenheit"),
    Unit(1.0, 273.15, "kelvin in place of degrees Celsius"),
    Unit(1.0, -273.15, "degrees Celsius in place of kelvin"),
    *_both(0.3048, "metres in place of feet", "feet in place of metres"),
    *_both(1.609344, "kilometres in place of miles", "miles in place of kilometres"),
    *_both(1.852, "kilometres in place of nautical miles", "nautical miles in place of kilometres"),
    *_both(2.54, "centimetres in place of inches", "inches in place of centimetres"),
    *_both(0.45359237, "kilograms in place of pounds", "pounds in place of kilograms"),
    *_both(0.44704, "metres per second in place of miles per hour", "miles per hour in place of metres per second"),
    *_both(1852 / 3600, "metres per second in place of knots", "knots in place of metres per second"),
    *_both(3.6, "kilometres per hour in place of metres per second", "metres per second in place of km per hour"),
    *_both(33.8638866667, "hectopascals in place of inches of mercury", "inches of mercury in place of hectopascals"),
    *_both(3.785411784, "litres in place of gallons", "gallons in place of litres"),
    *_both(60.0, "multiplied by 60, as minutes in place of hours", "divided by 60, as hours in place of minutes"),
    *_both(
        3600.0, "multiplied by 3,600, as seconds in place of hours", "divided by 3,600, as hours in place of seconds"
    ),
    *_both(
        86400.0, "multiplied by 86,400, as seconds in place of days", "divided by 86,400, as days in place of seconds"
    ),
    *_both(180 / 3.141592653589793, "degrees in place of radians", "radians in place of degrees"),
    Unit(-1.0, 0.0, "with the opposite sign"),
)
"""Factors near 1 (1.15 miles to the knot's) are left out: the world changes by a tenth, too."""
