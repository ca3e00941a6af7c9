"""Small plots as SVG inside a page: scales, axes, lines, dots with intervals and bars.

They take their colours from the page, so they follow light and dark; text stays legible when a phone shows 480 units
on 360 pixels. Numbers that are not finite are not drawn; who calls says them in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 480
"""Width of every plot in its own units; text is 14 of them high."""
_FAR = 1e300


@dataclass(frozen=True)
class Scale:
    """From values to places: `low` lies at `start`, `high` at `end`, what is outside at the nearer end.

    >>> Scale(0.0, 10.0, 100.0, 200.0)(2.5)
    125.0
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Place of a finite value."""
        held = min(max(value, self.low), self.high)
        # Halves: the difference of two large numbers is not finite.
        share = (held / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return round(self.start + share * (self.end - self.start), 1)


def span(values: Iterable[float], *, pad: float = 0.0) -> tuple[float, float]:
    """Lowest and highest of the finite values, never equal.

    Parameters
    ----------
    values
        What must be seen.
    pad
        Room at both ends, as a share of the span.

    Examples
    --------
    >>> span([1.0, float("nan"), 3.0], pad=0.5), span([]), span([2.0])
    ((0.0, 4.0), (0.0, 1.0), (1.0, 3.0))
    """
    # Held below the largest floats: a span with room around it must be finite itself.
    found = [min(max(value, -_FAR), _FAR) for value in values if math.isfinite(value)]
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    if high / 2 - low / 2 <= 1e-9 * max(abs(low), abs(high), 1e-200):
        room = abs(low) / 2 if abs(low) > 1e-200 else 1.0  # noqa: PLR2004 - below it, halves get lost
        return low - room, high + room
    room = (high / 2 - low / 2) * 2 * pad
    return low - room, high + room


def ticks(low: float, high: float, most: int = 6) -> tuple[tuple[float, str], ...]:
    """Round values between two finite ends, with their labels.

    >>> [label for _, label in ticks(-0.013, 0.021)]
    ['-0.01', '0', '0.01', '0.02']
    >>> [label for _, label in ticks(0, 130_000)]
    ['0', '50,000', '100,000']
    """
    raw = (high / most) - (low / most)
    power = 10.0 ** math.floor(math.log10(max(raw, 1e-300)))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= raw * 0.999)
    numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return tuple((number * step, _label(number * step, step)) for number in numbers)


def _label(value: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if decimals > 5 or abs(value) >= 1e6:  # noqa: PLR2004 - beyond these, plain digits are too wide for an axis
        digits = 1 if value == 0 else max(3, math.floor(math.log10(abs(value))) - math.floor(math.log10(step)) + 1)
        return f"{value:.{digits}g}"
    return f"{value:,.{decimals}f}" if value else "0"


@dataclass(frozen=True, kw_only=True)
class Area:
    """Where a plot with two axes draws."""

    x: Scale
    y: Scale
    """Its start is the bottom: places grow downwards."""

    def axes(self, across: str, up: str) -> str:
        """Grid, tick labels and the names of both axes, with their units."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        parts = []
        for value, label in ticks(self.x.low, self.x.high):
            at = self.x(value)
            parts.append(rule(at, top, at, bottom, "grid") + text(at, bottom + 18, label, anchor="middle", kind="soft"))
        for value, label in ticks(self.y.low, self.y.high):
            at = self.y(value)
            parts.append(rule(left, at, right, at, "grid") + text(left - 6, at + 5, label, anchor="end", kind="soft"))
        parts.append(text((left + right) / 2, bottom + 38, across, anchor="middle"))
        parts.append(text(4, top - 10, up))
        return "".join(parts)

    def reference(self, start: tuple[float, float], end: tuple[float, float]) -> str:
        """A dashed line between two points: what a useless, or a perfect, model would give."""
        return rule(self.x(start[0]), self.y(start[1]), self.x(end[0]), self.y(end[1]), "axis", dashes="4 4")

    def line(self, xs: Sequence[float], ys: Sequence[float], who: str) -> str:
        """A line through the finite points of one of the two models."""
        parts: list[list[str]] = [[]]
        for x, y in zip(xs, ys, strict=True):
            if math.isfinite(x) and math.isfinite(y):
                parts[-1].append(f"{self.x(x):g},{self.y(y):g}")
            elif parts[-1]:
                parts.append([])
        dashes = ' stroke-dasharray="6 4"' if who == "two" else ""
        return "".join(
            f'<polyline class="{who}" points="{" ".join(part)}" fill="none" stroke="currentColor" '
            f'stroke-width="2"{dashes}/>'
            for part in parts
            if part
        )

    def dot(self, x: float, y: float, ends: tuple[float, float], who: str) -> str:
        """A point with its interval upwards; a circle for the first model, a square for the second."""
        if not (math.isfinite(x) and math.isfinite(y)):
            return ""
        place, height = self.x(x), self.y(y)
        low, high = (self.y(end) if math.isfinite(end) else height for end in ends)
        shape = (
            f'<circle cx="{place}" cy="{height}" r="4"/>'
            if who == "one"
            else f'<rect x="{place - 3.5:g}" y="{height - 3.5:g}" width="7" height="7"/>'
        )
        bar = f'<line x1="{place}" x2="{place}" y1="{low}" y2="{high}" stroke="currentColor" stroke-width="2"/>'
        return f'<g class="{who}" fill="currentColor">{bar}{shape}</g>'

    def bar(self, x: float, y: float, shift: float, who: str) -> str:
        """A thin bar from the bottom up to `y`, a little beside `x`."""
        if not (math.isfinite(x) and math.isfinite(y)):
            return ""
        top = self.y(y)
        return (
            f'<rect class="{who}" fill="currentColor" x="{self.x(x) + shift:.1f}" y="{top}" width="5" '
            f'height="{self.y.start - top:.1f}"/>'
        )


def rule(x1: float, y1: float, x2: float, y2: float, kind: str, *, dashes: str = "") -> str:
    """A straight line of the class `grid` or `axis`."""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"{dashed}/>'


def text(x: float, y: float, content: str, *, anchor: str = "start", kind: str = "") -> str:
    """Plain text at a place."""
    placed = f' text-anchor="{anchor}"' if anchor != "start" else ""
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{placed}{named}>{escape(content)}</text>'


def figure(title: str, body: str, height: float, *, says: str, keys: Sequence[tuple[str, str]] = ()) -> str:
    """A plot with its title and legend.

    Parameters
    ----------
    title
        Plain text above it.
    body
        SVG made by the other functions.
    height
        In the plot's units.
    says
        What it shows, for those who cannot see it.
    keys
        Class (`one`, `two`) and name of each line.
    """
    legend = "".join(f'<span class="key {kind}">{escape(name)}</span>' for kind, name in keys)
    legend = f"<div>{legend}</div>" if legend else ""
    label = escape(f"{title}. {says}")
    return (
        f"<figure><figcaption>{escape(title)}{legend}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{label}">{body}</svg></figure>'
    )
