"""Try what may help a first model that the gate refuses, on history: each remedy at every step, judged by the gate.

A backtest supposes that its first model serves. Here nothing serves: at each step a candidate is trained on what was
known then, and the gate is asked whether it may be the first. Steps lie a holdout apart, so that each is judged on rows
of its own.

Several remedies are tried and the best is told, so that luck must be paid for. A model that knows nothing is accepted
at one step with a probability of at most ``1 - confidence``, by the gate's own interval; in k of n steps that share no
rows, with that of the upper tail of a binomial distribution. Holm's correction (1979) over all remedies is what makes a
recommendation sure; one that is accepted and not sure is named all the same, because the loop's gate judges it again on
rows that are still to come.

References
----------
S. Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from airflow_mlops.core.arrays import finite_or_none
from airflow_mlops.core.backtest.cache import ResultCache, identity_of
from airflow_mlops.core.backtest.inputs import Inputs, InputSources
from airflow_mlops.core.backtest.plan import Plan, plan_of
from airflow_mlops.core.backtest.pool import Call, Tell, open_runner
from airflow_mlops.core.backtest.run import open_subfolder
from airflow_mlops.core.backtest.tasks import judge, train
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.gate import REMEDIES, applicable_settings, learned_from
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.advice import AS_IT_IS, AdviceReport, Look, Trial
from airflow_mlops.core.records.backtest import Judged, Trained
from airflow_mlops.core.records.decision import GateDecision, Remedy, Verdict
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.records.wording import format_settings
from airflow_mlops.core.rows.labels import clean_labels
from airflow_mlops.core.rows.windows import rows_within
from airflow_mlops.core.stats.multiple_testing import holm
from airflow_mlops.core.text import format_number
from airflow_mlops.spec.dotted import put
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError

LOOKS = 6
"""Steps where history is long enough: three accepted ones of six are no luck, whatever was tried beside."""
DAY = timedelta(days=1)
TOGETHER = "together"
_TRAINED = ("calibrate", "simplify", "window")
"""Remedies of the training, which are tried together where none of them helps alone."""


def plan_looks(
    spec: ModelSpec,
    bounds: tuple[datetime, datetime],
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    every: timedelta | None = None,
) -> Plan:
    """Lay out the steps at which a first model is tried.

    Parameters
    ----------
    bounds
        First and last event time of the source.
    start, end
        As-of time of the first step and of the newest; left out, the newest is the midnight after the last row, and
        there are up to `LOOKS` steps, as many as have a whole window of rows.
    every
        Time between two steps; `gate.holdout` where it is left out.

    Raises
    ------
    DataError
        As :func:`plan_of`.

    Examples
    --------
    >>> from datetime import UTC
    >>> spec = ModelSpec.model_validate({
    ...     "name": "m", "owner": "o", "training": {"estimator": "sklearn.dummy.DummyClassifier"},
    ...     "data": {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y", "window": "60d"}})
    >>> plan = plan_looks(spec, (datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 4, 1, 23, tzinfo=UTC)))
    >>> [step.start.strftime("%m-%d") for step in plan.steps]
    ['03-05', '03-19', '04-02']
    """
    first, last = bounds
    step = spec.gate.holdout if every is None else every
    newest = last.replace(hour=0, minute=0, second=0, microsecond=0) + DAY if end is None else end
    if start is None:
        whole = max(0, (newest - spec.data.window - first) // step) if step > timedelta(0) else 0
        start = newest - min(LOOKS - 1, whole) * step
    return plan_of(spec, start, newest + step, step)


def advise(
    plan: Plan,
    open_store: Callable[[], DataStore],
    open_storage: Callable[[str], Storage],
    *,
    state: str | None = None,
    workers: int = 1,
    tell: Tell = lambda _done, _asked, _words: None,
) -> tuple[AdviceReport, Storage]:
    """Judge a first model at every step, as it is specified and with each remedy that applies.

    Parameters
    ----------
    plan
        What `plan_looks` made.
    open_store, open_storage, workers, tell
        As of :func:`~airflow_mlops.core.backtest.backtest`.
    state
        Folder of finished work, with a folder in it for each trial; left out, each is below `[mlops] storage`, and
        shared with backtests of the same specification.

    Returns
    -------
    tuple
        The report, and the folder of the specification as it is, where it may be written to.

    Raises
    ------
    DataError
        If there is no row in the span, or no step could train a model.
    RecordError
        If the folder holds finished work of something else.
    StoreUnavailableError
        If a store does not answer, or a process ended.
    """
    spec, notes = judged_as_first(plan.spec)
    trials = _Trials(replace(plan, spec=spec), open_store, open_storage, state, workers, tell)
    first = trials.run(AS_IT_IS, {})
    known = _newest_trained(trials.plan, first)
    remedies = _remedies(trials.plan.spec, known, first.inputs)
    found = [
        _trial(one.name, one.title, one.settings, one.because, trials.run(one.name, one.settings)) for one in remedies
    ]
    helped = any(trial.newest.verdict is Verdict.ACCEPT for trial in found)
    parts = [remedy for remedy in remedies if remedy.name in _TRAINED]
    if not helped and len(parts) > 1:
        settings = {path: value for remedy in parts for path, value in remedy.settings.items()}
        title = _listed([remedy.title for remedy in parts])
        found.append(_trial(TOGETHER, title, settings, "", trials.run(TOGETHER, settings)))
    own = _trial(AS_IT_IS, "as it is", {}, "", first)
    return _report(trials.plan, first.data, own, _corrected(found, spec.gate.champion.confidence), notes), first.storage


def judged_as_first(spec: ModelSpec) -> tuple[ModelSpec, tuple[str, ...]]:
    """Return the specification under which a first model is judged by every rule, and what that changes, in words."""
    gate, notes = spec.gate, ["Serving is not judged: there is no server."]
    changes: dict[str, Any] = {}
    if gate.first_model == "reject":
        changes["first_model"] = "beat_baseline"
        notes.append("gate.first_model is reject: a person sets the first model. Here it is judged all the same.")
    if gate.mode != "enforce":
        changes["mode"] = "enforce"
        notes.append(f"gate.mode is {gate.mode}; here every rule counts.")
    if not changes:
        return spec, tuple(notes)
    return spec.model_copy(update={"gate": gate.model_copy(update=changes)}), tuple(notes)


def changed_spec(spec: ModelSpec, settings: Mapping[str, Any]) -> ModelSpec:
    """Return a specification with other settings, by dotted path.

    Raises
    ------
    SpecError
        With every problem that was found.
    """
    raw = spec.model_dump(mode="json", exclude_unset=True)
    for path, value in settings.items():
        put(raw, path, value)
    return ModelSpec.model_validate(raw)


# -- trials -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """What came of one specification: a training for each step, and the decisions about those that there are."""

    spec: ModelSpec
    steps: Sequence[Window]
    trained: Sequence[Trained]
    judged: Mapping[int, Judged]
    """By number of the step."""
    inputs: Inputs
    storage: Storage
    data: str
    """Fingerprint of the rows."""


@dataclass(frozen=True)
class _Trials:
    """Where trials read and write."""

    plan: Plan
    open_store: Callable[[], DataStore]
    open_storage: Callable[[str], Storage]
    state: str | None
    workers: int
    tell: Tell

    def run(self, name: str, settings: Mapping[str, Any]) -> _Tried:
        """Train and judge at every step, by the specification with other settings."""
        spec = changed_spec(self.plan.spec, settings)
        plan = plan_of(spec, self.plan.start, self.plan.end, self.plan.every)
        identity = identity_of(plan, self.open_store())
        if self.state is None:
            open_folder: Callable[[], Storage] = partial(open_subfolder, self.open_storage, identity.name)
        else:
            open_folder = partial(self.open_storage, f"{self.state.rstrip('/')}/{name}")
        storage = open_folder()
        ResultCache(storage).claim(identity)
        sources = InputSources(plan=plan, open_store=self.open_store, open_storage=open_folder)
        with open_runner(sources, workers=self.workers, tell=self._told(name)) as runner:
            versions = range(1, len(plan.steps) + 1)
            trained = runner.run([Call(f"training of version {version}", train, (version,)) for version in versions])
            there = [step for step, found in enumerate(trained) if found.outcome == "trained"]
            calls = [Call(f"gate of version {step + 1}", judge, (spec, step + 1, None)) for step in there]
            judged = dict(zip(there, runner.run(calls), strict=True))
        return _Tried(
            spec=spec,
            steps=plan.steps,
            trained=trained,
            judged=judged,
            inputs=sources.open(frozen=True),
            storage=storage,
            data=identity.data,
        )

    def _told(self, name: str) -> Tell:
        return lambda done, asked, words: self.tell(done, asked, f"{name.replace('_', ' ')}: {words}")


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The newest step that trained a model as it is specified."""

    version: int
    decision: GateDecision


def _newest_trained(plan: Plan, tried: _Tried) -> _Known:
    if tried.judged:
        step = max(tried.judged)
        return _Known(version=step + 1, decision=tried.judged[step].decision)
    why = "; ".join(tried.trained[-1].problems[:3])
    raise DataError(
        Problem(
            code=ReasonCode.TRAINING_FAILED,
            field="data.window",
            found=f"no model at any of {len(plan.steps)} steps; at the newest: {why}",
            allowed="at least one step at which a model can be trained",
            fix="mend what the sentence names; a remedy is tried on a model that there is",
        ),
        subject=f"advice on {plan.spec.name}",
    )


def _remedies(spec: ModelSpec, known: _Known, inputs: Inputs) -> list[Remedy]:
    """Every remedy that applies: first those that the evidence points to, with their settings."""
    candidate, (_, frame) = inputs.candidate(known.version), inputs.rows(known.version)
    _, labels = clean_labels(spec, rows_within(frame, spec.data.time, candidate.train), candidate.task != "regression")
    pointed = known.decision.evaluation.remedies
    others = applicable_settings(spec, candidate, learned_from(labels, candidate.task))
    named = {remedy.name for remedy in pointed}
    rest = [
        Remedy(name=name, title=REMEDIES[name], because="", settings=settings)  # type: ignore[arg-type]
        for name, settings in others.items()
        if name not in named
    ]
    return [remedy for remedy in (*pointed, *rest) if _is_taken(spec, remedy.settings)]


def _is_taken(spec: ModelSpec, settings: Mapping[str, Any]) -> bool:
    """Whether the specification takes the settings: a rule of the team's may stand against one."""
    try:
        changed_spec(spec, settings)
    except SpecError:
        return False
    return True


def _trial(name: str, title: str, settings: Mapping[str, Any], because: str, tried: _Tried) -> Trial:
    apart = set(_apart(tried))
    looks = tuple(_look(tried, step, apart=step in apart) for step in range(len(tried.steps)))
    return Trial(name=name, title=title, settings=dict(settings), because=because, looks=looks, p=None)


def _look(tried: _Tried, step: int, *, apart: bool) -> Look:
    as_of, found = tried.steps[step].start, tried.judged.get(step)
    if found is None:
        return Look(as_of=as_of, verdict=None, reason="; ".join(tried.trained[step].problems[:3]))
    evaluation = found.decision.evaluation
    over = next((rule for rule in evaluation.rules if rule.rule == "baseline"), None)
    return Look(
        as_of=as_of,
        verdict=found.decision.verdict,
        reason=_reason(found.decision),
        metric=evaluation.primary,
        candidate=finite_or_none(evaluation.candidate_metrics.get(evaluation.primary)),
        constant=finite_or_none(evaluation.baseline_metrics.get(evaluation.primary)),
        gain=None if over is None else finite_or_none(over.value),
        lower=None if over is None else finite_or_none(over.lower),
        upper=None if over is None else finite_or_none(over.upper),
        rows=evaluation.rows,
        apart=apart,
    )


def _reason(decision: GateDecision) -> str:
    """Why, by the first rule that says more than that there is no champion yet."""
    rules = decision.evaluation.rules
    named = {rule.reason for rule in rules if rule.rule == "first_model"}
    return next((reason for reason in decision.reasons if reason not in named), next(iter(decision.reasons), ""))


def _apart(tried: _Tried) -> Iterator[int]:
    """Steps whose holdouts share no rows, from the newest backwards."""
    before: datetime | None = None
    for step in sorted(tried.judged, reverse=True):
        holdout = tried.judged[step].decision.evaluation.window
        if before is None or holdout.end <= before:
            before = holdout.start
            yield step


# -- what follows -----------------------------------------------------------------------------------------------------


def luck(accepted: int, looks: int, confidence: float) -> float:
    """Return the probability that a model which knows nothing is accepted so often: the binomial upper tail.

    Examples
    --------
    >>> round(luck(2, 2, 0.95), 4), luck(0, 6, 0.95)
    (0.0025, 1.0)
    """
    from scipy import stats

    return float(stats.binom.sf(accepted - 1, looks, 1 - confidence))


def _corrected(trials: Sequence[Trial], confidence: float) -> list[Trial]:
    corrected = holm([luck(trial.accepted, len(trial.counted), confidence) for trial in trials])
    return [replace(trial, p=p) for trial, p in zip(trials, corrected, strict=True)]


def _report(plan: Plan, data: str, own: Trial, found: Sequence[Trial], notes: Sequence[str]) -> AdviceReport:
    level = 1 - plan.spec.gate.champion.confidence
    best = own if own.newest.verdict is Verdict.ACCEPT else _best(found, level)
    sure = best is not None and (best is own or (best.p is not None and best.p <= level))
    return AdviceReport(
        model=plan.spec.name,
        spec_fingerprint=plan.spec.fingerprint,
        data_fingerprint=data,
        every_seconds=plan.every.total_seconds(),
        trials=(own, *found),
        recommended=None if best is None else best.name,
        sure=sure,
        why=_why(own, found, best, sure=sure),
        notes=(*notes, *_limits(own, found)),
    )


def _best(found: Sequence[Trial], level: float) -> Trial | None:
    """The remedy to take: sure before not sure, accepted now before not, then by how often; the first of equals.

    One that is accepted neither now nor surely is none.
    """

    def worth(trial: Trial) -> tuple[bool, bool, int]:
        return (trial.p or 0.0) <= level, trial.newest.verdict is Verdict.ACCEPT, trial.accepted

    usable = [trial for trial in found if any(worth(trial)[:2])]
    return max(usable, key=worth, default=None)


def _why(own: Trial, found: Sequence[Trial], best: Trial | None, *, sure: bool) -> str:
    if best is own:
        return "As it is specified, the newest candidate is accepted: there is nothing to mend."
    if best is None:
        return _nothing_helped((own, *found))
    often = f"accepted at {best.accepted} of {len(best.counted)} steps that share no rows"
    write = f"Write {' and '.join(format_settings(best.settings))}"
    now = "" if best.newest.verdict is Verdict.ACCEPT else ", though not at the newest"
    if sure:
        return f"{write}: {best.title}, {often}{now}; luck would do that with p = {format_number(best.p)}."
    return (
        f"{write}: {best.title}, {often}{now}. After {len(found)} remedies that may be luck"
        f" (p = {format_number(best.p)}); the gate judges it again on rows that are still to come."
    )


def _nothing_helped(every: Sequence[Trial]) -> str:
    return (
        f"None of {len(every) - 1} remedies helped: no candidate is surely better than a constant. The columns may hold"
        f" nothing about the label that these rows could show. {_nearest(every)}Look whether label and features belong"
        " together, add features that are known before the event, or wait for more rows."
    )


def _nearest(every: Sequence[Trial]) -> str:
    """What stands against the constant at the newest step, where it is known at all."""
    known = [(trial, trial.newest) for trial in every if trial.newest.gain is not None]
    better = [trial.title for trial, look in known if (look.gain or 0.0) > 0]
    if not known:
        return ""
    if not better:
        return "At the newest step none is better than the constant, not even by a little. "
    return f"At the newest step {_listed(better)} had a gain that is not sure. "


def _limits(own: Trial, found: Sequence[Trial]) -> Iterator[str]:
    """What a reader must know to believe the table."""
    if len(own.looks) == 1:
        yield "History is long enough for one step only: what is accepted at one may be luck."
    overlapping = [trial.title for trial in (own, *found) if len(trial.counted) < len(trial.looks)]
    if overlapping:
        yield f"Steps with rows in common, or without a model, are counted once or not: {', '.join(overlapping)}."


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
