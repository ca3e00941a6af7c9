"""Reports of earlier windows, counted: a window counts once, and a report about another champion for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.retraining import History, MonitoringInput, SignalKind
from airflow_mlops.core.records.shadow import ShadowReport
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.model import ModelSpec

Report = TypeVar("Report", DriftReport, PerformanceReport)
About = TypeVar("About", DriftReport, PerformanceReport, ShadowReport)


@dataclass(frozen=True, kw_only=True)
class SignalInput:
    """Everything that a decision is made from."""

    spec: ModelSpec
    champion: Champion
    seen: MonitoringInput
    history: History

    @property
    def drift(self) -> DriftReport | None:
        """What was seen of drift, if it is about this champion."""
        return _about(self.seen.drift, self.champion)

    @property
    def performance(self) -> PerformanceReport | None:
        """What was seen of performance, if it is about this champion."""
        return _about(self.seen.performance, self.champion)

    @property
    def shadow(self) -> ShadowReport | None:
        """What the gate says of a fresh model, if it was held against this champion."""
        return _about(self.seen.shadow, self.champion)

    @property
    def changed(self) -> datetime | None:
        """Since when what was learned before does not hold: by decay, or else by what the champion was trained for."""
        report = self.performance
        decayed = None if report is None else report.changed
        return decayed or self.champion.candidate.changed

    @property
    def drifts(self) -> tuple[DriftReport, ...]:
        """Drift reports about this champion, one for each window, newest first."""
        return _windows(self.drift, self.history.drift, self.champion)

    @property
    def performances(self) -> tuple[PerformanceReport, ...]:
        """Performance reports about this champion, one for each window, newest first."""
        return _windows(self.performance, self.history.performance, self.champion)


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many of the last windows violate."""

    newest: bool
    violations: int
    windows: int
    needed: int
    of: int

    @property
    def enough(self) -> bool:
        """Whether so many violate that it is a signal, the newest window among them."""
        return self.newest and self.violations >= self.needed

    def __str__(self) -> str:
        return f"in {self.violations} of the last {self.windows} windows ({self.needed} of {self.of} make a signal)"


def _counted(violations: Sequence[bool], needed: int, of: int) -> Count:
    last = violations[:of]
    return Count(newest=bool(last and last[0]), violations=sum(last), windows=len(last), needed=needed, of=of)


def _about(report: About | None, champion: Champion) -> About | None:
    return report if report is not None and report.champion_version == champion.version else None


def _windows(newest: Report | None, earlier: Iterable[Report], champion: Champion) -> tuple[Report, ...]:
    """One report for each window, newest first: of several about a window the newest look, `seen` before all."""
    known: dict[Window, Report] = {}
    before = [report for report in earlier if report.champion_version == champion.version]
    if newest is not None:
        # A look into the future of the newest one is none of its history: a clock was wrong, or a backfill goes back.
        before = [
            report for report in before if report.as_of <= newest.as_of and report.window.end <= newest.window.end
        ]
        known[newest.window] = newest
    for report in sorted(before, key=lambda report: report.as_of, reverse=True):
        known.setdefault(report.window, report)
    return tuple(sorted(known.values(), key=lambda report: (report is newest, report.window.end), reverse=True))


def decays(case: SignalInput) -> Count | None:
    """Count windows of realised decay; None when the newest was not measured."""
    bounds = case.spec.monitoring.performance
    if case.performance is None:
        return None
    return _counted([report.verdict == "decay" for report in case.performances], bounds.violations, bounds.of)


def estimated_decays(case: SignalInput) -> Count | None:
    """Count windows of estimated decay; None when the newest has outcomes, or no estimate."""
    bounds = case.spec.monitoring.performance
    newest = case.performance
    if newest is None or newest.verdict != "unknown" or newest.estimate is None:
        return None
    found = [report.estimate is not None and report.estimate.verdict == "decay" for report in case.performances]
    return _counted(found, bounds.violations, bounds.of)


def input_drifts(case: SignalInput) -> Count | None:
    """Count windows whose features drift; None when the newest was not measured."""
    bounds = case.spec.monitoring.drift
    if case.drift is None:
        return None
    return _counted([report.verdict == "drift" for report in case.drifts], bounds.violations, bounds.of)


def prediction_drifts(case: SignalInput) -> Count | None:
    """Count windows whose predictions drift; None when the newest was not measured."""
    bounds = case.spec.monitoring.drift
    if case.drift is None:
        return None
    # The predictions of a window that is invalid are not believed either.
    found = [report.prediction == "drift" and report.verdict != "invalid" for report in case.drifts]
    return _counted(found, bounds.violations, bounds.of)


COUNTS: Mapping[SignalKind, Callable[[SignalInput], Count | None]] = {
    "decay": decays,
    "estimated_decay": estimated_decays,
    "prediction_drift": prediction_drifts,
    "input_drift": input_drifts,
}
