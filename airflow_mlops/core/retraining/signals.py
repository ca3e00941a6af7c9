"""What calls for a retraining: reports and history become signals, in order of rank.

A window counts once, however often it was looked at; a report about another champion counts for nothing; the newest
window must be among those that violate. What is not known is `unknown`, and never `off`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.retraining import RANK, History, MonitoringInput, Signal, SignalKind
from airflow_mlops.core.retraining.persistence import (
    COUNTS,
    Count,
    SignalInput,
    decays,
    estimated_decays,
    input_drifts,
    prediction_drifts,
)
from airflow_mlops.core.retraining.shadow import next_look, sure_gain
from airflow_mlops.core.stats.mean_rise import chance_of_no_rise
from airflow_mlops.core.text import as_sentences
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

ASKED: tuple[SignalKind, ...] = ("manual", "event")
"""Signals from outside."""
DRIFTS: tuple[SignalKind, ...] = ("prediction_drift", "input_drift")
GOES_ON = 0.1
"""Chance of what is seen if a change were over, below which it is taken to go on. What follows is one training more,
which the gate judges; what is missed is found as decay, later."""
_SENTENCES = 2
"""So many of a report's sentences are quoted."""


def signals_of(spec: ModelSpec, champion: Champion, seen: MonitoringInput, history: History) -> tuple[Signal, ...]:
    """Return every signal, highest first: one of each kind, on, off or unknown.

    Parameters
    ----------
    seen
        What monitoring saw of the newest window.
    history
        Reports of earlier windows; one of the newest window again counts once.

    Raises
    ------
    RecordError
        If somebody outside asks with a signal that is monitoring's to give.
    """
    case = SignalInput(spec=spec, champion=champion, seen=seen, history=history)
    stray = [signal.kind for signal in seen.asked if signal.kind not in ASKED]
    if stray:
        raise RecordError(
            Problem(
                code=ReasonCode.RECORD_CONFLICT,
                field="asked",
                found=f"signals from outside of kind {', '.join(stray)}",
                allowed=" or ".join(ASKED),
                fix="ask with a signal of kind event, and say in its reason what was seen",
            )
        )
    return tuple(_KINDS[kind](case) for kind in RANK)


def impatient(spec: ModelSpec, champion: Champion, seen: MonitoringInput, history: History) -> tuple[str, ...]:
    """Return what the newest window shows and too few of the windows before it: signals that are not on yet."""
    case, rules = SignalInput(spec=spec, champion=champion, seen=seen, history=history), spec.retraining
    wanted = {
        "decay": rules.on_decay,
        "estimated_decay": rules.on_estimate and spec.monitoring.performance.estimate,
        **dict.fromkeys(DRIFTS, rules.on_drift),
    }
    counts = {kind: count(case) for kind, count in COUNTS.items() if wanted[kind]}
    shown = {kind for kind, count in counts.items() if count is not None and count.newest}
    signals = signals_of(spec, champion, seen, history)
    return tuple(signal.reason for signal in signals if signal.kind in shown and signal.state == "off")


# the signals ---------------------------------------------------------------------------------------------------------


def _asked(kind: SignalKind) -> Callable[[SignalInput], Signal]:
    def signal(case: SignalInput) -> Signal:
        asked = [signal for signal in case.seen.asked if signal.kind == kind]
        said = tuple(signal.reason for signal in asked if signal.state == "on")
        if said:
            return _on(kind, " ".join(dict.fromkeys(said)))
        if any(signal.state == "unknown" for signal in asked):
            return _unknown(kind, " ".join(dict.fromkeys(signal.reason for signal in asked)))
        return _off(kind, "Nobody asked." if kind == "manual" else "No event asked.")

    return signal


def _decay(case: SignalInput) -> Signal:
    report, count = case.performance, decays(case)
    if not case.spec.retraining.on_decay:
        return _off("decay", "Decay causes no retraining (retraining.on_decay: false).")
    if report is None or count is None:
        return _unknown("decay", "Realised performance of this champion was not measured.")
    if report.verdict in ("unknown", "invalid"):
        return _unknown("decay", f"Realised performance is {report.verdict}: {quote(report.reasons)}")
    if report.verdict == "ok":
        return _off("decay", f"The champion does what its gate promised. {quote(report.reasons)}".strip())
    why = f"Realised decay {count}: {quote(report.reasons)}"
    if report.urgent:
        return Signal(kind="decay", state="on", reason=f"Urgent: {why}", urgent=True)
    return _on("decay", why) if count.enough else _off("decay", f"Not yet: {why}")


