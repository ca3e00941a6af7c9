"""Plots of a backtest: the loss of each policy over time with its promotions, and the points of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from airflow_mlops.core.records.backtest import BacktestReport, Line
from airflow_mlops.core.text import format_number
from airflow_mlops.reports.backtest.tables import NAMES, name_of
from airflow_mlops.reports.svg import WIDTH, Area, Scale, figure, rule, span, text

STYLES = {
    "never": ("var(--soft)", "2 4"),
    "always": ("var(--two)", "8 4"),
    "schedule": ("var(--good)", "8 3 2 3"),
    "point_estimate": ("var(--bad)", "4 3"),
    "specification": ("var(--one)", ""),
}
"""Colour and dashes of the policies that are drawn, which are those that can be told apart; the dashes say what the
colour says. The table has all."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, WIDTH - 14.0, 24.0, 250.0
_MONTHS = 7


def loss_over_time(report: BacktestReport, policies: Sequence[str]) -> str:
    """Draw the loss of each policy from step to step; a dot is a promotion."""
    lines = [line for line in report.lines if line.policy in policies]
    values = [turn.loss for line in lines for turn in line.turns if turn.loss is not None]
    if not values:
        return ""
    low, high = span(values, pad=0.05)
    x = Scale(report.start.timestamp(), report.end.timestamp(), _LEFT, _RIGHT)
    area = Area(x=x, y=Scale(low, high, _BOTTOM, _TOP))
    parts = [*_values_axis(area, report.metric), *_months(area, report)]
    parts += [_line(area, line) for line in lines]
    says = "; ".join(f"{NAMES[line.policy]}: mean {format_number(line.mean_loss)}" for line in lines)
    title = f"{report.metric.replace('_', ' ')} from each step to the next"
    return figure(title, "".join(parts), _BOTTOM + 30, says=says) + _legend(lines)


def _drawn(report: BacktestReport) -> list[Line]:
    return [line for line in report.lines if line.policy in STYLES]


def points(report: BacktestReport) -> str:
    """Draw mean loss against promotions, for the points of the grid and for the policies."""
    drawn = [line for line in (*report.grid, *_drawn(report)) if line.mean_loss is not None]
    if not report.grid or not drawn:
        return ""
    across = span([0.0, *(float(line.promotions) for line in drawn)], pad=0.06)
    up = span([line.mean_loss or 0.0 for line in drawn], pad=0.1)
    area = Area(x=Scale(*across, _LEFT, _RIGHT), y=Scale(*up, _BOTTOM, _TOP))
    parts = [area.axes("promotions", f"mean {report.metric.replace('_', ' ')}")]
    for line in drawn:
        mine = bool(line.settings)
        place, height = area.x(line.promotions), area.y(line.mean_loss or 0.0)
        name = name_of(line) if mine else NAMES[line.policy]
        about = f"<title>{escape(name)}: {line.promotions} promotions, {format_number(line.mean_loss)}</title>"
        if not mine:
            colour, _ = STYLES[line.policy]
            parts.append(f'<g style="color:{colour}" fill="currentColor">{about}{_square(place, height)}</g>')
            left = place > (_LEFT + _RIGHT) / 2
            parts.append(
                text(place + (-8 if left else 8), height + 5, NAMES[line.policy], anchor="end" if left else "start")
            )
        else:
            fill = "currentColor" if line.pareto else "var(--paper)"
            ring = f'<circle cx="{place}" cy="{height}" r="5" fill="{fill}" stroke="currentColor" stroke-width="2"/>'
            parts.append(f'<g style="color:var(--one)">{about}{ring}</g>')
    best = [name_of(line) for line in report.grid if line.pareto]
    says = f"On the Pareto front, the filled dots: {'; '.join(best)}. Squares are the policies."
    return figure("Points of the grid", "".join(parts), _BOTTOM + 44, says=says)


def lead_over_always(report: BacktestReport) -> str:
    """Draw how far each policy is ahead of `always`, summed up over the rows so far, in units of the metric.

    The last point is the difference of the two means. It shows when a policy won or lost what it did.
    """
    base = next((line for line in report.lines if line.policy == "always"), None)
    lines = [line for line in _drawn(report) if line.policy != "always"]
    if base is None or base.mean_loss is None:
        return ""
    sign = 1.0 if report.greater_is_better else -1.0
    leads = {line.policy: _leads(line, base, report.end, sign) for line in lines}
    low, high = span([0.0, *(value for lead in leads.values() for _, value in lead)], pad=0.05)
    x = Scale(report.start.timestamp(), report.end.timestamp(), _LEFT, _RIGHT)
    area = Area(x=x, y=Scale(low, high, _BOTTOM, _TOP))
    parts = [*_values_axis(area, "better than always \u2191"), *_months(area, report)]
    parts.append(rule(_LEFT, area.y(0.0), _RIGHT, area.y(0.0), "axis", dashes="3 3"))
    for policy, lead in leads.items():
        path = " ".join(f"{area.x(when.timestamp()):g},{area.y(value):g}" for when, value in lead)
        parts.append(_polyline(policy, path))
    says = "; ".join(f"{NAMES[policy]}: {format_number(lead[-1][1])}" for policy, lead in leads.items() if lead)
    title = "Lead over 'always', summed up to the end of each step"
    return figure(title, "".join(parts), _BOTTOM + 30, says=says) + _legend(lines, dots=False)


