"""The verdict on a cohort, and everything about it in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_mlops.core.monitoring.performance.expected import ExpectedPerformance
from airflow_mlops.core.monitoring.performance.outcomes import JoinedOutcomes
from airflow_mlops.core.monitoring.performance.prediction_log import LoggedPredictions
from airflow_mlops.core.monitoring.performance.series import NEWEST, ExcessSeries
from airflow_mlops.core.records.performance import DecayVerdict, Measured, Rise
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.stats.two_sample import no_interval
from airflow_mlops.core.text import metric_label
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.monitoring import PerformanceSpec


@dataclass(frozen=True, kw_only=True)
class Counted:
    """How much of a cohort there is."""

    champion: int
    window: Window
    predicted: int
    """Of whichever version."""
    own: int
    """Usable ones of this champion."""
    matched: int
    """Of these, with an outcome."""
    answered: int
    """Of all, with an outcome."""
    unknown_classes: int
    """Outcomes of classes that the champion does not know."""
    finite: bool
    """Whether every outcome, prediction and weight is a finite number."""

    @property
    def coverage(self) -> float:
        """Share of all predictions that have an outcome."""
        return self.answered / self.predicted if self.predicted else 0.0

    @property
    def own_coverage(self) -> float:
        """Share of this champion's predictions that have an outcome."""
        return self.matched / self.own if self.own else 0.0


def judged_words(  # noqa: PLR0917 - by which rules, against what, how much there is, and what was seen
    spec: ModelSpec,
    expected: ExpectedPerformance,
    counted: Counted,
    contradicting: int,
    realised: Measured | None,
    lost: Measured | None,
    series: ExcessSeries,
) -> tuple[DecayVerdict, bool, list[str]]:
    """Judge a cohort: verdict, whether it is urgent, and why.

    Invalid comes first, for nothing can be said of outcomes that contradict each other; then unknown; then decay: a
    sure rise of the excess, a sure loss against the trivial baseline, or, without a row of blocks, a drop whose lower
    bound is above the bound.
    """
    broken = list(_broken(counted, contradicting))
    if broken:
        return "invalid", False, broken
    if series.beaten and series.new:
        return "decay", True, [_beaten_words(series)]
    if series.decides and series.rise is not None and expected.bound is not None:
        return _by_blocks(expected, counted, realised, series, series.rise)
    missing = list(_missing(spec.monitoring.performance, expected, counted, realised, lost))
    if missing or realised is None or lost is None or lost.lower is None or expected.bound is None:
        return "unknown", False, missing
    name, level = metric_label(expected.metric.name), spec.monitoring.performance.confidence
    seen = (
        f"{name} {realised.value:.4g} on {realised.rows:,} rows of {counted.window}, where the gate promised"
        f" {expected.sample.value:.4g}: a drop of {lost.value:.4g}, at least {lost.lower:.4g} with confidence {level:g}"
    )
    if lost.lower <= expected.bound:
        return "ok", False, [f"{seen}; up to {expected.bound:.4g} is no decay"]
    urgent = expected.urgent is not None and lost.lower > expected.urgent
    more = f", and more than the urgent {expected.urgent:.4g}" if urgent else ""
    return "decay", urgent, [f"{seen}; that is more than {expected.bound:.4g}{more}"]


def _by_blocks(
    expected: ExpectedPerformance, counted: Counted, realised: Measured | None, series: ExcessSeries, rise: Rise
) -> tuple[DecayVerdict, bool, list[str]]:
    """The verdict of the row of blocks."""
    name, bound = metric_label(expected.metric.name), expected.bound
    what = f"{name} {realised.value:.4g} on {realised.rows:,} rows of {counted.window}" if realised else name
    promised = f", promised were {expected.value:.4g}" if expected.value is not None else ""
    since = f"since {rise.since:%Y-%m-%d} ({rise.blocks:,} blocks)"
    beside = _BESIDE[rise.beside]
    if not series.sure:
        words = f"no surer rise than {rise.size:.4g} {since}; up to {bound:.4g} is no decay"
        return "ok", False, [f"{what}{promised}: {beside} {words}"]
    more = f", and more than the urgent {expected.urgent:.4g}" if series.urgent else ""
    words = f"it is worse by {rise.size:.4g} {since}, surely by {rise.surely:.4g}; that is more than {bound:.4g}{more}"
    return "decay", series.urgent, [f"{what}{promised}: {beside} {words}"]


_BESIDE = {
    "itself": "against what it expects of these rows",
    "recalibrated": "against itself with a level and slope learned from the rows before",
}


def _beaten_words(series: ExcessSeries) -> str:
    gains = [one.gain for one in series.blocks[-NEWEST:] if one.gain is not None]
    return (
        f"it is surely worse than the trivial baseline: it gained {sum(gains) / len(gains):.4g} on it in the last "
        f"{len(gains):,} blocks"
    )


def oddities(logged: LoggedPredictions, joined: JoinedOutcomes, counted: Counted, ahead: int) -> tuple[str, ...]:
    """What is odd about predictions and outcomes, most serious first."""
    found = (
        (joined.contradicting, "predictions have outcomes that contradict each other"),
        (joined.doubled, "predictions have the same outcome several times: it counts once"),
        (logged.doubled, "predictions are of a row that another one is of: one counts"),
        (joined.moved, "predictions have an outcome only at another event time: the source moved them"),
        (joined.unpredicted, "outcomes belong to no prediction"),
        (joined.keyless, "rows of the source have no key"),
        (counted.unknown_classes, "outcomes are of a class that the champion does not know: they count as missed"),
        (logged.broken, "predictions are missing or not finite: they are left out"),
        (logged.early, "predictions are of rows that the champion was trained or judged on: they are left out"),
        (ahead, "predictions are of event times after as-of, and were made before it: a clock is wrong"),
    )
    return tuple(f"{count:,} {what}" for count, what in found if count)


def _broken(counted: Counted, contradicting: int) -> Iterator[str]:
    if contradicting:
        yield f"{contradicting:,} predictions have outcomes that contradict each other: nobody knows which are true"
    if not counted.finite:
        yield "an outcome, a prediction or a weight is not a finite number"
    if counted.matched and counted.unknown_classes == counted.matched:
        yield f"none of {counted.matched:,} outcomes is a class that the champion knows: was the label retyped?"


def _missing(
    rule: PerformanceSpec,
    expected: ExpectedPerformance,
    counted: Counted,
    realised: Measured | None,
    lost: Measured | None,
) -> Iterator[str]:
    """Everything that keeps a cohort from being judged."""
    if not counted.predicted:
        yield f"no prediction in {counted.window}: nothing was scored, or not yet"
        return
    if not counted.own:
        yield f"none of {counted.predicted:,} predictions in {counted.window} was made by version {counted.champion}"
        return
    if counted.matched < rule.min_rows:
        who = f"{counted.matched:,} predictions of version {counted.champion}"
        yield f"{who} in {counted.window} have an outcome; needed are {rule.min_rows:,}"
    if min(counted.coverage, counted.own_coverage) < rule.min_coverage:
        share = min(counted.coverage, counted.own_coverage)
        yield f"outcomes are known of {share:.1%} of the predictions; needed are {rule.min_coverage:.0%}"
    name = metric_label(expected.metric.name)
    if counted.matched and realised is None:
        yield f"{name} is not defined on these rows"
    if expected.value is None:
        yield f"the gate promised no {name}"
    elif lost is not None and lost.lower is None:
        yield f"{no_interval(expected.sample)} ({name}), and these rows give none either"
    if expected.bound is None:
        yield "there is no bound: set monitoring.performance.max_drop"
