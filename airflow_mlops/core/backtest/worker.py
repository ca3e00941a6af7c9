"""Do the pieces of work of a backtest, each by the stage's own function: no rule is written a second time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.backtest import tasks as needs
from airflow_mlops.core.backtest.cache import State
from airflow_mlops.core.backtest.inputs import Shelf, again_fitted
from airflow_mlops.core.backtest.plan import Plan
from airflow_mlops.core.backtest.tasks import Need
from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.backtest import Answer, Future, Judged, Pointed, Referred, Scored, Trained, Watched
from airflow_mlops.core.training import candidate_from
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlops.core.gate import HoldoutComparison
    from airflow_mlops.core.metrics.labelled import LabelledPredictions as JudgedRows
    from airflow_mlops.core.metrics.registry import Metric
    from airflow_mlops.core.stats.bootstrap import Gain

CONFIDENCE = 0.95
"""At which a fresh model is surely better: fixed, so that points of a grid are measured alike."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """Everything that a process needs to do any piece of work; it can be sent to another process."""

    plan: Plan
    variants: Mapping[str, ModelSpec]
    """Specifications by name; `BASE` is the plan's own."""
    open_store: Callable[[], DataStore]
    open_storage: Callable[[], Storage]


class Workshop:
    """Does pieces of work, and keeps their answers."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.plan, self.spec = opening.plan, opening.plan.spec
        self.state = State(opening.open_storage())
        self.shelf = Shelf(self.plan, self.state, opening.open_store)
        self.store = self.shelf.store

    def do(self, need: Need) -> Answer:
        """Do a piece of work and keep its answer; what is kept already is returned."""
        kept = self.state.find(need.answer, need.key)
        if kept is not None:
            return kept
        began = time.perf_counter()
        made = _WORK[type(need)](self, need)
        answer = replace(made, seconds=round(time.perf_counter() - began, 4))
        self.state.keep(need.key, answer)
        return answer

    # -- training ---------------------------------------------------------------------------------------------

    def train(self, need: needs.Train) -> Trained:
        """Snapshot, validate, fit: what the train DAG does up to the gate."""
        from airflow_mlops.core.snapshot import read_snapshot, take_snapshot
        from airflow_mlops.core.training import fit
        from airflow_mlops.core.validation import enforce, validate_snapshot

        spec, as_of = self.spec, self.plan.steps[need.version - 1].start
        try:
            snapshot = take_snapshot(spec, as_of, self.store, self.state.storage, now=datetime.now(UTC))
            frame = read_snapshot(snapshot, self.state.storage)
            enforce(validate_snapshot(spec, snapshot, frame))
        except DataError as refusal:
            return Trained(outcome="invalid", problems=tuple(map(str, refusal.problems)), seconds=0)
        try:
            fitted = fit(spec, snapshot, frame)
        except (DataError, TrainingError) as refusal:
            return Trained(outcome="failed", problems=tuple(map(str, refusal.problems)), seconds=0)
        self.state.keep_model(need.version, fitted.pipeline, spec)
        return Trained(
            outcome="trained",
            candidate=candidate_from(
                spec,
                snapshot,
                fitted,
                loop_run=f"backtest/{need.version}",
                run_id=f"backtest-{need.version}",
                model_uri=f"backtest:/{need.version}",
            ),
            snapshot=snapshot,
            seconds=0,
        )

    def refer(self, need: needs.Refer) -> Referred:
        """Freeze the reference profile, as the training task does."""
        from airflow_mlops.core.training import reference_profile

        candidate, pipeline = self.shelf.model(need.version)
        snapshot, frame = self.shelf.rows(need.version)
        fitted = again_fitted(self.spec, candidate, pipeline, snapshot, frame)
        return Referred(profile=reference_profile(self.spec, snapshot, fitted), seconds=0)

    # -- judging ----------------------------------------------------------------------------------------------

    def judge(self, need: needs.Judge) -> Judged:
        """Evaluate and decide, without the rule on the serving model: there is no server."""
        from airflow_mlops.core.gate import decide, evaluate

        spec = judged_spec(self.opening.variants[need.variant])
        contest = self._contest(spec, need.version, need.champion)
        evaluation = evaluate(
            spec,
            contest.candidate,
            contest.pipeline,
            contest.champion,
            contest.champion_pipeline,
            contest.frame,
            snapshot=contest.snapshot,
        )
        return Judged(decision=decide(spec, contest.candidate, evaluation, now=contest.candidate.as_of), seconds=0)

    def point(self, need: needs.Point) -> Pointed:
        """Compare the primary metric on the gate's rows, without any interval."""
        from airflow_mlops.core.gate import judged_rows, score_models

        contest = self._contest(self.spec, need.version, need.champion)
        rows = judged_rows(contest)
        if not len(rows.frame):
            return Pointed(candidate=math.nan, champion=math.nan, better=False, seconds=0)
        bench = score_models(contest, rows).inputs
        mine = bench.metric(bench.judged)
        theirs = math.nan if bench.other is None else bench.metric(bench.other)
        return Pointed(candidate=mine, champion=theirs, better=bench.sign * (mine - theirs) > 0, seconds=0)

    def _contest(self, spec: ModelSpec, version: int, champion: int | None) -> HoldoutComparison:
        from airflow_mlops.core.gate import HoldoutComparison

        candidate, pipeline = self.shelf.model(version)
        snapshot, frame = self.shelf.rows(version)
        other, other_pipeline = (None, None) if champion is None else self.shelf.champion(champion)
        return HoldoutComparison(
            spec=spec,
            candidate=candidate,
            pipeline=pipeline,
            champion=other,
            champion_pipeline=other_pipeline,
            frame=frame,
            snapshot=snapshot,
        )

    # -- serving and watching ---------------------------------------------------------------------------------

    def score(self, need: needs.Score) -> Scored:
        """Score a step's future into the score log of this version."""
        from airflow_mlops.core.backtest.score_log import log_folder
        from airflow_mlops.core.scoring import score

        champion, pipeline = self.shelf.champion(need.version)
        window = self.plan.steps[need.step]
        where = log_folder(self.state.storage, need.version)
        try:
            made = score(
                self.spec,
                champion,
                pipeline,
                self.store,
                where,
                window,
                loop_run=f"backtest/{need.key}",
                now=window.end,
            )
        except DataError:  # an empty or broken window: nothing is scored, and monitoring says why
            return Scored(rows=0, seconds=0)
        return Scored(rows=made.rows, seconds=0)

    def watch(self, need: needs.Watch) -> Watched:
        """Drift and performance, as the monitor DAG has them."""
        from airflow_mlops.core.backtest.score_log import ScoreLog
        from airflow_mlops.core.monitoring.drift import observe
        from airflow_mlops.core.monitoring.performance import measure_performance
        from airflow_mlops.core.retraining import count_new_rows

        spec, as_of = self.opening.variants[need.variant], self.plan.steps[need.step].start
        champion, pipeline = self.shelf.champion(need.version)
        reference = self.state.get(Referred, need.reference).profile
        decision = self.state.get(Judged, need.decision).decision
        log = ScoreLog(spec, self.state.storage, {self.plan.steps[step]: version for step, version in need.served})
        history = tuple(self.state.get(Watched, key).drift for key in need.before)
        return Watched(
            drift=observe(spec, champion, reference, self.store, log, as_of, history=history),
            performance=measure_performance(
                spec, champion, lambda: pipeline, self.store, log, as_of, decision=decision
            ),
            new_rows=count_new_rows(spec, champion, self.store, as_of),
            seconds=0,
        )

    def look(self, need: needs.Look) -> Future:
        """Score a step's future by its labels as they are known in the end."""
        from airflow_mlops.core.metrics import registry as metric
        from airflow_mlops.core.pipeline.predict import predict
        from airflow_mlops.core.rows.weights import row_weights

        mine, pipeline = self.shelf.model(need.version)
        rows = 0
        try:
            frame, labels = self.shelf.future(need.step, mine)
            rows = len(frame)
            if not rows:
                return Future(rows=0, loss=None, seconds=0)
            (weights,) = row_weights(self.spec, frame)
            said = predict(pipeline, frame, mine)
            newest, fresh = self.shelf.model(need.newest)
            other = said if need.newest == need.version else predict(fresh, frame, newest)
        except DataError:  # rows that no model can predict from: the step counts for no policy
            return Future(rows=rows, loss=None, seconds=0)
        primary = metric.metrics_of(self.spec)[metric.primary(self.spec, mine.task)]
        found = Future(rows=rows, loss=_finite(primary(metric.judge(labels, said, None, weights))), seconds=0)
        if other is said:
            return found
        known = (*mine.classes, *(label for label in newest.classes if label not in mine.classes))
        sides = (metric.judge(labels, other, known, weights), metric.judge(labels, said, known, weights))
        over = self._gain(primary, sides, frame)
        return replace(found, gain=_finite(over.value), lower=_finite(over.lower), upper=_finite(over.upper))

    def _gain(self, primary: Metric, sides: tuple[JudgedRows, JudgedRows], frame: pd.DataFrame) -> Gain:
        """Gain of the first side over the second, with bounds."""
        from airflow_mlops.core.stats.bootstrap import blocks_of, gain

        return gain(
            primary,
            *sides,
            blocks_of(self.spec, frame),
            confidence=CONFIDENCE,
            resamples=self.spec.gate.champion.resamples,
            seed=self.spec.training.seed,
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


_WORK: Mapping[type[Need], Callable[[Workshop, Any], Answer]] = {
    needs.Train: Workshop.train,
    needs.Judge: Workshop.judge,
    needs.Point: Workshop.point,
    needs.Refer: Workshop.refer,
    needs.Score: Workshop.score,
    needs.Watch: Workshop.watch,
    needs.Look: Workshop.look,
}


def judged_spec(spec: ModelSpec) -> ModelSpec:
    """The specification whose gate can be asked in a backtest, and is asked for nothing in vain.

    The rule on the serving model is off. So is the one on broken input where no bound is set: then it only reports,
    and no decision depends on it.
    """
    gate, robustness = spec.gate, spec.gate.robustness
    changes: dict[str, Any] = {"serving": gate.serving.model_copy(update={"mode": "off"})}
    if robustness.max_drop is None and robustness.max_reliance is None:
        changes["robustness"] = robustness.model_copy(update={"mode": "off"})
    return spec.model_copy(update={"gate": gate.model_copy(update=changes)})
