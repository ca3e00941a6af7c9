"""The zoo's table and its score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.report import Table
from benchmarks.zoo.referee import Finding

HEADS = (
    "stream",
    "kind",
    "retrained",
    "promoted",
    "windows blocked",
    "escalated",
    "unknown drift / performance",
    "false alarms",
    "delay, days",
    "own mean loss",
    "never / always / schedule / point",
    "oracle",
    "regret",
    "verdict",
    "why",
    "CPU s",
)
OTHERS = ("never", "always", "schedule", "point_estimate")


def make_table(title: str, findings: Sequence[Finding]) -> Table:
    """Put the findings into rows, and the score below them."""
    return Table(
        title=title, heads=HEADS, rows=tuple(_row(finding) for finding in findings), notes=_words(score_of(findings))
    )


def score_of(findings: Sequence[Finding]) -> dict[str, Any]:
    """Sum up the findings; shares are fractions, and None where nothing is there to be averaged."""
    regrets = [finding.regret for finding in findings if finding.regret is not None]
    gaps = [finding.gap_left for finding in findings if finding.gap_left is not None]
    return {
        "streams": len(findings),
        **{mark: sum(finding.mark == mark for finding in findings) for mark in ("RIGHT", "WEAK", "WRONG")},
        "mean_regret": _mean(regrets),
        "median_regret": median(regrets) if regrets else None,
        "worst_regret": max(regrets, default=None),
        "gap_left": _mean(gaps),
        "gap_streams": len(gaps),
        "false_alarms": sum(finding.false_alarms for finding in findings),
        "escalations": sum(finding.escalations for finding in findings),
        "windows_blocked": sum(finding.blocked for finding in findings),
        "seconds": sum(finding.seconds for finding in findings),
    }


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _words(score: Mapping[str, Any]) -> tuple[str, ...]:
    right = score["RIGHT"] / max(1, score["streams"])
    regret = ", ".join(f"{what} {_share(score[f'{what}_regret'])}" for what in ("mean", "median", "worst"))
    marks = ", ".join(f"{mark} {score[mark]}" for mark in ("RIGHT", "WEAK", "WRONG"))
    needless = f"Retrainings without a change {score['false_alarms']}, escalations {score['escalations']}"
    gap = "-" if score["gap_left"] is None else f"{score['gap_left']:.0%}"
    return (
        f"{marks} of {score['streams']}: {right:.0%} right.",
        f"Regret, own mean loss over the oracle's less 1: {regret}.",
        f"Of what the oracle gains by learning {gap} is lost ({score['gap_streams']} streams).",
        f"{needless}, windows blocked {score['windows_blocked']}.",
    )


def _row(found: Finding) -> tuple[str, ...]:
    numbers = (found.retrainings, found.promotions, found.blocked, found.escalations)
    return (
        found.name,
        found.kind,
        *map(str, numbers),
        f"{found.unknown_drift:.0%} / {found.unknown_performance:.0%}",
        str(found.false_alarms),
        "" if found.delay is None else f"{found.delay:.0f}",
        _number(found.own),
        " / ".join(_number(found.losses.get(policy)) for policy in OTHERS),
        _number(found.oracle),
        _share(found.regret),
        found.mark,
        "; ".join((*found.severe, *found.mild)),
        f"{found.seconds:.0f}",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1%}"
