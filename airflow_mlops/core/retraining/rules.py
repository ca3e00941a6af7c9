"""What speaks against a retraining: one function for each rule, and none of them knows of the others.

:data:`RULES` is their one registry, in the order in which they decide; each gives its reasons, whether or not it is the
first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.promotion import retired_because
from airflow_mlops.core.records.retraining import Challenge
from airflow_mlops.core.retraining.case import Objection, RetrainCase, notified_of
from airflow_mlops.core.retraining.persistence import SignalInput
from airflow_mlops.core.retraining.signals import DRIFTS, impatient, quote
from airflow_mlops.spec.types import format_duration

UNKNOWN_FOR, FEWEST_UNKNOWN = timedelta(days=28), 5
"""So long, and in so many reports at least, nothing was known before it is told."""


@dataclass(frozen=True, kw_only=True)
class RetrainRule:
    """One rule: its function, the names of the objections that it may make, and their place in the playbook."""

    names: tuple[str, ...]
    judge: Callable[[RetrainCase], Objection | None]
    situation: str = ""
    """Of the playbook; empty: nobody is told what to do."""


def retired(case: RetrainCase) -> Objection | None:
    """Nothing is trained for a model that is out of use."""
    why = retired_because(case.spec, case.seen.retired)
    return _against("retired", f"The model is retired: {why}") if why else None


def out_of_date(case: RetrainCase) -> Objection | None:
    """A report about another champion, or from another time, says nothing about this one."""
    found = tuple(_out_of_date(case))
    return Objection(rule="out_of_date", reasons=found) if found else None


def _out_of_date(case: RetrainCase) -> Iterator[str]:
    champion = case.champion
    seen = case.seen
    reports = (("drift", seen.drift), ("performance", seen.performance), ("the shadow challenger", seen.shadow))
    for name, report in reports:
        if report is not None and report.champion_version != champion.version:
            yield (
                f"The report of {name} is about version {report.champion_version}; version {champion.version} serves "
                "now."
            )
        if report is not None and report.as_of > case.as_of:
            yield (
                f"The report of {name} is as of {report.as_of.isoformat()}, which is after {case.as_of.isoformat()}: "
                "a clock is wrong, or it was handed to another run."
            )
    if case.as_of < champion.candidate.as_of:
        yield (
            f"This is as of {case.as_of.isoformat()}, before the champion's {champion.candidate.as_of.isoformat()}: "
            "what was trained for it would be older than what serves."
        )


def invalid_data(case: RetrainCase) -> Objection | None:
    """Broken data trains nothing, whoever asks."""
    reports = (("drift", case.seen.drift), ("performance", case.seen.performance))
    found = tuple(
        f"The newest window is invalid to {name}: {quote(report.reasons)}".strip()
        for name, report in reports
        if report is not None and report.verdict == "invalid"
    )
    return Objection(rule="invalid_data", reasons=found, action="block", situation="invalid_data") if found else None


def pipeline_fault(case: RetrainCase) -> Objection | None:
    """What looks like a fault of the pipeline is mended there, and not learnt; a person may know better."""
    report = case.seen.drift
    if report is None or not report.pipeline_fault or case.manual:
        return None
    words = [hint.words for hint in report.hints if hint.pipeline]
    more = f" And {len(words) - 3} more." if len(words) > 3 else ""  # noqa: PLR2004 - so many are read
    last = max((s.end for s in report.quarantined if s.end > report.window.start), default=report.window.end)
    ends = min(last, report.window.end) + (report.window.end - report.window.start)
    reason = (
        f"This looks like a fault of the pipeline: {' '.join(words[:3])}{more} Unless more such rows arrive, this ends "
        f"by itself at {ends.isoformat()}, when none is in the window.{_remedy(case, report)}"
    )
    return Objection(rule="pipeline_fault", reasons=(reason,), action="block", situation="pipeline_fault")


def _remedy(case: RetrainCase, report: DriftReport) -> str:
    """What to do about rows that look broken, and are right."""
    begun = min((span.start for span in report.quarantined if not span.before_release), default=None)
    if begun is None:
        return ""
    command = f"airflow mlops release {case.spec.registered_model} --from {begun.isoformat()} --reason WHY"
    return f" If that is right, and is to stay, say so: {command}"


def unwatched(case: RetrainCase) -> Objection | None:
    """For weeks nothing could be said: a loop that looks alive and watches nothing is told of, once."""
    verdicts = [report.verdict for report in case.drifts] + [report.verdict for report in case.performances]
    age = case.as_of - case.champion.candidate.as_of
    if case.on or len(verdicts) < FEWEST_UNKNOWN or age < UNKNOWN_FOR + case.spec.data.label_delay:
        return None
    if set(verdicts) != {"unknown"}:
        return None
    reason = (
        f"For {format_duration(timedelta(days=age.days))} neither drift nor performance of version "
        f"{case.champion.version} could be judged. {' '.join(_needed(case))}"
    )
    return Objection(rule="unwatched", reasons=(reason,), action="escalate", situation="unwatched")


def _needed(case: RetrainCase) -> Iterator[str]:
    """What would be needed, by what is lacking."""
    drift, performance, rule = case.drift, case.performance, case.spec.monitoring
    if drift is not None and 0 < drift.rows < rule.drift.min_rows:
        span = drift.window.end - drift.window.start
        days = math.ceil(rule.drift.min_rows / drift.rows * (span / timedelta(days=1)))
        yield (
            f"A window of drift has {drift.rows:,} rows and needs {rule.drift.min_rows:,}: with this rate "
            f"monitoring.longest_window of {days}d."
        )
    elif drift is not None:
        yield f"Drift: {quote(drift.reasons)}"
    if performance is not None:
        yield f"Performance: {quote(performance.reasons)}"


def no_signal(case: RetrainCase) -> Objection | None:
    """Without a signal there is nothing to decide; what the newest window shows alone has to show again."""
    if case.on:
        return None
    waiting = impatient(case.spec, case.champion, case.seen, case.history)
    if waiting:
        return Objection(rule="persistence", reasons=waiting)
    said = tuple(signal.reason for signal in case.signals if signal.kind not in ("manual", "event"))
    return Objection(rule="none", reasons=said)


def watch(case: RetrainCase) -> Objection | None:
    """Drift that has not hurt is watched: the outcomes say that the champion is all right."""
    kinds = {signal.kind for signal in case.on}
    if not kinds or not kinds <= set(DRIFTS) or not fine(case):
        return None
    drifting = " ".join(signal.reason for signal in case.on)
    reason = f"There is drift, and the champion still does what its gate promised: {drifting}"
    return Objection(rule="watch", reasons=(reason,), situation="drift")


def fine(case: SignalInput) -> bool:
    """Whether outcomes say that the champion does what its gate promised.

    An estimate does not: it supposes that what the inputs mean is what it was, which drift is the doubt of.
    """
    return case.performance is not None and case.performance.verdict == "ok"


def escalate_after(case: RetrainCase) -> Objection | None:
    """When retraining did not help, again and again, a person is asked; a person who asks is the answer.

    Once they were told, one attempt more is made whenever the cooldown is over: nobody may have answered, and what
    could not be learnt last month can be in this month's rows.
    """
    refused, rules = case.refused, case.spec.retraining
    if case.manual or len(refused) < rules.escalate_after:
        return None
    if notified_of(case, "escalate_after") and cooling(case) is None:
        return None
    reason = (
        f"{len(refused)} challengers in a row did not replace the champion: {tried(refused)}. The next attempt waits "
        f"until {(case.latest[1] + case.cooldown).isoformat()}, or for a person."
    )
    return Objection(rule="escalate_after", reasons=(reason,), action="escalate", situation="escalate")


def tried(refused: tuple[Challenge, ...]) -> str:
    """Say of what time the challengers were, and what the gate, or a person, said."""
    said = [f"{'declined' if one.declined else one.verdict} as of {one.as_of:%Y-%m-%d %H:%M}" for one in refused[:5]]
    return ", ".join(said) + (f", and {len(refused) - 5} before" if len(refused) > len(said) else "")


def cooldown(case: RetrainCase) -> Objection | None:
    """Not again so soon; later still after each refused challenger. A person need not wait.

    Urgent decay waits only for the training that was asked for before, as long as that may still help; and when it did
    not help, so long that the budget lasts.
    """
    if case.manual:
        return None
    if case.changed is not None and case.of_change:
        return under_way(case) or repeating(case) or (None if case.urgent else cooling(case))
    return (under_way(case) or pausing(case)) if case.urgent else cooling(case)


def young_change(case: RetrainCase) -> Objection | None:
    """Too few rows are known since the change: the gate could not judge what was learned of them.

    Urgent decay does not wait: it is trained on the whole window, as if nobody knew when it began.
    """
    changed, rows = case.changed, case.rows_of_change
    if case.manual or case.urgent or not case.of_change or case.learnable or changed is None or rows is None:
        return None
    reason = (
        f"What the champion learned does not hold since {changed:%Y-%m-%d}, and of the rows since then {rows:,} have "
        f"an outcome; {case.needed_of_change:,} are needed to learn from and to judge on."
    )
    return _against("young_change", reason)


def repeating(case: RetrainCase) -> Objection | None:
    """Another attempt at the same change is worth it with twice the rows."""
    changed = case.changed
    since = max(changed, case.champion.candidate.as_of) if changed is not None else case.as_of
    tried = [one.as_of for one in case.history.challenges if one.refused and one.as_of > since]
    if changed is None or not tried:
        return None
    late = case.spec.data.label_delay
    ends = changed + late + 2 * max(max(tried) - late - changed, timedelta(0))
    if case.as_of >= ends:
        return None
    reason = (
        f"The last attempt at the change of {changed:%Y-%m-%d} was as of {max(tried).isoformat()}; the next one waits "
        f"for twice the rows, until {ends.isoformat()}."
    )
    return _against("backoff", reason)


def under_way(case: RetrainCase) -> Objection | None:
    """Say which training for this champion is not over, by what became of it and by the time that it may take."""
    serves = str(case.champion.version)
    last = next((one for one in case.retrainings if one.evidence.get("champion_version") == serves), None)
    if last is None or case.as_of - last.as_of >= case.longest_training:
        return None
    answers = [one for one in case.history.challenges if last.key in one.answers]
    if any(one.refused or one.promoted for one in answers):
        return None
    what = "waits to be promoted" if any(one.verdict for one in answers) else "has no verdict yet"
    return _against(
        "under_way",
        f"The training that was decided as of {last.as_of.isoformat()} {what}; it is waited for until "
        f"{(last.as_of + case.longest_training).isoformat()}.",
    )


def pausing(case: RetrainCase) -> Objection | None:
    """Say until when an urgent decay waits that the last challenger did not cure."""
    refused = case.refused
    ends = refused[0].as_of + case.pause if refused else case.as_of
    if case.as_of >= ends:
        return None
    reason = (
        f"It is urgent, and retraining did not help ({len(refused)} refused, the last as of "
        f"{refused[0].as_of.isoformat()}); the next attempt waits until {ends.isoformat()}, so that the budget lasts."
    )
    return _against("backoff", reason)


def cooling(case: RetrainCase) -> Objection | None:
    """Say until when nothing is retrained; nothing, when that is over."""
    (what, since), plain = case.latest, case.spec.retraining.cooldown
    ends = since + case.cooldown
    if case.as_of >= ends:
        return None
    longer = case.as_of >= since + plain
    times = f", times {case.cooldown / plain:g} after {len(case.refused)} refused" if case.cooldown > plain else ""
    reason = (
        f"{what} {since.isoformat()}; the cooldown of {format_duration(plain)}{times} ends at {ends.isoformat()}, "
        f"after {case.as_of.isoformat()}."
    )
    return _against("backoff" if longer else "cooldown", reason)


def min_new_rows(case: RetrainCase) -> Objection | None:
    """Without new labelled rows the same model would come out, whoever asks. Rows that nobody counted are none."""
    needed, rows = case.spec.retraining.min_new_rows, case.seen.new_rows
    if needed == 0 or (rows is not None and rows >= needed):
        return None
    found = "New labelled rows were not counted" if rows is None else f"There are {rows} new labelled rows"
    return _against("min_new_rows", f"{found}; retraining needs {needed}.")


def budget(case: RetrainCase) -> Objection | None:
    """The budget holds for every signal; only a person is not bound by it, and they are asked when it is urgent."""
    allowed, spent = case.spec.retraining.budget, case.spent
    if case.manual or spent < allowed.runs:
        return None
    per = format_duration(allowed.per)
    reason = f"{spent} retrainings were decided within {per}; the budget is {allowed.runs} per {per}."
    if not case.urgent:
        return _against("budget", reason)
    return Objection(rule="budget", reasons=(f"{reason} And it is urgent.",), action="escalate", situation="budget")


RULES: tuple[RetrainRule, ...] = (
    RetrainRule(names=("retired",), judge=retired),
    RetrainRule(names=("out_of_date",), judge=out_of_date),
    RetrainRule(names=("invalid_data",), judge=invalid_data, situation="invalid_data"),
    RetrainRule(names=("pipeline_fault",), judge=pipeline_fault, situation="pipeline_fault"),
    RetrainRule(names=("unwatched",), judge=unwatched, situation="unwatched"),
    RetrainRule(names=("none", "persistence"), judge=no_signal),
    RetrainRule(names=("watch",), judge=watch, situation="drift"),
    RetrainRule(names=("escalate_after",), judge=escalate_after, situation="escalate"),
    RetrainRule(names=("cooldown", "under_way", "backoff"), judge=cooldown),
    RetrainRule(names=("young_change",), judge=young_change),
    RetrainRule(names=("min_new_rows",), judge=min_new_rows),
    RetrainRule(names=("budget",), judge=budget, situation="budget"),
)
"""In the order in which they decide."""


def _against(rule: str, reason: str) -> Objection:
    return Objection(rule=rule, reasons=(reason,))
