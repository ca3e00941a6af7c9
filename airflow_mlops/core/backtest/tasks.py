"""The tasks of a backtest, each by the stage's own function: no rule is written a second time.

Each is a plain function of what its answer depends on, and is computed once: the answers are kept in the cache, and
processes that ask for the same one wait for it. Steps count from 0; the model that is trained at a step has the
version one above it, or one of `Plan.version_of` if it knows of a change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from airflow_mlops.core.backtest.cache import digest
from airflow_mlops.core.backtest.inputs import Inputs
from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.records.backtest import Judged, Pointed, Referred, Scored, Trained, Watched
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.training import candidate_from
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    from airflow_mlops.core.faults import DayRows
    from airflow_mlops.core.gate import HoldoutComparison
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.records.snapshot import Snapshot
    from airflow_mlops.core.training import Fitted


# -- training ---------------------------------------------------------------------------------------------------------


def train(inputs: Inputs, version: int) -> Trained:
    """Snapshot, validate, fit: what the train DAG does up to the gate; of a refit, what follows the gate."""
    if inputs.plan.judged_of(version) != version:
        return _refit(inputs, version)

    def compute() -> Trained:
        from airflow_mlops.core.snapshot import KnownFaults, read_snapshot, take_snapshot
        from airflow_mlops.core.training import fit
        from airflow_mlops.core.validation import enforce, validate_snapshot

        spec, storage = inputs.spec, inputs.cache.storage
        as_of = inputs.plan.steps[inputs.plan.step_of(version)].start
        try:
            faults = KnownFaults(anchor=_first_days(inputs, version))
            snapshot = take_snapshot(spec, as_of, inputs.store, storage, now=datetime.now(UTC), faults=faults)
            frame = read_snapshot(snapshot, storage)
            enforce(validate_snapshot(spec, snapshot, frame))
        except DataError as refusal:
            return Trained(outcome="invalid", problems=tuple(map(str, refusal.problems)), seconds=0)
        try:
            fitted = fit(spec, snapshot, frame, changed=inputs.plan.changed_of(version))
        except (DataError, TrainingError) as refusal:
            return Trained(outcome="failed", problems=tuple(map(str, refusal.problems)), seconds=0)
        inputs.cache.keep_model(version, fitted.pipeline, spec)
        return Trained(
            outcome="trained", candidate=_named(spec, snapshot, fitted, version), snapshot=snapshot, seconds=0
        )

    return inputs.cache.remember(Trained, f"training version {version}", [version], compute)


def _refit(inputs: Inputs, version: int) -> Trained:
    """Repeat the recipe of a trained version on all its rows; where that one is none, there is nothing to repeat."""
    origin = inputs.plan.judged_of(version)
    trained = train(inputs, origin)

    def compute() -> Trained:
        from airflow_mlops.core.training import refit

        spec = inputs.spec
        if trained.candidate is None:
            return replace(trained, seconds=0)
        snapshot, frame = inputs.rows(origin)
        try:
            fitted = refit(spec, snapshot, frame, trained.candidate, inputs.pipeline(origin))
        except (DataError, TrainingError) as refusal:
            return Trained(outcome="failed", problems=tuple(map(str, refusal.problems)), seconds=0)
        inputs.cache.keep_model(version, fitted.pipeline, spec)
        return Trained(
            outcome="trained", candidate=_named(spec, snapshot, fitted, version), snapshot=snapshot, seconds=0
        )

    return inputs.cache.remember(Trained, f"refitting version {origin}", [version], compute)


def _named(spec: ModelSpec, snapshot: Snapshot, fitted: Fitted, version: int) -> Candidate:
    return candidate_from(
        spec,
        snapshot,
        fitted,
        loop_run=f"backtest/{version}",
        run_id=f"backtest-{version}",
        model_uri=f"backtest:/{version}",
    )


def serving_version(
    inputs: Inputs, spec: ModelSpec, version: int, champion: int | None, *, gated: bool
) -> tuple[int, float]:
    """Return what serves once a version is to be promoted, and the seconds that its refit took.

    With `training.refit` that is the refitted model; where nothing comes of it, the version itself.

    Parameters
    ----------
    gated
        Whether a gate let the version through: then it is asked about the refitted model too.
    """
    if not spec.training.refit:
        return version, 0.0
    refitted = inputs.plan.refit_of(version)
    made = train(inputs, refitted)
    fine = made.outcome == "trained"
    if fine and gated:
        fine = judge(inputs, spec, refitted, champion).decision.verdict is Verdict.ACCEPT
    return (refitted if fine else version), made.seconds


def _first_days(inputs: Inputs, version: int) -> Sequence[DayRows]:
    """Days of the first model's rows, which tell the later ones what is sound; in the loop the champion's do.

    Which model serves at a step depends on the policy, and a training is the same for all of them.
    """
    first = train(inputs, 1).snapshot if version > 1 else None
    return () if first is None else inputs.days(first.uri)


def refer(inputs: Inputs, version: int) -> Referred:
    """Freeze the reference profile of a version, as the training task does."""

    def compute() -> Referred:
        from airflow_mlops.core.training import reference_profile, refitted_profile

        (snapshot, _), fitted, origin = inputs.rows(version), inputs.fitted(version), inputs.plan.judged_of(version)
        if origin == version:
            return Referred(profile=reference_profile(inputs.spec, snapshot, fitted), seconds=0)
        judged = refer(inputs, origin).profile
        return Referred(profile=refitted_profile(inputs.spec, snapshot, fitted, judged), seconds=0)

    on = [version, watch_settings(inputs.spec)]
    return inputs.cache.remember(Referred, f"reference profile of version {version}", on, compute)


# -- judging ----------------------------------------------------------------------------------------------------------


def judge(inputs: Inputs, spec: ModelSpec, version: int, champion: int | None) -> Judged:
    """Ask a specification's gate of a version against another, or against none, without a serving model.

    Of a refitted model it is what was decided about the version whose recipe it repeats, and about the model itself.
    """

    def compute() -> Judged:
        from airflow_mlops.core.gate import decide, decide_refit, evaluate, unserved_spec

        asked, origin = unserved_spec(spec), inputs.plan.judged_of(version)
        if origin != version:
            judged, refitted = judge(inputs, spec, origin, champion).decision, inputs.candidate(version)
            if judged.verdict is not Verdict.ACCEPT:  # a first model that serves all the same: its promise is this
                return Judged(decision=judged, seconds=0)
            made = decide_refit(asked, refitted, judged, origin, served=None, now=refitted.as_of)
            return Judged(decision=made, seconds=0)
        contest = _contest(inputs, asked, version, champion)
        evaluation = evaluate(
            asked,
            contest.candidate,
            contest.pipeline,
            contest.champion,
            contest.champion_pipeline,
            contest.frame,
            snapshot=contest.snapshot,
        )
        return Judged(decision=decide(asked, contest.candidate, evaluation, now=contest.candidate.as_of), seconds=0)

    on = [version, champion, gate_settings(spec)]
    return inputs.cache.remember(Judged, f"gate of version {version}", on, compute)


def judge_by_point(inputs: Inputs, version: int, champion: int) -> Pointed:
    """Compare the primary metric of two versions on the gate's rows, without any interval."""

    def compute() -> Pointed:
        from airflow_mlops.core.gate import judged_rows, score_models

        contest = _contest(inputs, inputs.spec, version, champion)
        rows = judged_rows(contest)
        if not len(rows.frame):
            return Pointed(candidate=math.nan, champion=math.nan, better=False, seconds=0)
        bench = score_models(contest, rows).inputs
        mine = bench.metric(bench.judged)
        theirs = math.nan if bench.other is None else bench.metric(bench.other)
        return Pointed(candidate=mine, champion=theirs, better=bench.sign * (mine - theirs) > 0, seconds=0)

    on = [version, champion, gate_settings(inputs.spec)]
    return inputs.cache.remember(Pointed, f"point estimate of version {version}", on, compute)