def _estimated_decay(case: SignalInput) -> Signal:
    kind: SignalKind = "estimated_decay"
    count = estimated_decays(case)
    estimate = case.performance.estimate if case.performance else None
    wanted = case.spec.retraining.on_estimate and case.spec.monitoring.performance.estimate
    if not wanted or count is None or estimate is None:
        return _not_estimated(case)
    if estimate.verdict in ("unknown", "invalid"):
        return _unknown(kind, f"Estimated performance is {estimate.verdict}.")
    if estimate.verdict == "ok":
        return _off(kind, "The estimate says that the champion does what its gate promised.")
    why = f"Estimated decay ({estimate.method}, a drop of {estimate.drop:.4g}) {count}."
    return _on(kind, why) if count.enough else _off(kind, f"Not yet: {why}")


def _not_estimated(case: SignalInput) -> Signal:
    kind: SignalKind = "estimated_decay"
    if not case.spec.retraining.on_estimate:
        return _off(kind, "Estimated decay causes no retraining (retraining.on_estimate: false).")
    if not case.spec.monitoring.performance.estimate:
        return _off(kind, "Performance is not estimated (monitoring.performance.estimate: false).")
    if case.performance is not None and case.performance.verdict in ("ok", "decay"):
        return _off(kind, "Outcomes are known, so that nothing is left to estimate.")
    return _unknown(kind, "Performance of this champion was not estimated.")


def _drift(
    kind: SignalKind, what: str, count_of: Callable[[SignalInput], Count | None]
) -> Callable[[SignalInput], Signal]:
    def signal(case: SignalInput) -> Signal:
        report, count = case.drift, count_of(case)
        if not case.spec.retraining.on_drift:
            return _off(kind, "Drift causes no retraining (retraining.on_drift: false).")
        if report is None or count is None:
            return _unknown(kind, "Drift from this champion's reference was not measured.")
        # Of a window that is invalid, nothing is believed.
        verdict = report.verdict if kind == "input_drift" or report.verdict == "invalid" else report.prediction
        said = quote(report.reasons) if verdict == report.verdict else ""
        if verdict in ("unknown", "invalid"):
            return _unknown(kind, f"Whether {what} drift is {verdict}. {said}".strip())
        if verdict == "ok":
            return _off(kind, f"There is no drift of {what}.")
        why = f"Drift of {what} {count}. {said}".strip()
        return _on(kind, why) if count.enough else _off(kind, f"Not yet: {why}")

    return signal


def _follow_up(case: SignalInput) -> Signal:
    """Whether the champion that cured a change would be better by now.

    The error of what is learned falls with the rows: while a training window reaches back beyond the change, twice as
    many are worth another training. A change may go on after it was seen: so another one follows with every third of a
    window, as long as the last one brought more than what is no decay, or the champion's service looks worse than its
    holdout rows did, and until one of a whole window is refused.
    """
    kind: SignalKind = "follow_up"
    candidate, report = case.champion.candidate, case.performance
    changed = candidate.changed
    if not case.spec.retraining.on_decay or changed is None or report is None:
        return _off(kind, "The champion was not trained for a change.")
    late = case.spec.data.label_delay
    whole = case.spec.data.window - late
    known, learned = report.as_of - late - changed, candidate.holdout.end - max(candidate.train.start, changed)
    said = f"Since {changed:%Y-%m-%d} something else holds, and the champion learned from {_days(learned)} of it"
    later = [one.as_of for one in case.history.challenges if one.refused and one.as_of > candidate.as_of]
    if known < whole and known < 2 * learned:
        return _off(kind, f"{said}; there are {_days(known)} by now, and twice as much is worth a training.")
    since = report.as_of - candidate.as_of
    if candidate.as_of - late - changed >= whole and since < whole / 3:
        return _off(kind, f"{said}, a whole window; another is worth it with a third of a window more.")
    if later and max(later) - late - changed >= whole:
        return _off(kind, f"{said}, and a later training of a whole window was refused.")
    if candidate.as_of - late - changed >= whole and _is_over(report):
        return _off(kind, f"{said}, a whole window, and nothing says that the change goes on.")
    return _on(kind, f"{said}; by now there are {_days(known)}.")


