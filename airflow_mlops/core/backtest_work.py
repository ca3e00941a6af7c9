"""Do the pieces of work of a backtest, each by the stage's own function: no rule is written a second time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from airflow_mlops.core import backtest_needs as needs
from airflow_mlops.core.backtest_needs import Need
from airflow_mlops.core.backtest_plan import Plan
from airflow_mlops.core.backtest_record import Answer, Future, Judged, Pointed, Referred, Scored, Trained, Watched
from airflow_mlops.core.backtest_state import State
from airflow_mlops.core.data import DataStore, Snapshot, Storage
from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.model import Candidate, Champion
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlops.core.comparison import Contest
    from airflow_mlops.core.training import Fitted

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
        # The same models and rows are asked for by many pieces of work in a row; a few of each are held.
        self._model = lru_cache(maxsize=8)(self._read_model)
        self._rows = lru_cache(maxsize=2)(self._read_rows)
        self._future = lru_cache(maxsize=2)(self._read_future)

    @cached_property
    def store(self) -> DataStore:
        """The source, opened when it is first read."""
        return self.opening.open_store()

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
        from airflow_mlops.core.validation import enforce, expectations_for, validate, wanted_columns

        spec, as_of = self.spec, self.plan.steps[need.version - 1].start
        try:
            snapshot = take_snapshot(spec, as_of, self.store, self.state.storage, now=datetime.now(UTC))
            frame = read_snapshot(snapshot, self.state.storage)
            report = validate(
                frame,
                expectations_for(spec),
                subject=spec.name,
                source_columns=snapshot.source_columns,
                wanted_columns=wanted_columns(spec),
                as_of=as_of,
            )
            enforce(report)
        except DataError as refusal:
            return Trained(outcome="invalid", problems=tuple(map(str, refusal.problems)), seconds=0)
        try:
            fitted = fit(spec, snapshot, frame)
        except (DataError, TrainingError) as refusal:
            return Trained(outcome="failed", problems=tuple(map(str, refusal.problems)), seconds=0)
        self.state.keep_model(need.version, fitted.pipeline, spec)
        return Trained(
            outcome="trained",
            candidate=candidate_of(spec, fitted, snapshot, need.version),
            snapshot=snapshot,
            seconds=0,
        )

    def refer(self, need: needs.Refer) -> Referred:
        """Freeze the reference profile, as the training task does."""
        from airflow_mlops.core.reference import reference_profile

        candidate, pipeline = self._model(need.version)
        snapshot, frame = self._rows(need.version)
        fitted = self._fitted(candidate, pipeline, snapshot, frame)
        return Referred(profile=reference_profile(self.spec, snapshot, fitted), seconds=0)

    def _fitted(self, candidate: Candidate, pipeline: Any, snapshot: Snapshot, frame: pd.DataFrame) -> Fitted:
        """What the training returned, from what was kept of it."""
        from airflow_mlops.core.features import as_features
        from airflow_mlops.core.labels import clean_labels
        from airflow_mlops.core.training import Fitted, split_frame
        from airflow_mlops.core.trust import trusted_types

        classes = candidate.task != "regression"
        train, holdout = (clean_labels(self.spec, part, classes) for part in split_frame(self.spec, snapshot, frame))
        return Fitted(
            pipeline=pipeline,
            task=candidate.task,
            features=candidate.features,
            classes=candidate.classes,
            parameters=candidate.parameters,
            metrics=candidate.metrics,
            train=candidate.train,
            holdout=candidate.holdout,
            train_frame=as_features(train[0], candidate.features),
            holdout_frame=as_features(holdout[0], candidate.features),
            train_labels=train[1],
            holdout_labels=holdout[1],
            trusted_types=trusted_types(self.spec),
            warnings=(),
            convergence=candidate.convergence,
        )

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
        from airflow_mlops.core.comparison import compare, judged_rows

        contest = self._contest(self.spec, need.version, need.champion)
        rows = judged_rows(contest)
        if not len(rows.frame):
            return Pointed(candidate=math.nan, champion=math.nan, better=False, seconds=0)
        bench = compare(contest, rows).bench
        mine = bench.metric(bench.judged)
        theirs = math.nan if bench.other is None else bench.metric(bench.other)
        return Pointed(candidate=mine, champion=theirs, better=bench.sign * (mine - theirs) > 0, seconds=0)

    def _contest(self, spec: ModelSpec, version: int, champion: int | None) -> Contest:
        from airflow_mlops.core.comparison import Contest

        candidate, pipeline = self._model(version)
        snapshot, frame = self._rows(version)
        other, other_pipeline = (None, None) if champion is None else self.champion(champion)
        return Contest(
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
        from airflow_mlops.core.backtest_log import log_folder
        from airflow_mlops.core.scoring import score

        champion, pipeline = self.champion(need.version)
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
        from airflow_mlops.core.backtest_log import ScoreLog
        from airflow_mlops.core.monitoring import observe
        from airflow_mlops.core.performance import perform
        from airflow_mlops.core.retrain import count_new_rows

        spec, as_of = self.opening.variants[need.variant], self.plan.steps[need.step].start
        champion, pipeline = self.champion(need.version)
        reference = self.state.get(Referred, need.reference).profile
        decision = self.state.get(Judged, need.decision).decision
        log = ScoreLog(spec, self.state.storage, {self.plan.steps[step]: version for step, version in need.served})
        history = tuple(self.state.get(Watched, key).drift for key in need.before)
        return Watched(
            drift=observe(spec, champion, reference, self.store, log, as_of, history=history),
            performance=perform(spec, champion, lambda: pipeline, self.store, log, as_of, decision=decision),
            new_rows=count_new_rows(spec, champion, self.store, as_of),
            seconds=0,
        )

    def look(self, need: needs.Look) -> Future:
        """Score a step's future by its labels as they are known in the end."""
        from airflow_mlops.core import metrics as metric
        from airflow_mlops.core.bootstrap import blocks_of, gain
        from airflow_mlops.core.predict import predict
        from airflow_mlops.core.row_weights import row_weights

        mine, pipeline = self._model(need.version)
        frame, labels = self._future(need.step, self._columns(mine), mine.task != "regression")
        if not len(frame):
            return Future(rows=0, loss=None, seconds=0)
        (weights,) = row_weights(self.spec, frame)
        said = predict(pipeline, frame, mine)
        primary = metric.metrics_of(self.spec)[metric.primary(self.spec, mine.task)]
        loss = primary(metric.judge(labels, said, None, weights))
        found = Future(rows=len(frame), loss=loss if math.isfinite(loss) else None, seconds=0)
        if need.newest == need.version:
            return found
        newest, fresh = self._model(need.newest)
        known = (*mine.classes, *(label for label in newest.classes if label not in mine.classes))
        better, own = (metric.judge(labels, one, known, weights) for one in (predict(fresh, frame, newest), said))
        rule = self.spec.gate.champion
        over = gain(
            primary,
            better,
            own,
            blocks_of(self.spec, frame),
            confidence=CONFIDENCE,
            resamples=rule.resamples,
            seed=self.spec.training.seed,
        )  # fmt: skip
        gained, lower, upper = (
            value if math.isfinite(value) else None for value in (over.value, over.lower, over.upper)
        )
        return replace(found, gain=gained, lower=lower, upper=upper)

    # -- reading ----------------------------------------------------------------------------------------------

    def champion(self, version: int) -> tuple[Champion, Any]:
        """A version as the registry would tell it, and its model."""
        candidate, pipeline = self._model(version)
        found = Champion(
            model=self.spec.name,
            version=version,
            run_id=candidate.run_id,
            model_uri=candidate.model_uri,
            candidate=candidate,
        )
        return found, pipeline

    def _read_model(self, version: int) -> tuple[Candidate, Any]:
        trained = self.state.get(Trained, needs.Train(version=version).key)
        if trained.candidate is None:
            raise ValueError(f"step {version} trained no model: nobody may ask for it")
        return trained.candidate, self.state.model(version, self.spec)

    def _read_rows(self, version: int) -> tuple[Snapshot, pd.DataFrame]:
        from airflow_mlops.core.snapshot import read_snapshot

        snapshot = self.state.get(Trained, needs.Train(version=version).key).snapshot
        if snapshot is None:
            raise ValueError(f"step {version} trained no model: nobody may ask for its rows")
        return snapshot, read_snapshot(snapshot, self.state.storage)

    def _columns(self, model: Candidate) -> tuple[str, ...]:
        """What a model and the metric need of a row."""
        data, entity = self.spec.data, self.spec.gate.champion.entity
        named = (data.time, data.label, data.weight, entity, *(feature.name for feature in model.features))
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def _read_future(
        self, step: int, columns: tuple[str, ...], classification: bool
    ) -> tuple[pd.DataFrame, pd.Series[Any]]:
        """Labelled rows of a step's future, and their labels."""
        import pandas as pd
        import pyarrow as pa

        from airflow_mlops.core.labels import clean_labels

        batches = list(self.store.read(self.plan.steps[step], self.spec.data.time, columns))
        if not batches:
            return pd.DataFrame(), pd.Series(dtype="float64")
        return clean_labels(self.spec, pa.Table.from_batches(batches).to_pandas(), classification)


