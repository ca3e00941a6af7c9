"""The plots of the decision page, from the evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from airflow_mlops.core.records.decision import RuleResult
from airflow_mlops.core.records.evidence import Curve, Disparity, Perturbation, Reliability, SliceResult
from airflow_mlops.core.records.wording import bound_of, difference_tone, slice_tone
from airflow_mlops.core.text import SHORT, clip_text, spell_out
from airflow_mlops.reports.decision.wording import TONE
from airflow_mlops.reports.svg import Area, Scale, figure, rule, span, text
from airflow_mlops.reports.svg_rows import Row, rows_plot

MOST_ROWS = 25
"""Lines of one plot; the worst are drawn."""
MOST_CURVES = 3
"""Plots of one kind: of classes, or of metrics."""
_KEYS = {"candidate": "one", "champion": "two"}


def intervals(rules: Iterable[RuleResult]) -> str:
    """Gains with their intervals, one plot for each unit: they share an axis, with zero and the bound on it."""
    drawn = [found for found in rules if _finite(found.value, found.lower, found.upper) and found.rule in _AGAINST]
    drawn.sort(key=lambda found: list(_AGAINST).index(found.rule))
    plots: list[str] = []
    for metric in list(dict.fromkeys(found.metric for found in drawn))[:MOST_CURVES]:
        rows = [_gain(found) for found in drawn if found.metric == metric][:MOST_CURVES]
        plots += [_gains(metric, part) for part in ([rows] if _readable(rows) else [[row] for row in rows])]
    return plots_beside(plots)


def _gains(metric: str, rows: list[Row]) -> str:
    words = spell_out(metric)
    one = f" {rows[0].label}" if len(rows) == 1 else ""
    return rows_plot(f"Gain{one} in {words}", rows, axis=f"gain, in units of {words}", ends=("worse", "better"))


def _readable(rows: Sequence[Row]) -> bool:
    """Whether each interval is wide enough on the common axis to see on which side of its bound it lies."""
    low, high = span([0.0, *(end for row in rows for end in (row.lower, row.upper))])
    return all(row.upper - row.lower >= (high - low) / 8 for row in rows)


_AGAINST = {"champion": "over the champion", "first_model": "first model", "baseline": "over the baseline"}


def plots_beside(plots: Iterable[str]) -> str:
    """Plots beside each other where there is room; nothing for none."""
    found = [plot for plot in plots if plot]
    return f'<div class="plots">{"".join(found)}</div>' if found else ""


def _gain(found: RuleResult) -> Row:
    return Row(
        label=_AGAINST[found.rule],
        value=found.value if found.value is not None else math.nan,
        lower=found.lower if found.lower is not None else math.nan,
        upper=found.upper if found.upper is not None else math.nan,
        bound=bound_of(found.bound),
        tone=TONE[found.verdict],
    )


def slice_drops(slices: Sequence[SliceResult], metric: str, rules: Sequence[RuleResult]) -> str:
    """Drop of each judged slice against the champion, worst first."""
    words = [rule.bound for rule in rules if rule.rule == "slices" and rule.bound.startswith("drop ")]
    bound = bound_of(words[0]) if words else None
    found = [(result, result.drop) for result in slices if result.drop is not None and result.judged]
    found.sort(key=lambda pair: -pair[1].value if math.isfinite(pair[1].value) else math.inf)
    drawn = [
        Row(
            label=f"{clip_text(result.column, SHORT)} = {clip_text(result.value, SHORT)}",
            value=drop.value,
            lower=drop.lower,
            upper=drop.upper,
            bound=bound,
            tone=slice_tone(result, rules),
        )
        for result, drop in found[:MOST_ROWS]
    ]
    return rows_plot(
        f"Drop against the champion{f', the worst {MOST_ROWS} slices' if len(found) > MOST_ROWS else ''}",
        drawn,
        axis=f"drop, in units of {spell_out(metric)}",
        ends=("better", "worse"),
    )


def differences(found: Sequence[Disparity]) -> str:
    """Differences between groups, with their bounds."""
    rows = [
        Row(
            label=f"{clip_text(item.column, SHORT)}: {_MEASURES.get(item.measure, spell_out(item.measure))}",
            value=item.difference.value,
            lower=item.difference.lower,
            upper=item.difference.upper,
            bound=item.bound,
            tone=difference_tone(item),
        )
        for item in found[:MOST_ROWS]
    ]
    return rows_plot("Largest differences between groups", rows, axis="difference (0: groups are alike)")


_MEASURES = {"demographic_parity_difference": "parity", "equalized_odds_difference": "odds"}


def reliability(found: Sequence[Reliability]) -> str:
    """What was predicted against what happened, and below it how many rows were predicted so."""
    plots = []
    for event in list(dict.fromkeys(item.event for item in found))[:MOST_CURVES]:
        items = [item for item in found if item.event == event and item.bins]
        if items:
            plots.append(_reliability(items, event))
    return plots_beside(plots)


def _reliability(items: Sequence[Reliability], event: str) -> str:
    ends = [n for item in items for b in item.bins for n in (b.predicted, b.observed.value, b.observed.upper)]
    top = min(1.0, max(1e-3, *(n for n in ends if math.isfinite(n))) * 1.05) if any(map(math.isfinite, ends)) else 1.0
    counts = [float(b.rows) for item in items for b in item.bins]
    area = Area(x=Scale(0.0, top, 56, 466), y=Scale(0.0, top, 320, 28))
    below = Area(x=area.x, y=Scale(0.0, max([*counts, 1.0]) * 1.1, 460, 400))
    parts = [area.axes("predicted probability", "share where it came true"), area.reference((0, 0), (top, top))]
    parts.append(_histogram_axes(below))
    for item in items:
        who = _KEYS[item.who]
        parts.append(area.line([b.predicted for b in item.bins], [b.observed.value for b in item.bins], who))
        for part in item.bins:
            ends_of = part.observed.lower, part.observed.upper
            parts.append(area.dot(part.predicted, part.observed.value, ends_of, who))
            parts.append(below.bar(part.predicted, float(part.rows), -5.5 if who == "one" else 0.5, who))
    says = "; ".join(f"{item.who}: expected calibration error {item.error.value:.4g}" for item in items)
    return figure(
        f"Reliability: {clip_text(event, SHORT)}",
        "".join(parts),
        470,
        says=says,
        keys=_legend(item.who for item in items),
    )


def _histogram_axes(area: Area) -> str:
    most = area.y.high / 1.1
    return (
        text(4, area.y.end - 10, "rows")
        + text(area.x.start - 6, area.y(most) + 5, f"{most:,.0f}", anchor="end", kind="soft")
        + rule(area.x.start, area.y.start, area.x.end, area.y.start, "axis")
    )


def _legend(who: Iterable[str]) -> list[tuple[str, str]]:
    return [(_KEYS[name], name) for name in dict.fromkeys(who)]


_AXES = {
    "roc": ("ROC", "false positive rate", "true positive rate"),
    "precision_recall": ("Precision and recall", "recall", "precision"),
    "residuals": ("Residuals", "", "residual"),
}


def curves(found: Sequence[Curve]) -> str:
    """Candidate and champion on the same axes, a plot for each kind and class."""
    kinds = list(dict.fromkeys((curve.name, curve.of) for curve in found))
    kept = [kind for name in _AXES for kind in [k for k in kinds if k[0] == name][:MOST_CURVES]]
    return plots_beside(_curve([c for c in found if (c.name, c.of) == kind]) for kind in kept)


def _curve(lines: Sequence[Curve]) -> str:
    title, across, up = _AXES[lines[0].name]
    if not any(_finite(x, y) for line in lines for x, y in zip(line.x, line.y, strict=True)):
        return ""
    if lines[0].name == "residuals":
        area = Area(
            x=Scale(*span(x for line in lines for x in line.x), 66, 466),
            y=Scale(*span([0.0, *(y for line in lines for y in line.y)], pad=0.04), 320, 28),
        )
        reference = area.reference((area.x.low, 0.0), (area.x.high, 0.0))
        across = clip_text(lines[0].of, SHORT)
    else:
        area = Area(x=Scale(0.0, 1.0, 56, 466), y=Scale(0.0, 1.0, 320, 28))
        reference = area.reference((0, 0), (1, 1)) if lines[0].name == "roc" else ""
        title = f"{title}: class {clip_text(lines[0].of, SHORT)}"
    body = area.axes(across, up) + reference + "".join(area.line(c.x, c.y, _KEYS[c.who]) for c in lines)
    says = f"{up} against {across} for {' and '.join(line.who for line in lines)}"
    return figure(title, body, 368, says=says, keys=_legend(line.who for line in lines))


def drops(found: Sequence[Perturbation], metric: str, bounds: dict[str, float | None]) -> str:
    """Drop of the metric under each kind of broken input, shuffled columns sorted by it."""
    return plots_beside(_drops(found, metric, bounds))


def _drops(found: Sequence[Perturbation], metric: str, bounds: dict[str, float | None]) -> Iterator[str]:
    for title, kinds in (("Missing values and noise", ("missing", "noise")), ("Shuffled columns", ("shuffled",))):
        items = [item for item in found if item.kind in kinds]
        if kinds == ("shuffled",):
            items.sort(key=lambda item: -item.drop if math.isfinite(item.drop) else math.inf)
        rows = [
            Row(
                label=clip_text(item.what if item.kind == "shuffled" else f"{item.kind}: {item.what}", SHORT),
                value=item.drop,
                bound=bounds.get(item.kind),
                tone="bad" if _beyond(item.drop, bounds.get(item.kind)) else "plain",
            )
            for item in items[:MOST_ROWS]
        ]
        yield rows_plot(title, rows, axis=f"drop, in units of {spell_out(metric)}", bars=True)


def _beyond(drop: float, bound: float | None) -> bool:
    return bound is not None and not drop <= bound


def _finite(*values: float | None) -> bool:
    return all(value is not None and math.isfinite(value) for value in values)