def _contest(inputs: Inputs, spec: ModelSpec, version: int, champion: int | None) -> HoldoutComparison:
    from airflow_mlops.core.gate import HoldoutComparison

    snapshot, frame = inputs.rows(version)
    return HoldoutComparison(
        spec=spec,
        candidate=inputs.candidate(version),
        pipeline=inputs.pipeline(version),
        champion=None if champion is None else inputs.champion(champion),
        champion_pipeline=None if champion is None else inputs.pipeline(champion),
        frame=frame,
        snapshot=snapshot,
    )


# -- serving and watching ---------------------------------------------------------------------------------------------


def score(inputs: Inputs, step: int, version: int) -> Scored:
    """Score a step's future into the score log of a version, as the score DAG would."""
    on = [version, step]

    def compute() -> Scored:
        from airflow_mlops.core.backtest.score_log import log_folder
        from airflow_mlops.core.scoring import score as score_window

        window = inputs.plan.steps[step]
        try:
            made = score_window(
                inputs.spec,
                inputs.champion(version),
                inputs.pipeline(version),
                inputs.store,
                log_folder(inputs.cache.storage, version),
                window,
                loop_run=f"backtest/{digest(on)}",
                now=window.end,
            )
        except DataError:  # an empty or broken window: nothing is scored, and monitoring says why
            return Scored(rows=0, seconds=0)
        return Scored(rows=made.rows, seconds=0)

    return inputs.cache.remember(Scored, f"scoring with version {version}", on, compute)


