"""Whether to retrain now: signals in, one decision out, and nothing retrains without limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.retraining import History, MonitoringInput, RetrainDecision, SignalKind, fitting
from airflow_mlops.core.retraining.case import Objection, RetrainCase, already_notified
from airflow_mlops.core.retraining.rules import RULES, cooling
from airflow_mlops.core.retraining.shadow import is_time
from airflow_mlops.core.retraining.signals import ASKED
from airflow_mlops.core.rows.windows import utc
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

_UNDECIDED = ("none", "persistence", "watch")
"""Rules by which nothing asks for a retraining: a fresh model may."""
_NEVER_AGAIN = ("retired", "out_of_date", "invalid_data", "pipeline_fault")
"""Rules that hold back also what was decided before."""


def decide_retraining(
    spec: ModelSpec, champion: Champion, seen: MonitoringInput, history: History, as_of: datetime
) -> RetrainDecision:
    """Decide what is to be done about what monitoring saw: retrain, wait, escalate or block.

    The first rule that speaks against a retraining decides; the decision has the reasons of all that do.

    1. `retired`: wait. By the specification, or by the registry (`seen.retired`).
    2. `out_of_date`: wait. A report is about another champion or from the future, or as-of is before the champion's.
    3. The window was decided to be retrained on before: the same decision again, with its number, and not a new one.
    4. `invalid_data`: block, and tell the owner. Also when a person asks.
    5. `pipeline_fault`: block, and tell the owner. Not when a person asks: they may know better than a hint.
    6. `unwatched`: escalate, once for a champion. For four weeks nothing could be said of drift nor of performance.
    7. `none`, `persistence`: wait. No signal is on; or too few windows show it yet. What is asked for from outside
       (`manual`, `event`), and urgent decay, need not show twice.
    8. `watch`: wait, with the plan `drift`. Only drift is on, and the newest outcomes say that the champion does what
       its gate promised.
    9. `escalate_after`: escalate. So many challengers that were to cure decay or drift were refused in a row, since the
       last promotion. Once it is told, one attempt more is made after each cooldown.
    10. `cooldown`, `backoff`: wait. Counted from the newer of the champion's as-of and last retraining; each refused
        challenger multiplies it, up to the budget's period; not one that could not know of the change. Not for a
        person. Urgent decay waits for `under_way` instead (the training that was decided last for this champion is
        neither refused nor promoted, and may still run), and when challengers were refused, so long that the budget
        lasts (`backoff`). Of a change whose day is known, another attempt waits for twice the rows instead.
    11. `young_change`: wait. Too few rows are known since the change to learn from and to judge on. Not for a person,
         nor for urgent decay, which is trained on the whole window then.
    12. `min_new_rows`: wait. For everybody: a training without new rows gives the same model.
    13. `budget`: wait; escalate, when it is urgent. A person's request is counted, and not held back.

    What is blocked or escalated is said once for each episode: the same again is `wait`, with the same rule and plan. A
    block's episode ends with a window that was seen without the fault; that of `escalate_after` with the champion or
    the next refused challenger; that of `budget` with its period.

    Parameters
    ----------
    champion
        The version that serves now.
    seen
        What monitoring saw of the newest window.
    history
        Earlier windows, decisions and challengers, newest first.
    as_of
        The instant of the decision. Time is event time throughout: a backfill has the budgets of its own days.

    Returns
    -------
    RetrainDecision
        Equal input gives an equal decision. It fits into one value of MLflow: texts are shortened. `number` is set if
        it is in the log already.

    Raises
    ------
    RecordError
        If specification, reports, history and champion are not of one model.
    DataError
        If `as_of` has no time zone.
    """
    _require_one_model(spec, champion, seen, history)
    case = RetrainCase(spec=spec, champion=champion, seen=seen, history=history, as_of=utc(as_of, "as-of"))
    against = _objections(case)
    first = against[0] if against else None
    key = key_of(case)
    stands = None if first and first.rule in ("retired", "out_of_date") else _decided(history, key, "retrain")
    if stands is not None:
        return stands
    if first is None:
        return fitting(_retrain(case, key))
    decision = _held_back(case, key, first, against)
    return _decided(history, key, decision.action, first.rule) or fitting(_once(case, first, decision))


def shadow_due(spec: ModelSpec, champion: Champion, seen: MonitoringInput, history: History, as_of: datetime) -> bool:
    """Whether a shadow challenger is to be trained: it is time for one, and nothing else decides.

    What is retrained for is trained anyway, and nothing is learned for a model that is retired, or of a window that is
    broken. Of the rules that come before, none reads earlier decisions.
    """
    if not spec.retraining.on_shadow or not is_time(spec, champion, seen, history, as_of):
        return False
    against = _objections(RetrainCase(spec=spec, champion=champion, seen=seen, history=history, as_of=as_of))
    return bool(against) and against[0].rule in _UNDECIDED


def unanswered(spec: ModelSpec, champion: Champion, history: History, now: RetrainDecision) -> RetrainDecision | None:
    """Return the last decision to retrain, if its event seems to be lost: nobody trained on it, nor holds it.

    Its event may then be emitted once more, after claiming :func:`again` for it: a decision has two events at most, and
    of two, the training runs take one. What is older than the budget's period is left alone.

    Parameters
    ----------
    now
        What was decided now. What is blocked, retired or out of date now asks for nothing.
    """
    last = next((one for one in history.decisions if one.action == "retrain"), None)
    if last is None or history.claimed is None or now.action != "wait" or now.rule in _NEVER_AGAIN:
        return None
    held = last.key in history.claimed or any(one.as_of >= last.as_of for one in history.challenges)
    for_this = last.evidence.get("champion_version") == str(champion.version)
    recent = timedelta(0) < now.as_of - last.as_of <= spec.retraining.budget.per
    return last if for_this and recent and not held else None


def again(key: str) -> str:
    """Return the key to claim before a decision's event is emitted once more."""
    return f"again: {key}"