def _leads(line: Line, base: Line, end: datetime, sign: float) -> list[tuple[datetime, float]]:
    rows = sum(turn.rows for turn in base.turns if turn.loss is not None)
    found, ahead = [(base.turns[0].as_of, 0.0)], 0.0
    ends = [*(turn.as_of for turn in base.turns[1:]), end]
    for mine, theirs, until in zip(line.turns, base.turns, ends, strict=True):
        if mine.loss is not None and theirs.loss is not None:
            ahead += sign * (mine.loss - theirs.loss) * mine.rows / rows
        found.append((until, ahead))
    return found


def _line(area: Area, line: Line) -> str:
    colour, _ = STYLES[line.policy]
    known = [(turn.as_of, turn.loss) for turn in line.turns if turn.loss is not None]
    path = " ".join(f"{area.x(when.timestamp()):g},{area.y(loss):g}" for when, loss in known)
    body = ""
    for turn in line.turns:
        if turn.promoted and turn.loss is not None:
            about = f"<title>{escape(NAMES[line.policy])}: promotion {turn.as_of:%Y-%m-%d}</title>"
            at = f'cx="{area.x(turn.as_of.timestamp())}" cy="{area.y(turn.loss)}"'
            body += f'<circle {at} r="3.5" fill="currentColor">{about}</circle>'
    return _polyline(line.policy, path) + f'<g style="color:{colour}">{body}</g>'


def _polyline(policy: str, path: str) -> str:
    colour, dashes = STYLES[policy]
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    width = 2.5 if policy == "specification" else 1.6
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>'


def _legend(lines: Sequence[Line], *, dots: bool = True) -> str:
    """Names of the lines, with a sample of each."""
    keys = []
    for line in lines:
        colour, dashes = STYLES[line.policy]
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        sample = (
            f'<svg viewBox="0 0 40 10" aria-hidden="true" style="display:inline-block;width:2.6rem;height:.65rem">'
            f'<line x1="0" x2="40" y1="5" y2="5" stroke="{colour}" stroke-width="2.5"{dashed}/></svg>'
        )
        keys.append(f'<span style="margin-right:1rem;white-space:nowrap">{sample} {escape(NAMES[line.policy])}</span>')
    return f'<p class="soft">{"".join(keys)}{" A dot is a promotion." if dots else ""}</p>'


def _values_axis(area: Area, name: str) -> list[str]:
    from airflow_mlops.reports.svg import ticks

    parts = [text(4, _TOP - 10, name.replace("_", " "))]
    for value, label in ticks(area.y.low, area.y.high):
        at = area.y(value)
        parts.append(rule(_LEFT, at, _RIGHT, at, "grid") + text(_LEFT - 6, at + 5, label, anchor="end", kind="soft"))
    return parts


def _months(area: Area, report: BacktestReport) -> list[str]:
    """First days of months, as many as there is room for; of a short span, its two ends."""
    firsts = _first_days(report.start, report.end)
    step = -(-len(firsts) // _MONTHS) or 1
    shown = [(when, f"{when:%Y-%m}") for when in firsts[::step]]
    if len(shown) < 2:  # noqa: PLR2004 - one mark says nothing about a distance
        shown = [(report.start, f"{report.start:%m-%d}"), (report.end, f"{report.end:%m-%d}")]
    parts = []
    for when, label in shown:
        at = area.x(when.timestamp())
        parts.append(rule(at, _TOP, at, _BOTTOM, "grid") + text(at, _BOTTOM + 18, label, anchor="middle", kind="soft"))
    return parts


def _first_days(start: datetime, end: datetime) -> list[datetime]:
    found, year, month = [], start.year, start.month
    while (first := start.replace(year=year, month=month, day=1, hour=0, minute=0, second=0, microsecond=0)) < end:
        if first >= start:
            found.append(first)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)  # noqa: PLR2004 - December
    return found


def _square(x: float, y: float) -> str:
    return f'<rect x="{x - 5:g}" y="{y - 5:g}" width="10" height="10"/>'