_WORK: Mapping[type[Need], Callable[[Workshop, Any], Answer]] = {
    needs.Train: Workshop.train,
    needs.Judge: Workshop.judge,
    needs.Point: Workshop.point,
    needs.Refer: Workshop.refer,
    needs.Score: Workshop.score,
    needs.Watch: Workshop.watch,
    needs.Look: Workshop.look,
}


def candidate_of(spec: ModelSpec, fitted: Fitted, snapshot: Snapshot, version: int) -> Candidate:
    """The record that the model store would have made of a training."""
    return Candidate(
        model=spec.name,
        loop_run=f"backtest/{version}",
        run_id=f"backtest-{version}",
        model_uri=f"backtest:/{version}",
        task=fitted.task,
        as_of=snapshot.as_of,
        train=fitted.train,
        holdout=fitted.holdout,
        train_rows=len(fitted.train_frame),
        holdout_rows=len(fitted.holdout_frame),
        snapshot_uri=snapshot.uri,
        snapshot_fingerprint=snapshot.fingerprint,
        spec_fingerprint=spec.fingerprint,
        features=fitted.features,
        classes=fitted.classes,
        parameters=fitted.parameters,
        metrics=fitted.metrics,
        convergence=fitted.convergence,
        seed=spec.training.seed,
    )


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
