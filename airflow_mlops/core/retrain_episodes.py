"""What was said already: a block or an escalation is told once for each episode, and watching when it begins."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile

from airflow_mlops.core.records.retraining import RetrainDecision
from airflow_mlops.core.retrain_matter import Against, Matter


def told(matter: Matter, first: Against) -> RetrainDecision | None:
    """Return the logged decision that told the owner of this episode already.

    A block's episode ends with a window that was seen without the fault.
    """
    if first.action == "escalate":
        return told_of(matter, first.rule)
    before = [one for one in matter.history.decisions if one.action == "block" and one.rule == first.rule]
    newest = before[0] if before else None
    return None if newest is None or _recovered(matter, first.rule, newest.as_of) else newest


def told_of(matter: Matter, rule: str) -> RetrainDecision | None:
    """Return the escalation that told the owner of this champion's episode already.

    That of `escalate_after` ends with the next refused challenger, that of `budget` with the budget's period.
    """
    for one in _of_this_champion(matter):
        if one.action != "escalate" or one.rule != rule:
            continue
        if rule == "budget":
            return one if abs(matter.as_of - one.as_of) < matter.spec.retraining.budget.per else None
        return one if not matter.refused or one.as_of >= matter.refused[0].as_of else None
    return None


def _of_this_champion(matter: Matter) -> Iterator[RetrainDecision]:
    version = str(matter.champion.version)
    return takewhile(lambda one: one.evidence.get("champion_version") == version, matter.history.decisions)


def _recovered(matter: Matter, rule: str, since: datetime) -> bool:
    """Whether a window was seen without the fault since then, by what sees the fault now."""
    seen, history = matter.seen, matter.history
    looks: list[datetime] = []
    if rule == "pipeline_fault":
        looks += [r.as_of for r in history.drift if r.verdict in ("ok", "drift") and not r.pipeline_fault]
    else:
        if seen.drift is not None and seen.drift.verdict == "invalid":
            looks += [r.as_of for r in history.drift if r.verdict in ("ok", "drift")]
        if seen.performance is not None and seen.performance.verdict == "invalid":
            looks += [r.as_of for r in history.performance if r.verdict in ("ok", "decay")]
    return any(since < look < matter.as_of for look in looks)
