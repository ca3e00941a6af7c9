"""Realised performance of the champion against what the gate promised: decay, found as outcomes mature.

The verdict is sequential. The champion's excess loss (`excess`) in every block of its service stands in a row with that
of its holdout rows, and decay is a rise that is surely more than the bound, whenever it began (`core.stats.mean_rise`):
so that a promise which was high by luck is not tested anew every day, and that a harder season is no decay. A
champion that is surely worse than the trivial baseline has decayed whatever was promised. docs/decisions/0016 says
what was tried.

The drop beside it is the promise less what was realised on the newest cohort, with the interval of their difference
(`core.stats.two_sample`); it decides alone only where there is no row of blocks, as for a metric that is not defined in
blocks of a few days.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.metrics.measure import judge, measure
from airflow_mlops.core.monitoring.performance.cohort import Cohort, cohort_of, cohort_window, waiting
from airflow_mlops.core.monitoring.performance.estimated import Estimator, doubts, estimate
from airflow_mlops.core.monitoring.performance.excess import (
    ExcessRows,
    earlier_blocks,
    join_blocks,
)
from airflow_mlops.core.monitoring.performance.expected import (
    ExpectedPerformance,
    displaced_gain,
    repeated,
)
from airflow_mlops.core.monitoring.performance.health import health_of, newest_row
from airflow_mlops.core.monitoring.performance.outcomes import JoinedOutcomes, join_outcomes
from airflow_mlops.core.monitoring.performance.prediction_log import LoggedPredictions, read_prediction_log
from airflow_mlops.core.monitoring.performance.prepared import Prepared, prepare
from airflow_mlops.core.monitoring.performance.realised import baseline_gain, calibration, finite, realised, slice_decay
from airflow_mlops.core.monitoring.performance.series import ExcessSeries, series_of
from airflow_mlops.core.monitoring.performance.wording import Counted, judged_words, oddities
from airflow_mlops.core.ports import DataStore, Storage, as_known_at
from airflow_mlops.core.records.candidate import Champion
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.performance import BlockExcess, Estimate, Measured, PerformanceReport
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.windows import utc
from airflow_mlops.core.scoring import rows_ahead, scored_batches
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode

_NO_SOURCE = {ReasonCode.SOURCE_MISSING, ReasonCode.SOURCE_UNREADABLE, ReasonCode.QUERY_FAILED}


def measure_performance(  # noqa: PLR0917 - the stage's nouns, in the order of the sentence
    spec: ModelSpec,
    champion: Champion,
    load_pipeline: Callable[[], Any],
    store: DataStore,
    storage: Storage,
    as_of: datetime,
    *,
    decision: GateDecision | None,
    prepared: Prepared | None = None,
    history: Iterable[PerformanceReport] = (),
    without: Sequence[Window] = (),
) -> PerformanceReport:
    """Compare what the champion achieved on the newest mature cohort with what its gate promised.

    Parameters
    ----------
    load_pipeline
        Returns the fitted pipeline that was judged (`Candidate.judged_uri`): the holdout rows are predicted again, to
        know how sure the promise was. Of a refitted champion it is not the one that serves, which has seen these rows.
    store
        The source, for the outcomes. Nothing after as-of is read, and no outcome that is not mature.
    storage
        For the score log and the champion's snapshot.
    decision
        The gate's decision about the champion; None: what training measured is the promise.
    prepared
        What `prepared.prepare` gave for the same champion, decision and specification: for who looks often.
    history
        Earlier reports, in any order: their blocks are put before those of this look. One that is left out makes the
        verdict later, and not wrong.
    without
        Event times whose rows are broken: neither predictions nor outcomes of them count.

    Returns
    -------
    PerformanceReport
        The verdict is ``invalid`` when outcomes contradict each other or are no usable labels, or the source lacks a
        column; ``unknown`` with too few rows, too few outcomes, no promise or no interval.

    Raises
    ------
    DataError
        If the source is missing or cannot be read at all.
    RecordError
        If a manifest of the score log is of a newer format or not whole.
    StoreUnavailableError
        If the source, the storage or the model store does not answer.
    """
    now = utc(as_of, "as-of")
    prepared = prepared or prepare(spec, champion, load_pipeline, storage, decision=decision)
    known = tuple(history), tuple(without)
    sight = _Measurement(spec, champion, as_known_at(store, now), storage, now, prepared, decision, *known)
    try:
        return sight.report()
    except DataError as error:
        if any(problem.code in _NO_SOURCE for problem in error.problems):
            raise
        return sight.refused(error)


@dataclass(frozen=True, eq=False)
class _Measurement:
    """What one look at a champion needs."""

    spec: ModelSpec
    champion: Champion
    store: DataStore
    storage: Storage
    now: datetime
    prepared: Prepared
    decision: GateDecision | None
    history: tuple[PerformanceReport, ...]
    without: tuple[Window, ...]

    @property
    def expected(self) -> ExpectedPerformance:
        return self.prepared.expected

    @property
    def estimator(self) -> Estimator | str:
        return self.prepared.estimator

    @property
    def window(self) -> Window:
        return cohort_window(self.spec, self.now)

    def report(self) -> PerformanceReport:
        """Read, join, measure, judge."""
        spec, expected, estimator = self.spec, self.expected, self.estimator
        each = estimator.each if isinstance(estimator, Estimator) else None
        logged = read_prediction_log(spec, self.champion, self.storage, self.window, self.without)
        features = [feature.name for feature in self.champion.candidate.features]
        how: dict[str, Any] = {"each": each, "without": self.without}
        joined = join_outcomes(spec, logged, self.store, self.window, self._beside(slices=True), features, **how)
        cohort = cohort_of(spec, logged, joined)
        counted = Counted(
            champion=self.champion.version,
            window=self.window,
            predicted=logged.rows,
            own=len(logged.predicted.values),
            matched=len(cohort.labels),
            answered=int(joined.known.sum()),
            unknown_classes=int((cohort.judged.y_true < 0).sum()) if cohort.judged.task != "regression" else 0,
            finite=cohort.judged.finite or not len(cohort.labels),
        )
        seen, lost = realised(spec, cohort, expected)
        series = self._series(cohort, counted)
        verdict, urgent, words = judged_words(spec, expected, counted, joined.contradicting, seen, lost, series)
        immature, estimated, why = self._estimated(logged, joined, cohort, counted, seen)
        fine = bool(counted.matched) and counted.finite
        return PerformanceReport(
            model=spec.name,
            champion_version=self.champion.version,
            as_of=self.now,
            window=self.window,
            metric=expected.metric.name,
            predicted=counted.predicted,
            matched=counted.matched,
            coverage=counted.coverage,
            immature=immature,
            promised=expected.value,
            realised=seen,
            drop=lost,
            bound=expected.bound,
            urgent_bound=expected.urgent,
            verdict=verdict,
            urgent=urgent,
            metrics=finite(measure(cohort.judged, spec)) if fine else {},
            baseline_gain=baseline_gain(spec, cohort, expected) if fine else None,
            promised_gain=expected.gain,
            calibration_error=calibration(spec, cohort) if fine else None,
            slices=slice_decay(spec, cohort.rows, cohort.judged, cohort.block, expected, self.decision) if fine else (),
            estimate=estimated,
            flow=health_of(logged, joined, newest_row(spec, self.store, self.now), self.now),
            problems=oddities(logged, joined, counted, rows_ahead(spec, self.storage, self.now)),
            reasons=(*words, *expected.reasons, *why, *self._left_out()),
            block_seconds=self.prepared.meter.length.total_seconds(),
            blocks=series.blocks,
            reference=self.prepared.reference,
            rise=series.rise,
            changed=series.changed if verdict == "decay" else None,
            displaced_gain=displaced_gain(self.decision, expected.metric.name),
        )

    def _series(self, cohort: Cohort, counted: Counted) -> ExcessSeries:
        """The blocks of the champion's whole service, and what they show."""
        meter, expected = self.prepared.meter, self.expected
        before = earlier_blocks(self.champion, self.now, self.history, meter.length)
        now: tuple[BlockExcess, ...] = ()
        known = min(counted.coverage, counted.own_coverage) >= self.spec.monitoring.performance.min_coverage
        if known and counted.matched and counted.finite:
            now = meter.measure(self._excess_rows(cohort), self.window)
        blocks = join_blocks(before, now, self.window, meter.length) if known else before
        how: dict[str, Any] = {"new": len(now), "learned": meter.learned, "late": meter.late}
        return series_of(self.prepared.reference, blocks, expected.bound, expected.urgent, **how)

    def _excess_rows(self, cohort: Cohort) -> ExcessRows:
        held, constant = self.expected.holdout, None
        if held is not None:
            said = repeated(held.constant, len(cohort.labels))
            constant = judge(cohort.labels, said, weights=cohort.judged.weights)
        return ExcessRows(
            times=cohort.rows[self.spec.data.time],
            judged=cohort.judged,
            predicted=cohort.estimable.predicted,
            constant=constant,
        )

    def refused(self, error: DataError) -> PerformanceReport:
        """The report on a source that is not what the specification says."""
        expected = self.expected
        return PerformanceReport(
            model=self.spec.name,
            champion_version=self.champion.version,
            as_of=self.now,
            window=self.window,
            metric=expected.metric.name,
            predicted=0,
            matched=0,
            coverage=0.0,
            immature=0,
            promised=expected.value,
            bound=expected.bound,
            urgent_bound=expected.urgent,
            verdict="invalid",
            promised_gain=expected.gain,
            reasons=(*(str(problem) for problem in error.problems), *expected.reasons),
            block_seconds=self.prepared.meter.length.total_seconds(),
            blocks=earlier_blocks(self.champion, self.now, self.history, self.prepared.meter.length),
            reference=self.prepared.reference,
        )

    def _left_out(self) -> tuple[str, ...]:
        said = ", ".join(str(span) for span in self.without)
        return (f"Rows of {said} are left out: a feature is broken in them.",) if said else ()

    def _beside(self, *, slices: bool = False) -> list[str]:
        """Columns that are read beside key, time and outcome."""
        spec = self.spec
        named = (spec.data.weight, spec.gate.champion.entity, *(spec.gate.slices.columns if slices else ()))
        return [name for name in named if name is not None]

    def _estimated(
        self,
        logged: LoggedPredictions,
        joined: JoinedOutcomes,
        cohort: Cohort,
        counted: Counted,
        seen: Measured | None,
    ) -> tuple[int, Estimate | None, Sequence[str]]:
        """How many predictions are immature, the estimate on what waits for outcomes, and why there is none."""
        spec, estimator = self.spec, self.estimator
        start = max(self.window.end, self.now - spec.monitoring.performance.window)
        later = Window(start=start, end=self.now) if start < self.now else None
        before = Window(start=self.window.end, end=start) if self.window.end < start else None
        older = 0
        if before is not None:
            older = sum(batch.num_rows for batch in scored_batches(spec, self.storage, before, [spec.data.time]))
        new = None if later is None else read_prediction_log(spec, self.champion, self.storage, later, self.without)
        immature = older + (0 if new is None else new.rows)
        if isinstance(estimator, str):
            return immature, None, [estimator] if estimator else []
        parts = self._parts(estimator, logged, joined, cohort, counted, new, later)
        try:
            rows = waiting(spec, parts)
        except DataError as error:  # a weight that is known with the outcome only says nothing of the outcomes known
            return immature, None, [f"no estimate without outcomes: {problem}" for problem in error.problems]
        if rows is None:
            return immature, None, ["no estimate without outcomes: no prediction waits for its outcome"]
        whole = Window(start=self.now - spec.monitoring.performance.window, end=self.now)
        enough = seen is not None and counted.matched >= spec.monitoring.performance.min_rows
        known = cohort.estimable if enough else None
        value = None if seen is None else seen.value
        found = estimate(estimator, whole, rows, known, value)
        if not math.isfinite(found.estimated.value):
            return immature, None, [f"no estimate without outcomes: {self.expected.metric.name} is not defined there"]
        return immature, found, doubts(estimator, found)

    def _parts(  # noqa: PLR0917 - as above
        self,
        estimator: Estimator,
        logged: LoggedPredictions,
        joined: JoinedOutcomes,
        cohort: Cohort,
        counted: Counted,
        new: LoggedPredictions | None,
        later: Window | None,
    ) -> list[tuple[LoggedPredictions, JoinedOutcomes | None, Array]]:
        """Predictions that wait: immature ones, and those of a cohort whose outcomes are late.

        Where most outcomes have come, the few predictions without one mostly never get one (a cancelled flight), and
        are another kind of rows.
        """
        import numpy as np

        spec = self.spec
        needs_rows = estimator.each is not None or bool(self._beside())
        parts: list[tuple[LoggedPredictions, JoinedOutcomes | None, Array]] = []
        if counted.own_coverage < spec.monitoring.performance.min_coverage and counted.own:
            open_ = np.ones(counted.own, dtype=bool)
            open_[cohort.places] = False
            open_ &= (logged.times >= self.now - spec.monitoring.performance.window).to_numpy()
            parts.append((logged, joined if needs_rows else None, open_))
        if new is not None and later is not None and len(new.predicted.values):
            found = None
            if needs_rows:
                features = [f.name for f in self.champion.candidate.features] if estimator.each is not None else []
                beside = self._beside()
                how: dict[str, Any] = {"outcomes": False, "each": estimator.each, "without": self.without}
                found = join_outcomes(spec, new, self.store, later, beside, features, **how)
            parts.append((new, found, np.ones(len(new.predicted.values), dtype=bool)))
        return parts
