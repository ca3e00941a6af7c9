"""The page of a backtest: one file of HTML that reads offline."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_mlops.core.records.backtest import BacktestReport, Line, Turn
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.text import format_number
from airflow_mlops.reports.backtest.plots import STYLES, lead_over_always, loss_over_time, points
from airflow_mlops.reports.backtest.tables import MEANINGS, NAMES, all_lines, cells, heads, name_of
from airflow_mlops.reports.html import Banner, render_page

_TONES = {"retrain": "unsure", "escalate": "bad", "block": "bad", "invalid": "bad"}


def render(report: BacktestReport) -> str:
    """Write the whole page."""
    own = next((line for line in report.lines if line.policy == "specification"), None)
    beside = f"<div>{loss_over_time(report, list(STYLES))}</div><div>{lead_over_always(report)}</div>"
    return render_page(
        f"Backtest of {report.model}",
        _sections(report, own),
        banner=_answer(report, own),
        facts={
            "Replayed": f"{report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC",
            "A step": f"every {report.every_seconds / 86400:g} days",
            "Measured by": f"{report.metric}, {'more' if report.greater_is_better else 'less'} is better",
            "Specification": report.spec_fingerprint[:12],
            "Data": report.data_fingerprint[:12],
        },
        plots={"policies": f'<div class="plots">{beside}</div>', "grid": points(report)},
    )


def _sections(report: BacktestReport, own: Line | None) -> Iterator[Section]:
    yield Section(
        key="policies",
        title="Policies",
        headings=("Policy", *heads(report)),
        rows=tuple((NAMES[line.policy], *cells(line)) for line in all_lines(report)),
    )
    if report.grid:
        yield _grid(report)
    if own is not None and own.turns:
        yield _turns(own)
    yield Section(title="What the columns mean", facts=_meanings())
    if report.notes:
        yield Section(title="Notes", sentences=report.notes)


def _answer(report: BacktestReport, own: Line | None) -> Banner | None:
    """The specification's policy against the two simple ones, in a sentence each."""
    if own is None or own.mean_loss is None:
        return None
    sign = 1.0 if report.greater_is_better else -1.0
    sentences, better = [], True
    for name in ("always", "point_estimate", "never"):
        other = next((line for line in report.lines if line.policy == name), None)
        if other is None or other.mean_loss is None:
            continue
        gain = sign * (own.mean_loss - other.mean_loss)
        better = better and gain > 0
        better_or_not = "Better" if gain > 0 else "Not better"
        sentences.append(
            f"{better_or_not} than '{NAMES[name]}' in the mean: {format_number(own.mean_loss)} "
            f"against {format_number(other.mean_loss)}, with {own.promotions} promotions against {other.promotions}."
        )
    verdict = "The specification's own policy beats the simple ones" if better else "A simple policy does as well"
    return Banner(tone="good" if better else "unsure", verdict=verdict, reasons=sentences)


def _grid(report: BacktestReport) -> Section:
    paths = ", ".join(dict.fromkeys(path for line in report.grid for path in line.settings))
    return Section(
        key="grid",
        title="Grid",
        sentences=(
            f"Settings: {paths}. On the front: no other point is as good in mean and promotions, and better in one.",
        ),
        headings=("Settings", "", *heads(report)),
        rows=tuple((name_of(line), "front" if line.pareto else "", *cells(line)) for line in report.grid),
        tones=tuple(("", "good" if line.pareto else "") for line in report.grid),
    )


def _turns(line: Line) -> Section:
    return Section(
        key="turns",
        title="What the specification's own policy did",
        headings=("as of", "did", "", "serving is of", "loss until next", "decayed", "because"),
        rows=tuple(
            (
                f"{turn.as_of:%Y-%m-%d}",
                turn.action,
                "promoted" if turn.promoted else "",
                f"{turn.serving:%Y-%m-%d}",
                format_number(turn.loss),
                {None: "not known", True: "yes", False: "no"}[turn.behind],
                turn.reason,
            )
            for turn in line.turns
        ),
        tones=tuple(_tones(turn) for turn in line.turns),
    )


def _tones(turn: Turn) -> tuple[str, ...]:
    return (
        "",
        _TONES.get(turn.action, "plain"),
        "good" if turn.promoted else "",
        "",
        "",
        "bad" if turn.behind else "",
    )


def _meanings() -> dict[str, str]:
    titles = {
        "retrainings": "retrainings",
        "promotions": "promotions",
        "mean": "mean",
        "objective": "objective",
        "oracle": "to the oracle",
        "worst": "worst",
        "behind": "decays, days",
        "false": "false alarms",
        "told": "owner asked",
        "seconds": "seconds",
    }
    return {titles[name]: meaning for name, meaning in MEANINGS.items()}
