"""Decisions to retrain, made of one window's reports and what came before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from airflow_mlops.core.records.retraining import Challenge, History, MonitoringInput, RetrainDecision
from airflow_mlops.core.retraining.decide import decide_retraining
from tests.support.retrain_cases import (
    CHAMPION,
    DAY,
    NOW,
    drift,
    logged,
    spec,
)

ONE = {"drift": {"violations": 1}, "performance": {"violations": 1}}
"""One window is enough."""


def decide(seen=None, history=None, *, as_of=NOW, who=CHAMPION, **rules) -> RetrainDecision:
    model = spec(**{"monitoring": ONE, **rules})
    return decide_retraining(model, who, seen or MonitoringInput(drift=drift()), history or History(), as_of)


def answers(*challenges: Challenge, **others) -> History:
    """Challengers that decisions asked for, because of decay."""
    asked = [
        replace(logged(0, number=len(challenges) - n), as_of=one.as_of, key=f"key {one.run_id}", signal="decay")
        for n, one in enumerate(challenges)
    ]
    done = tuple(replace(one, answers=(f"key {one.run_id}",)) for one in challenges)
    return History(challenges=done, decisions=(*others.pop("decisions", ()), *asked), **others)


TWO = {"performance": {"violations": 2}}


HOUR = timedelta(hours=1)


def month(make_seen, days=30, history=None, **rules) -> list[RetrainDecision]:
    """Decide once a day, each day with the days before; what is not `wait` is logged."""
    decided: list[RetrainDecision] = []
    known = history or History()
    for day in range(days):
        at = NOW + day * DAY
        seen = make_seen(day, at)
        decision = decide(seen, known, as_of=at, **rules)
        decided.append(decision)
        if decision.action != "wait":
            numbered = replace(decision, number=len(known.decisions) + 1)
            known = replace(known, decisions=(numbered, *known.decisions))
        known = replace(
            known,
            drift=((seen.drift, *known.drift) if seen.drift else known.drift)[:10],
            performance=((seen.performance, *known.performance) if seen.performance else known.performance)[:10],
        )
    return decided
