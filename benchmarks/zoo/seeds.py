"""Several zoos side by side: what of a score is luck of the seed, and what comes back with each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from statistics import mean, stdev
from typing import Any, cast

from benchmarks.report import Table
from benchmarks.zoo.measure import Zoo, judge_streams
from benchmarks.zoo.referee import MARKS, Finding
from benchmarks.zoo.streams import Variant

QUIET = ("stable", "harmless")
"""Kinds of streams on which every retraining and every escalation is needless."""
WEEKS_A_YEAR = 365.25 / 7
Score = Mapping[str, float | None]


def zoos_of(words: Sequence[str], usual: Zoo) -> tuple[Zoo, ...]:
    """Read seeds as they are written: `3`, or `3:drawn` where the numbers are of another variant than the usual one.

    Raises
    ------
    ValueError
        If a word is neither.

    Examples
    --------
    >>> [zoo.name for zoo in zoos_of(["1", "3:drawn"], Zoo())]
    ['shared-1-52', 'drawn-3-52']
    """
    return tuple(_zoo_of(word, usual) for word in words)


def _zoo_of(word: str, usual: Zoo) -> Zoo:
    seed, _, variant = word.partition(":")
    if not seed.isdigit() or variant not in {"", "shared", "drawn"}:
        raise ValueError(f"a seed is a number, or a number and `:shared` or `:drawn`, and not {word!r}")
    chosen = cast("Variant", variant or usual.variant)
    return replace(usual, seed=int(seed), variant=chosen)


def measure_seeds(zoos: Sequence[Zoo], names: Sequence[str], workers: int) -> tuple[Table, dict[str, Any]]:
    """Run the streams of each zoo, and put their scores into one table, with mean and spread.

    Parameters
    ----------
    zoos
        One for each seed and variant.
    names
        Which streams, of each.
    workers
        Streams that are run side by side.
    """
    found = {zoo.name: judge_streams(zoo, names, workers) for zoo in zoos}
    scores = {zoo.name: score_zoo(found[zoo.name], zoo.weeks) for zoo in zoos}
    figures = {
        "zoos": [{"seed": zoo.seed, "variant": zoo.variant, "weeks": zoo.weeks} for zoo in zoos],
        "scores": scores,
        "spread": spread_of(list(scores.values())),
        "findings": {name: [asdict(finding) for finding in findings] for name, findings in found.items()},
    }
    labels = [f"{zoo.seed}, {zoo.variant}" for zoo in zoos]
    return make_seed_table(labels, list(found.values()), zoos[0].weeks), figures


def score_zoo(findings: Sequence[Finding], weeks: int) -> dict[str, float | None]:
    """Sum up a zoo in the figures of its goals.

    Returns
    -------
    dict
        Counts of marks; share that is right; regrets as fractions (None without any); needless retrainings and
        escalations a stream and year, where nothing changes; windows blocked where nothing is broken.
    """
    regrets = [finding.regret for finding in findings if finding.regret is not None]
    quiet = [finding for finding in findings if finding.kind in QUIET]
    years = len(quiet) * weeks / WEEKS_A_YEAR
    return {
        **{mark: sum(finding.mark == mark for finding in findings) for mark in MARKS},
        "right": sum(finding.mark == "RIGHT" for finding in findings) / len(findings) if findings else None,
        "mean_regret": math.fsum(regrets) / len(regrets) if regrets else None,
        "worst_regret": max(regrets, default=None),
        "needless_retrainings": sum(one.retrainings for one in quiet) / years if years else None,
        "needless_escalations": sum(one.escalations for one in quiet) / years if years else None,
        "sound_windows_blocked": sum(one.blocked for one in findings if one.kind != "fault"),
    }


def spread_of(scores: Sequence[Score]) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation of each figure over the seeds; None where it is not known of any, or of one only."""
    found: dict[str, dict[str, float | None]] = {}
    for name in scores[0] if scores else ():
        known = [value for score in scores if (value := score[name]) is not None]
        found[name] = {"mean": mean(known) if known else None, "sd": stdev(known) if len(known) > 1 else None}
    return found


def make_seed_table(labels: Sequence[str], zoos: Sequence[Sequence[Finding]], weeks: int) -> Table:
    """A row for each seed, their mean and spread, and in the notes what was not right."""
    scores: list[Score] = [score_zoo(findings, weeks) for findings in zoos]
    spread = spread_of(scores)
    rows = [_row(label, score) for label, score in zip(labels, scores, strict=True)]
    rows += [_row(what, {name: one[kind] for name, one in spread.items()}) for what, kind in _SPREADS if scores]
    streams = max(map(len, zoos), default=0)
    return Table(
        title=f"Zoo of {streams} streams, {weeks} weeks, looked at every week, by seed",
        heads=("seed, numbers", *(head for head, _, _ in _COLUMNS)),
        rows=tuple(rows),
        notes=tuple(_not_right(labels, zoos)),
    )


def _count(value: float) -> str:
    return f"{value:.3g}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("right", "RIGHT", _count),
    ("weak", "WEAK", _count),
    ("wrong", "WRONG", _count),
    ("share right", "right", _percent),
    ("mean regret", "mean_regret", _percent),
    ("worst regret", "worst_regret", _percent),
    ("needless retrainings a stream and year", "needless_retrainings", _count),
    ("needless escalations", "needless_escalations", _count),
    ("sound windows blocked", "sound_windows_blocked", _count),
)
_SPREADS = (("mean", "mean"), ("standard deviation", "sd"))


def _row(label: str, score: Score) -> tuple[str, ...]:
    values = [(score[name], words) for _, name, words in _COLUMNS]
    return (label, *("-" if value is None else words(value) for value, words in values))


def _not_right(labels: Sequence[str], zoos: Sequence[Sequence[Finding]]) -> list[str]:
    """Each stream that is not right, with its seed and what is held against it."""
    return [
        f"{label}: {one.name} {one.mark}: {'; '.join((*one.severe, *one.mild))}."
        for label, findings in zip(labels, zoos, strict=True)
        for one in findings
        if one.mark != "RIGHT"
    ]