def key_of(case: RetrainCase) -> str:
    """Return the name of the event that a decision answers: model, reference (the champion's) and window.

    A request from outside is an event of its own, named by its instant: who asks again later, asks for something else.
    """
    report = case.seen.drift or case.seen.performance
    window = f"{_iso(report.window.start)}_{_iso(report.window.end)}" if report else _iso(case.as_of)
    asked = "".join(f"/{signal.kind}@{_iso(case.as_of)}" for signal in case.on if signal.kind in ASKED)
    return f"{case.spec.name}/v{case.champion.version}/{window}{asked}"


def _objections(case: RetrainCase) -> list[Objection]:
    """What speaks against a retraining, in the order in which it decides."""
    return [found for rule in RULES if (found := rule.judge(case)) is not None]


# the answers ---------------------------------------------------------------------------------------------------------


def _retrain(case: RetrainCase, key: str) -> RetrainDecision:
    bypassed = tuple(_bypassed(case))
    return replace(
        _draft(case, key),
        action="retrain",
        rule="urgent" if bypassed and case.urgent and not case.manual else "signal",
        urgent=bool(bypassed) and case.urgent and not case.manual,
        reasons=tuple(signal.reason for signal in case.on) + bypassed,
        plan=case.spec.retraining.plan("decay"),
        # Whoever asks: what was learned before it does not hold, and the champion may not know it either.
        changed=case.changed if case.learnable else None,
    )


def _bypassed(case: RetrainCase) -> Iterator[str]:
    """What would have waited, had not somebody asked, or been urgent."""
    held = cooling(case)
    if held is not None:
        yield f"{'A person asks' if case.manual else 'It is urgent'}, and need not wait: {held.reasons[0]}"
    bounds = case.spec.monitoring.performance
    decayed = sum(report.verdict == "decay" for report in case.performances[: bounds.of])
    if case.urgent and not case.manual and decayed < bounds.violations:
        yield f"It is urgent, and need not show in {bounds.violations} windows."


