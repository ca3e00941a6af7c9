"""The page of a backtest: one file of HTML that reads offline."""

from __future__ import annotations

from datetime import datetime
from html import escape

from airflow_mlops.core.records.backtest import BacktestReport, Line, Turn
from airflow_mlops.reports.backtest.plots import lead_over_always, loss_over_time, points
from airflow_mlops.reports.backtest.tables import MEANINGS, NAMES, cells, heads, name_of, number
from airflow_mlops.reports.html import banner, facts, mark, optional, page, section, table, words

_TONES = {"retrain": "unsure", "escalate": "bad", "block": "bad", "invalid": "bad"}


def render(report: BacktestReport) -> str:
    """Write the whole page."""
    own = next((line for line in report.lines if line.policy == "specification"), None)
    return page(
        f"Backtest of {report.model}",
        _answer(report, own),
        facts(
            {
                "Replayed": f"{report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC",
                "A step": f"every {report.every_seconds / 86400:g} days",
                "Measured by": f"{report.metric}, {'more' if report.greater_is_better else 'less'} is better",
                "Specification": report.spec_fingerprint[:12],
                "Data": report.data_fingerprint[:12],
            }
        ),
        section("Policies", _policies(report)),
        f'<div class="plots"><div>{loss_over_time(report, list(NAMES))}</div>'
        f"<div>{lead_over_always(report)}</div></div>",
        optional("Grid", points(report), _grid(report)),
        optional("What the specification's own policy did", "" if own is None else _turns(own)),
        section("What the columns mean", facts(_meanings())),
        optional("Notes", "".join(words(note) for note in report.notes)),
    )


def _answer(report: BacktestReport, own: Line | None) -> str:
    """The specification's policy against the two simple ones, in a sentence each."""
    if own is None or own.mean_loss is None:
        return ""
    sign = 1.0 if report.greater_is_better else -1.0
    sentences, better = [], True
    for name in ("always", "point_estimate", "never"):
        other = next((line for line in report.lines if line.policy == name), None)
        if other is None or other.mean_loss is None:
            continue
        gain = sign * (own.mean_loss - other.mean_loss)
        better = better and gain > 0
        sentences.append(
            f"{'Better' if gain > 0 else 'Not better'} than '{NAMES[name]}' in the mean: {number(own.mean_loss)} "
            f"against {number(other.mean_loss)}, with {own.promotions} promotions against {other.promotions}."
        )
    verdict = "The specification's own policy beats the simple ones" if better else "A simple policy does as well"
    return banner("good" if better else "unsure", verdict, sentences)


def _policies(report: BacktestReport) -> str:
    rows = [(escape(NAMES[line.policy]), *map(escape, cells(line))) for line in report.lines]
    titles = ("Policy", *heads(report))
    return table(titles, rows, numbers=frozenset(range(1, len(titles))))


def _grid(report: BacktestReport) -> str:
    if not report.grid:
        return ""
    titles = ("Settings", "", *heads(report))
    rows = [
        (escape(name_of(line)), mark("good", "front") if line.pareto else "", *map(escape, cells(line)))
        for line in report.grid
    ]
    paths = ", ".join(dict.fromkeys(path for line in report.grid for path in line.settings))
    about = f"Settings: {paths}. On the front: no other point is as good in mean and promotions, and better in one."
    return table(titles, rows, numbers=frozenset(range(2, len(titles)))) + words(about)


def _turns(line: Line) -> str:
    rows = [
        (
            _day(turn.as_of),
            mark(_TONES.get(turn.action, "plain"), turn.action),
            mark("good", "promoted") if turn.promoted else "",
            _day(turn.serving),
            number(turn.loss),
            _behind(turn),
            escape(turn.reason),
        )
        for turn in line.turns
    ]
    titles = ("As of", "Did", "", "Serving is of", "Loss until next", "Decayed", "Because")
    return table(titles, rows, numbers=frozenset({4}), stack=True)


def _day(moment: datetime) -> str:
    return f'<span style="white-space:nowrap">{moment:%Y-%m-%d}</span>'


def _behind(turn: Turn) -> str:
    if turn.behind is None:
        return "not known"
    return mark("bad", "yes") if turn.behind else "no"


def _meanings() -> dict[str, str]:
    titles = {
        "retrainings": "retrainings",
        "promotions": "promotions",
        "mean": "mean",
        "worst": "worst",
        "behind": "decays, days",
        "false": "false alarms",
        "told": "owner asked",
        "seconds": "seconds",
    }
    return {titles[name]: meaning for name, meaning in MEANINGS.items()}
