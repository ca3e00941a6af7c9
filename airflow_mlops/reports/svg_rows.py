"""A plot with one line per thing: its name, and a dot with an interval, or a bar, on an axis that all share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from airflow_mlops.reports.html import TONES
from airflow_mlops.reports.svg import WIDTH, Scale, figure, rule, span, text, ticks

RIGHT, STEP, TOP = WIDTH - 14.0, 26.0, 8.0
_FITS = 27
"""Most characters left of the axis."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the plot."""

    label: str
    """What is too long is cut; of `column = value` the column is."""
    value: float
    lower: float = math.nan
    upper: float = math.nan
    bound: float | None = None
    """Where the rule draws its line."""
    tone: str = "plain"
    """`good` is a circle, `bad` a diamond, `unsure` a ring: the shape says what the colour says."""


def rows_plot(
    title: str,
    rows: Sequence[Row],
    *,
    axis: str,
    ends: tuple[str, str] = ("", ""),
    bars: bool = False,
    says: str = "",
) -> str:
    """Draw the rows that have a finite value; nothing when none has.

    Parameters
    ----------
    title
        Plain text above the plot.
    rows
        From top to bottom.
    axis
        What is measured, with its unit.
    ends
        What lies left and right of zero: ``("worse", "better")``.
    bars
        Bars from zero instead of dots.
    says
        For those who cannot see it; made from the rows when left out.
    """
    drawn = [row for row in rows if math.isfinite(row.value)]
    if not drawn:
        return ""
    seen = [n for row in drawn for n in (row.value, row.lower, row.upper, row.bound) if n is not None]
    low, high = span([0.0, *seen], pad=0.04)
    left = 14 + 7.3 * max(len(_short(row.label)) for row in drawn)
    place = Scale(low, high, left, RIGHT)
    bottom = TOP + STEP * len(drawn)
    parts = [*_axis(place, bottom, axis, ends)]
    for number, row in enumerate(drawn):
        middle = TOP + STEP * (number + 0.5)
        parts += [_name(row, middle), _bar(row, place, middle) if bars else _dot(row, place, middle)]
        parts.append(_bound(row, place, middle))
    described = says or "; ".join(f"{row.label}: {row.value:.4g}" for row in drawn[:10])
    return figure(title, "".join(parts), bottom + (58 if any(ends) else 42), says=described)


def _axis(place: Scale, bottom: float, axis: str, ends: tuple[str, str]) -> Iterator[str]:
    for value, label in ticks(place.low, place.high, 5):
        at = place(value)
        yield rule(at, TOP, at, bottom, "axis" if value == 0 else "grid", dashes="" if value else "3 3")
        yield text(at, bottom + 16, label, anchor="middle", kind="soft")
    zero = place(0.0)
    left, right = ends
    if left and zero - place.start > 60:  # noqa: PLR2004 - the word's width
        yield text(place.start, bottom + 34, f"\u2190 {left}")
    if right and RIGHT - zero > 60:  # noqa: PLR2004
        yield text(RIGHT, bottom + 34, f"{right} \u2192", anchor="end")
    yield text((place.start + RIGHT) / 2, bottom + (52 if left or right else 36), axis, anchor="middle", kind="soft")


def _short(label: str) -> str:
    if len(label) <= _FITS:
        return label
    column, equals, value = label.partition(" = ")
    room = _FITS - len(value) - 4
    if equals and room >= 3:  # noqa: PLR2004 - fewer letters of a column name nobody
        return f"{column[:room]}\u2026 = {value}"
    return f"{label[: _FITS - 1]}\u2026"


def _name(row: Row, middle: float) -> str:
    short = _short(row.label)
    whole = f"<title>{escape(row.label)}</title>" if short != row.label else ""
    return f'<text x="0" y="{middle + 5:g}">{escape(short)}{whole}</text>'


def _dot(row: Row, place: Scale, middle: float) -> str:
    at = place(row.value)
    low, high = (place(end) if math.isfinite(end) else at for end in (row.lower, row.upper))
    line = (
        f'<line x1="{low}" x2="{high}" y1="{middle:g}" y2="{middle:g}" stroke="currentColor" stroke-width="5" '
        'stroke-linecap="round" opacity=".45"/>'
    )
    return f'<g style="color:{TONES[row.tone]}" fill="currentColor">{line}{_shape(row.tone, at, middle)}</g>'


def _shape(tone: str, at: float, middle: float) -> str:
    if tone == "bad":
        points = f"{at},{middle - 7:g} {at + 7:g},{middle:g} {at},{middle + 7:g} {at - 7:g},{middle:g}"
        return f'<polygon points="{points}"/>'
    ring = ' fill="var(--paper)" stroke="currentColor" stroke-width="2.5"' if tone == "unsure" else ""
    return f'<circle cx="{at}" cy="{middle:g}" r="5"{ring}/>'


def _bar(row: Row, place: Scale, middle: float) -> str:
    start, end = sorted((place(0.0), place(row.value)))
    return (
        f'<rect style="color:{TONES[row.tone]}" fill="currentColor" x="{start}" y="{middle - 7:g}" '
        f'width="{max(end - start, 1):.1f}" height="14"/>'
    )


def _bound(row: Row, place: Scale, middle: float) -> str:
    if row.bound is None or not math.isfinite(row.bound):
        return ""
    at = place(row.bound)
    line = (
        f'<line x1="{at}" x2="{at}" y1="{middle - 11:g}" y2="{middle + 11:g}" stroke="currentColor" stroke-width="2"/>'
    )
    return f"<g><title>{escape(f'bound {row.bound:g}')}</title>{line}</g>"