def watch(
    inputs: Inputs,
    spec: ModelSpec,
    step: int,
    served: Sequence[tuple[int, int]],
    *,
    judged_against: int | None,
    history: Sequence[DriftReport],
    performances: Sequence[PerformanceReport],
) -> Watched:
    """Drift and performance of the model that serves, as of a step, as the monitor DAG has them.

    Parameters
    ----------
    spec
        Whose monitoring and gate: the plan's specification, or a point's of a grid.
    served
        Step and version of every window so far, in order; the last one's version is watched.
    judged_against
        The champion that it was promoted over; None for the first model.
    history, performances
        What was seen earlier, newest first. All else says which these are, so they are not in the key.
    """
    last, version = served[-1]
    score(inputs, last, version)
    decision = judge(inputs, spec, version, judged_against).decision
    reference = refer(inputs, version).profile

    def compute() -> Watched:
        from airflow_mlops.core.backtest.score_log import ScoreLog
        from airflow_mlops.core.monitoring.drift import observe
        from airflow_mlops.core.monitoring.performance import measure_performance, prepare
        from airflow_mlops.core.monitoring.quarantine import left_out
        from airflow_mlops.core.retraining import count_new_rows

        store, as_of, champion = inputs.store, inputs.plan.steps[step].start, inputs.champion(version)
        log = ScoreLog(spec, inputs.cache.storage, {inputs.plan.steps[one]: by for one, by in served})
        drift = observe(spec, champion, reference, store, log, as_of, history=tuple(history))
        sources = (store, log, as_of)
        without = left_out(drift.quarantined)
        judged = partial(inputs.pipeline, inputs.plan.judged_of(version))
        prepared = inputs.prepared(
            (version, judged_against, gate_settings(spec), watch_settings(spec)),
            lambda: prepare(spec, champion, judged, inputs.cache.storage, decision=decision),
        )
        return Watched(
            drift=drift,
            performance=measure_performance(
                spec,
                champion,
                judged,
                *sources,
                decision=decision,
                prepared=prepared,
                history=performances,
                without=without,
            ),
            new_rows=count_new_rows(spec, champion, store, as_of),
            seconds=0,
        )

    on = [step, list(served), judged_against, gate_settings(spec), watch_settings(spec)]
    return inputs.cache.remember(Watched, f"monitoring version {version}", on, compute)


# -- what answers depend on -------------------------------------------------------------------------------------------


def gate_settings(spec: ModelSpec) -> str:
    """Digest of what a judgement depends on beside the two models and their rows."""
    return digest(spec.model_dump(mode="json")["gate"], spec.training.seed)


def watch_settings(spec: ModelSpec) -> str:
    """Digest of what monitoring depends on beside the models, the score log and the gate's decision."""
    return digest(spec.model_dump(mode="json")["monitoring"], look_settings(spec))


def look_settings(spec: ModelSpec) -> str:
    """Digest of what a comparison of two models' futures depends on."""
    gate = spec.model_dump(mode="json")["gate"]
    return digest(gate["champion"], gate["primary"], gate["metrics"], gate["slices"], spec.training.seed)
