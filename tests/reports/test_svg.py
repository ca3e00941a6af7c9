"""The SVG plots: places are right, ticks are round, nothing breaks on any number, text is escaped."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_mlops.reports.svg import WIDTH, Area, Scale, figure, span, text, ticks
from airflow_mlops.reports.svg_rows import Row, rows_plot

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite, finite)
@example(2.225073858507e-311, 2.225073858507e-311)
@example(1e6, 1e6 + 10)
@example(-1e300, 1e300)
@example(1e16, 1.00000001e16)
def test_ticks_are_few_round_rising_and_inside(one: float, other: float) -> None:
    low, high = span([one, other])
    found = ticks(low, high)
    values = [value for value, _ in found]
    assert 1 <= len(values) <= 8
    assert values == sorted(set(values))
    assert len({label for _, label in found}) == len(found), "no two ticks read the same"
    room = (high / 2 - low / 2) * 1e-6
    assert all(low - room <= value <= high + room for value in values)


@given(st.lists(st.floats(), max_size=6), st.floats(0, 1))
def test_a_span_is_finite_holds_every_finite_value_and_is_never_empty(values: list[float], pad: float) -> None:
    low, high = span(values, pad=pad)
    assert -math.inf < low < high < math.inf
    held = [min(max(value, -1e300), 1e300) for value in values if math.isfinite(value)]
    assert all(low <= value <= high for value in held)


@given(finite, finite, st.floats(allow_nan=False))
def test_a_scale_keeps_order_and_never_leaves_its_ends(one: float, other: float, value: float) -> None:
    low, high = span([one, other])
    scale = Scale(low, high, 10, 200)
    assert scale(low) == 10
    assert scale(high) == 200
    assert 10 <= scale(value) <= 200
    assert Scale(low, high, 200, 10)(value) == pytest.approx(210 - scale(value), abs=0.11)


def drawn(html: str) -> ET.Element:
    """The SVG of a figure, as XML: it must be well-formed."""
    start, end = html.index("<svg"), html.index("</svg>") + 6
    return ET.fromstring(html[start:end])  # noqa: S314 - made two lines above


@given(st.lists(st.tuples(st.floats(), st.floats(), st.floats(), st.none() | st.floats()), min_size=1, max_size=5))
def test_rows_are_drawn_inside_the_plot_whatever_the_numbers(
    numbers: list[tuple[float, float, float, float | None]],
) -> None:
    rows = [Row(label="a", value=v, lower=low, upper=up, bound=b, tone="bad") for v, low, up, b in numbers]
    html = rows_plot("t", rows, axis="a", ends=("worse", "better"))
    assert bool(html) is any(math.isfinite(row.value) for row in rows)
    if html:
        svg = drawn(html)
        height = float(svg.attrib["viewBox"].split()[3])
        assert len(svg.findall(".//polygon")) == sum(math.isfinite(row.value) for row in rows)
        for element in svg.iter():
            for name in {"x", "x1", "x2", "cx"} & set(element.attrib):
                assert 0 <= float(element.attrib[name]) <= WIDTH
            for name in {"y", "y1", "y2", "cy"} & set(element.attrib):
                assert 0 <= float(element.attrib[name]) <= height


def test_shape_says_what_the_colour_says() -> None:
    shapes = {}
    for tone in ("good", "unsure", "bad"):
        svg = drawn(rows_plot("t", [Row(label="a", value=1.0, tone=tone)], axis="a"))
        mark = next(element for element in svg.iter() if element.tag in {"circle", "polygon"})
        shapes[tone] = (mark.tag, mark.attrib.get("fill"))
    assert len(set(shapes.values())) == 3


def test_a_long_name_keeps_its_value_and_its_whole_self_in_the_title() -> None:
    label = "scheduled_departure_hour = 13 to 17"
    svg = drawn(rows_plot("t", [Row(label=label, value=1.0)], axis="a"))
    name = svg.findall("text")[-1]
    assert (name.text or "").endswith("\u2026 = 13 to 17")
    assert name.findtext("title") == label


def test_bars_begin_at_zero() -> None:
    svg = drawn(rows_plot("t", [Row(label="a", value=2.0), Row(label="b", value=-1.0)], axis="a", bars=True))
    up, down = svg.findall("rect")
    assert float(up.attrib["x"]) == pytest.approx(float(down.attrib["x"]) + float(down.attrib["width"]), abs=0.2)
    assert float(up.attrib["width"]) == pytest.approx(2 * float(down.attrib["width"]), rel=0.01)


def test_a_line_is_broken_where_a_number_is_missing() -> None:
    area = Area(x=Scale(0, 1, 0, 100), y=Scale(0, 1, 100, 0))
    whole = area.line([0, 0.5, 1], [0, 0.5, 1], "one")
    assert whole.count("<polyline") == 1
    assert 'points="0,100 50,50 100,0"' in whole
    assert area.line([0, 0.2, 0.5, 1], [0, 0.2, math.nan, 1], "two").count("<polyline") == 2
    assert area.line([math.nan], [math.nan], "one") == ""
    assert area.dot(math.nan, 0.5, (0, 1), "one") == area.bar(0.5, math.inf, 0, "one") == ""


def test_text_is_escaped_and_the_figure_says_what_it_shows() -> None:
    html = figure("<b>", text(1, 2, "<i>&"), 10, says='"quoted"', keys=[("one", "<u>")])
    assert not {"<b>", "<i>", "<u>"} & {html[at : at + 3] for at in range(len(html))}
    svg = drawn(html)
    assert svg.attrib["role"] == "img"
    assert svg.attrib["aria-label"] == '<b>. "quoted"'
