"""Advice on a first model in words, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_mlops.core.records.advice import AS_IT_IS, AdviceReport, Look, Trial
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.evidence import Interval
from airflow_mlops.core.records.wording import format_interval, format_p, format_settings
from airflow_mlops.core.text import clip_text, format_number, metric_label
from airflow_mlops.reports.backtest.tables import day

_VERDICTS = {Verdict.ACCEPT: "accepted", Verdict.REJECT: "rejected", Verdict.INCONCLUSIVE: "inconclusive"}
HEADS = (
    "remedy",
    "in the specification",
    "newest step",
    "accepted",
    "metric",
    "candidate",
    "constant",
    "gain (interval)",
    "luck (p)",
    "first champion",
)


def advice_lines(report: AdviceReport) -> Iterator[str]:
    """Everything for a terminal, line by line."""
    looks = report.trials[0].looks
    yield (
        f"{report.model}: a first model at {len(looks)} {'step' if len(looks) == 1 else 'steps'}, {day(looks[0].as_of)}"
        f" to {day(looks[-1].as_of)}, {report.every_seconds / 86400:g} days apart"
    )
    yield ""
    yield from _table([HEADS, *(cells(trial) for trial in report.trials)])
    yield ""
    for trial in report.trials:
        if trial.because:
            yield f"  {trial.title}: {clip_text(trial.because)}"
    for trial in report.trials:
        if trial.newest.verdict is not Verdict.ACCEPT:
            yield f"  {trial.title}, newest step: {clip_text(trial.newest.reason)}"
    yield ""
    yield report.why
    yield from (f"  {note}" for note in report.notes)


def cells(trial: Trial) -> tuple[str, ...]:
    """One row of the table, in the order of `HEADS`."""
    newest = trial.newest
    return (
        trial.title,
        "; ".join(format_settings(trial.settings)) or "-",
        "not trained" if newest.verdict is None else _VERDICTS[newest.verdict],
        f"{trial.accepted} of {len(trial.counted)}",
        metric_label(newest.metric) or "-",
        format_number(newest.candidate),
        format_number(newest.constant),
        _gain(newest),
        "-" if trial.name == AS_IT_IS else format_p(trial.p),
        day(trial.first_champion),
    )


def _gain(look: Look) -> str:
    if look.gain is None:
        return "-"
    if look.lower is None or look.upper is None:
        return f"{format_number(look.gain)} (no interval)"
    return format_interval(Interval(value=look.gain, lower=look.lower, upper=look.upper))


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, tuple("-" * width for width in widths))
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