def _is_over(report: PerformanceReport) -> bool:
    """Whether the last training brought little, and the champion's service looks no worse than its holdout rows did.

    Little is what would be no decay if it were lost. Both are asked: what the champion learned may be old already where
    outcomes are late, so that holdout and service are equally bad. As long as nothing is known of its service, nothing
    says that the change goes on.
    """
    before, after = ([block.excess for block in blocks] for blocks in (report.reference, report.blocks))
    brought = report.displaced_gain
    if not before or brought is None or report.bound is None:
        return False  # it cannot be known, and the gate judges what is trained
    chance = chance_of_no_rise(before, after)
    return brought <= report.bound and (chance is None or chance > GOES_ON)


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.3g} days"


def _shadow(case: SignalInput) -> Signal:
    """Whether a fresh model is surely better, and by more than what would be no decay if the champion had lost it."""
    kind: SignalKind = "shadow"
    report, performance = case.shadow, case.performance
    if not case.spec.retraining.on_shadow:
        return _off(kind, "No shadow challenger is trained (retraining.on_shadow: false).")
    if report is None:
        seen = [one.as_of for one in (case.drift, performance) if one is not None]
        due = f"; the next is due as of {next_look(case.spec, case.champion, max(seen)):%Y-%m-%d}" if seen else ""
        return _off(kind, f"No shadow challenger was due{due}.")
    if report.verdict == "untrained":
        return _unknown(kind, f"No shadow challenger came of today's rows: {quote(report.reasons)}")
    lower, bound = sure_gain(report, performance), (performance.bound if performance else None) or 0.0
    if report.verdict != "accept" or report.gain is None or lower is None:
        return _off(kind, f"A model of today's rows is not surely better. {quote(report.reasons)}".strip())
    if lower > 0 and report.gain > bound:
        return _on(kind, f"A model of today's rows is surely better. {quote(report.reasons)}".strip())
    said = f"{report.gain:.4g}, at least {lower:.4g} as its neighbouring blocks hang together"
    return _off(kind, f"A model of today's rows is better by {said}; up to {bound:.4g} is no decay.")


def _volume(case: SignalInput) -> Signal:
    needed, rows = case.spec.retraining.on_volume, case.seen.new_rows
    if needed is None:
        return _off("volume", "New rows alone cause no retraining (retraining.on_volume is not set).")
    if rows is None:
        return _unknown("volume", "New labelled rows were not counted.")
    why = f"{rows} new labelled rows since the champion's as-of; {needed} ask for a retraining."
    return _on("volume", why) if rows >= needed else _off("volume", why)


_KINDS: Mapping[SignalKind, Callable[[SignalInput], Signal]] = {
    "manual": _asked("manual"),
    "event": _asked("event"),
    "decay": _decay,
    "estimated_decay": _estimated_decay,
    "prediction_drift": _drift("prediction_drift", "predictions", prediction_drifts),
    "input_drift": _drift("input_drift", "inputs", input_drifts),
    "follow_up": _follow_up,
    "shadow": _shadow,
    "volume": _volume,
}


def quote(reasons: Iterable[str]) -> str:
    """Return the first sentences of a report."""
    return as_sentences(_first(reasons))


def _first(reasons: Iterable[str]) -> Iterator[str]:
    for number, reason in enumerate(reasons):
        if number < _SENTENCES:
            yield reason


def _on(kind: SignalKind, reason: str) -> Signal:
    return Signal(kind=kind, state="on", reason=reason)


def _off(kind: SignalKind, reason: str) -> Signal:
    return Signal(kind=kind, state="off", reason=reason)


def _unknown(kind: SignalKind, reason: str) -> Signal:
    return Signal(kind=kind, state="unknown", reason=reason)
