"""When the champion is compared with a fresh model, and what is written down of it.

Decay is a rise of the champion's own loss, and a sure one needs many sound days where each day has its own luck
(weather, campaigns). What one day does to both of two models cancels in their difference. So a model is trained on
today's rows, out of service, and the gate is asked about it. Looks are few: each costs a training, and each is one more
chance to be wrong.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.retraining import History, MonitoringInput
from airflow_mlops.core.records.shadow import ShadowReport
from airflow_mlops.core.stats.mean_rise import widening
from airflow_mlops.spec.model import ModelSpec

SUSPICION = 1e-3
"""Chance of a champion's row of blocks (`core.stats.mean_rise`) at which it is compared, however young it is."""
CONFIDENCE = 0.95
"""Of a bound that does not say its own."""
LEVEL = 0.05 / 8
"""Chance that one look calls a shadow better that is none: a champion is looked at about eight times in a year."""
GROWTH = 2
"""From one look to the next, the champion's age is multiplied by this."""


def first_age(spec: ModelSpec) -> timedelta:
    """Return how old a champion is when it is first compared with a fresh model.

    Half of what a challenger learns is new then, it is judged on rows that neither knows, and a retraining need not
    wait for the cooldown.
    """
    fresh = spec.gate.holdout + 2 * spec.data.label_delay
    return max(spec.data.window / 2, fresh, spec.retraining.cooldown)


def is_time(spec: ModelSpec, champion: Champion, seen: MonitoringInput, history: History, as_of: datetime) -> bool:
    """Whether the champion's age has reached :func:`first_age`, or has doubled, since the last look.

    Or whether its row of blocks is suspicious, though not sure, and the cooldown is over: then the time since the rise
    has to double. A look that could not be made is made up for by the next window; one that is made again has the same
    answer.

    Notes
    -----
    Looks at ages 1, 2, 4, 8, ...: up to an age of 2**(n - 1) there are n of them.
    """
    born, first = champion.candidate.as_of, first_age(spec)
    looks = [one.as_of for one in history.shadows if one.champion_version == champion.version]
    last = max(looks, default=born)
    if _looks(as_of - born, first) > _looks(last - born, first):
        return True
    return as_of - born >= spec.retraining.cooldown and _suspicious(spec, seen, last, as_of)


def _suspicious(spec: ModelSpec, seen: MonitoringInput, last: datetime, as_of: datetime) -> bool:
    """Whether the champion may have got worse, and twice as many rows as at the last look speak of it."""
    report = seen.performance
    rise = None if report is None else report.rise
    if rise is None or rise.p > SUSPICION or report is None or report.verdict != "ok":
        return False
    since = rise.since + spec.data.label_delay
    return as_of - since >= GROWTH * max(last - since, timedelta(0))


def next_look(spec: ModelSpec, champion: Champion, as_of: datetime) -> datetime:
    """Return the instant from which on the champion is compared with a fresh model again."""
    born, first = champion.candidate.as_of, first_age(spec)
    while born + first <= as_of:
        first *= GROWTH
    return born + first


def _looks(age: timedelta, first: timedelta) -> int:
    """How many looks there were up to an age."""
    count, due = 0, first
    while due <= age:
        count, due = count + 1, due * GROWTH
    return count


def sure_gain(report: ShadowReport, performance: PerformanceReport | None) -> float | None:
    """Return the lower bound of a shadow's gain, of all the looks in a year; None where there is none.

    The gate decides once, and takes its blocks as independent. Of a question that is asked again and again that is not
    enough: what the weather does this week to one model's level, it does next week too. How blocks hang together is
    estimated from the champion's own, of which there are more than the holdout has; and each look has its share
    (`LEVEL`) of what all of them may be wrong about (O. J. Dunn, Multiple comparisons among means, Journal of the
    American Statistical Association 56, 1961).
    """
    if report.gain is None or report.lower is None:
        return None
    before, after = (performance.reference, performance.blocks) if performance else ((), ())
    window, given = report.window, report.confidence or CONFIDENCE
    blocks = sum(window is not None and window.start <= one.start < window.end for one in (*before, *after))
    wider = widening(
        [one.excess for one in before],
        [one.excess for one in after],
        blocks or report.rows,
        confidence=given,
        wanted=max(1 - LEVEL, given),
    )
    return report.gain - wider * (report.gain - report.lower)


def report_shadow(
    spec: ModelSpec, champion: Champion, as_of: datetime, decision: GateDecision | None, problems: tuple[str, ...] = ()
) -> ShadowReport:
    """Return the report of a shadow challenger.

    Parameters
    ----------
    decision
        The gate's; None: no model came of today's rows.
    problems
        Why none did.
    """
    report = ShadowReport(
        model=spec.name, as_of=as_of, champion_version=champion.version, verdict="untrained", reasons=problems
    )
    if decision is None:
        return report
    evaluation = decision.evaluation
    against = next((one for one in evaluation.rules if one.rule == "champion"), None)
    judged = replace(
        report,
        verdict=decision.verdict.value,
        reasons=decision.reasons,
        metric=evaluation.primary,
        rows=evaluation.rows,
        window=evaluation.window,
    )
    if against is None:
        return judged
    return replace(judged, gain=against.value, lower=against.lower, confidence=against.confidence)
