"""What was said already: a block or an escalation is told once for each episode, and watching when it begins."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile

from airflow_mlops.core.retrain_matter import Against, Matter
from airflow_mlops.core.retrain_record import RetrainDecision


def told(matter: Matter, first: Against) -> RetrainDecision | None:
    """Return the logged decision that told the owner of this episode already.

    A block's episode ends with a window that was seen without the fault; an escalation's with the champion.
    """
    if first.action == "escalate":
        return next((one for one in _of_this_champion(matter) if one.action == "escalate"), None)
    before = [one for one in matter.history.decisions if one.action == "block" and one.rule == first.rule]
    newest = before[0] if before else None
    return None if newest is None or _recovered(matter, first.rule, newest.as_of) else newest


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
