"""Parts of a retraining case: specification, champion, reports, challengers and decisions of a model `m`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_mlops.core.records.candidate import Champion, Feature
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.drift import CauseHint, DriftReport
from airflow_mlops.core.records.performance import Estimate, Measured, PerformanceReport
from airflow_mlops.core.records.retraining import Challenge, RetrainDecision, Signal
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.model import ModelSpec
from tests.support.builders import make_candidate, make_champion, make_spec

TRAINED = datetime(2013, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NOW = TRAINED + 100 * DAY
FAULT = CauseHint(column="temp", cause="unit_change", pipeline=True, words="temp looks 1.8 times as large.")
WORLD = CauseHint(column="temp", cause="world", pipeline=False, words="temp moved.")


def spec(label_delay: str = "0d", *, monitoring: dict[str, Any] | None = None, **retraining: Any) -> ModelSpec:
    data = {"label_delay": label_delay}
    return make_spec(owner="team", data=data, monitoring=monitoring or {}, retraining=retraining)


def champion(version: int = 4, as_of: datetime = TRAINED) -> Champion:
    features = (Feature(name="x", role="numeric"),)
    return make_champion(make_candidate(as_of, run_id=f"r{version}", features=features), version)


CHAMPION = champion()


def drift(verdict: str = "drift", at: datetime = NOW, **changes: Any) -> DriftReport:
    report = DriftReport(
        model="m",
        champion_version=4,
        window=Window(start=at - 7 * DAY, end=at),
        reference=CHAMPION.candidate.train,
        rows=1000,
        verdict=verdict,  # type: ignore[arg-type]
        columns=(),
        reasons=(f"The drift verdict of {at:%m-%d} is {verdict}.",),
        as_of=at,
        prediction="ok",
    )
    return replace(report, **changes)


def performance(verdict: str = "decay", at: datetime = NOW, estimated: str = "", **changes: Any) -> PerformanceReport:
    window = Window(start=at - 15 * DAY, end=at - DAY)
    report = PerformanceReport(
        model="m",
        champion_version=4,
        as_of=at,
        window=window,
        metric="log_loss",
        predicted=1000,
        matched=900,
        coverage=0.9,
        immature=10,
        promised=0.5,
        verdict=verdict,  # type: ignore[arg-type]
        reasons=(f"Performance of {at:%m-%d} is {verdict}.",),
        estimate=None
        if not estimated
        else Estimate(
            method="cbpe",
            window=Window(start=at - DAY, end=at),
            estimated=Measured(value=0.6, rows=500),
            drop=0.1,
            verdict=estimated,  # type: ignore[arg-type]
            assumptions=(),
        ),
    )
    return replace(report, **changes)


def challenge(
    days: float, verdict: Verdict | None = Verdict.REJECT, *, promoted: bool = False, **more: Any
) -> Challenge:
    """A training run as of so many days before NOW."""
    return Challenge(as_of=NOW - days * DAY, run_id=f"c{days}", verdict=verdict, promoted=promoted, **more)


def logged(
    days: float, action: str = "retrain", rule: str = "signal", number: int = 1, **changes: Any
) -> RetrainDecision:
    """A decision as of so many days before NOW."""
    decision = RetrainDecision(
        model="m",
        action=action,  # type: ignore[arg-type]
        as_of=NOW - days * DAY,
        reasons=("because",),
        evidence={"champion_version": "4"},
        key=f"m/v4/{days} days before",
        rule=rule,
        number=number,
    )
    return replace(decision, **changes)


def ask(kind: str = "manual", state: str = "on", reason: str = "ada asks") -> Signal:
    return Signal(kind=kind, state=state, reason=reason)  # type: ignore[arg-type]
