"""Decide, and write it down before anything follows from it: of several that decide at once, one is first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.ports import RetrainLog
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.retraining import History, MonitoringInput, RetrainDecision
from airflow_mlops.core.retraining.decide import again, decide_retraining, unanswered
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

_TRIES = 200
"""Times that others may be faster, before it is called a failure: each of them is somebody's progress."""


def decide_and_log(  # noqa: PLR0917 - as decide_retraining, and where it is written
    log: RetrainLog, spec: ModelSpec, champion: Champion, seen: MonitoringInput, history: History, as_of: datetime
) -> RetrainDecision:
    """Decide as :func:`~airflow_mlops.core.retraining.decide.decide_retraining`, and log what is not `wait`.

    A decision counts once it stands in the log. It is written at the number after those that it was made from, so that
    nobody can spend a budget that somebody else has just spent: whose number is taken reads again, and decides anew.
    Whoever asks again after a crash finds the decision of its window, and gets the same one.

    Parameters
    ----------
    history
        Its decisions are read from the log.

    Returns
    -------
    RetrainDecision
        With its number in the log; `wait` has none.

    Raises
    ------
    RecordError
        If others were faster again and again; and what :func:`~airflow_mlops.core.retraining.decide.decide_retraining`
        raises.
    """
    for _ in range(_TRIES):
        known = log.decisions(spec.name)
        decision = decide_retraining(spec, champion, seen, replace(history, decisions=known[::-1]), as_of)
        if decision.action == "wait" or decision.number is not None:
            return decision
        numbered = replace(decision, number=len(known) + 1)
        if log.log_decision(spec.name, numbered):
            return numbered
    raise RecordError(
        Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field=f"retraining log of {spec.name}",
            found=f"others were faster {_TRIES} times",
            allowed="one after the other",
            fix="find out who else writes decisions of this model, then try again",
        )
    )


def ask_again(  # noqa: PLR0917 - who asks, about what
    log: RetrainLog, spec: ModelSpec, champion: Champion, history: History, now: RetrainDecision, loop_run: str
) -> RetrainDecision | None:
    """Return an earlier decision to retrain whose event is to be emitted once more, since it seems to be lost.

    Parameters
    ----------
    now
        What was decided now.
    loop_run
        Who emits it: of several, one; tried again, the same one.
    """
    if now.action != "wait":
        return None
    known = replace(history, decisions=log.decisions(spec.name)[::-1], claimed=frozenset(log.claims(spec.name)))
    lost = unanswered(spec, champion, known, now)
    if lost is None or log.claim(spec.name, again(lost.key), loop_run) != loop_run:
        return None
    return lost