def _held_back(case: RetrainCase, key: str, first: Objection, against: list[Objection]) -> RetrainDecision:
    return replace(
        _draft(case, key),
        action=first.action,
        rule=first.rule,
        reasons=tuple(reason for one in against for reason in one.reasons),
        plan=case.spec.retraining.plan(first.situation) if first.situation else "",
    )


def _once(case: RetrainCase, first: Objection, decision: RetrainDecision) -> RetrainDecision:
    """Turn what was said before into `wait`, and note whether watching has just begun."""
    if first.rule == "watch":
        began = "" if _watched_before(case) else _iso(case.as_of)
        return replace(decision, evidence={**decision.evidence, **({"watching_since": began} if began else {})})
    before = already_notified(case, first) if first.action in ("block", "escalate") else None
    if before is None:
        return decision
    said = f"The owner was told as of {before.as_of.isoformat()}, and this is the same."
    return replace(decision, action="wait", reasons=(*first.reasons, said, *decision.reasons[len(first.reasons) :]))


def _watched_before(case: RetrainCase) -> bool:
    """Whether one of the windows before, of those that drift is counted among, was watched too."""
    return any(_watched(case, place) for place in range(1, min(len(case.drifts), case.spec.monitoring.drift.of)))


def _watched(case: RetrainCase, place: int) -> bool:
    earlier = case.drifts[place:]
    outcomes = tuple(report for report in case.performances if report.as_of <= earlier[0].as_of)
    seen = MonitoringInput(drift=earlier[0], performance=outcomes[0] if outcomes else None)
    rest = replace(case.history, drift=earlier[1:], performance=outcomes[1:])
    before = replace(case, seen=seen, history=rest, as_of=earlier[0].as_of)
    found = next((against for rule in RULES if (against := rule.judge(before)) is not None), None)
    return found is not None and found.rule == "watch"


def _decided(history: History, key: str, action: str, rule: str = "") -> RetrainDecision | None:
    found = (one for one in history.decisions if one.key == key and one.action == action)
    return next((one for one in found if rule in ("", one.rule)), None)


def _draft(case: RetrainCase, key: str) -> RetrainDecision:
    kind: SignalKind | None = case.on[0].kind if case.on else None
    return RetrainDecision(
        model=case.spec.name,
        action="wait",
        as_of=case.as_of,
        reasons=(),
        evidence=_evidence(case),
        key=key,
        signal=kind,
        signals=case.signals,
        owner=case.spec.owner,
    )


def _evidence(case: RetrainCase) -> dict[str, str]:
    seen, champion, budget = case.seen, case.champion, case.spec.retraining.budget
    found = {"champion_version": str(champion.version), "champion_run_id": champion.run_id}
    report = seen.drift or seen.performance
    if report is not None:
        found |= {"window_start": _iso(report.window.start), "window_end": _iso(report.window.end)}
    if seen.drift is not None:
        found |= {"drift_verdict": seen.drift.verdict, "drift_digest": seen.drift.digest}
    if seen.performance is not None:
        found |= {"performance_verdict": seen.performance.verdict, "performance_digest": seen.performance.digest}
    if seen.shadow is not None:
        found |= {"shadow_verdict": seen.shadow.verdict, "shadow_digest": seen.shadow.digest}
    if seen.new_rows is not None:
        found["new_rows"] = str(seen.new_rows)
    return {**found, "refused": str(len(case.refused)), "budget": f"{case.spent} of {budget.runs} spent"}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _require_one_model(spec: ModelSpec, champion: Champion, seen: MonitoringInput, history: History) -> None:
    records = (seen.drift, seen.performance, seen.shadow, *history.drift, *history.performance, *history.decisions)
    others = sorted({record.model for record in records if record is not None} - {spec.name})
    if champion.model == spec.registered_model and not others:
        return
    raise RecordError(
        Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field="model",
            found=f"a specification of {spec.name} (registered as {spec.registered_model}), a champion of "
            f"{champion.model}" + (f", and records of {', '.join(others)}" if others else ""),
            allowed="all of one model",
            fix="pass the records that this model's own loop wrote",
        )
    )
