"""Look at a window of rows through the champion's eyes: validate, count, compare, and say what it looks like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.monitoring.drift.causes_in_counts import CauseInput
from airflow_mlops.core.monitoring.drift.columns import EvidentlyTest
from airflow_mlops.core.monitoring.drift.compare import Against, compare, invalid_report, unknown_report
from airflow_mlops.core.monitoring.drift.hints import hints, hints_of_faults, hints_of_problems, without_released
from airflow_mlops.core.monitoring.drift.outputs import observed_outputs
from airflow_mlops.core.monitoring.drift.resting import resting_words
from airflow_mlops.core.monitoring.drift.sampling import WindowSamples
from airflow_mlops.core.monitoring.drift.schema_change import column_changes
from airflow_mlops.core.monitoring.drift.wording import of_other
from airflow_mlops.core.monitoring.quarantine import broken_spans
from airflow_mlops.core.monitoring.windows import stretched_window
from airflow_mlops.core.ports import DataStore, Storage, as_known_at
from airflow_mlops.core.records.candidate import Champion, compared_features
from airflow_mlops.core.records.drift import DriftReport, SchemaChange
from airflow_mlops.core.records.fault import FaultySpan, ReleasedSpan
from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.frames import to_frame
from airflow_mlops.core.rows.sampling import sample
from airflow_mlops.core.rows.windows import utc
from airflow_mlops.core.validation import enforce, validate
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.spec.validation import Expectation

if TYPE_CHECKING:
    import pyarrow as pa

VALIDATED_ROWS = 500_000
"""Rows of a window that expectations are asked of at most; of more, a sample is."""
_WHOLE_WINDOW = {"row_count", "freshness", "columns", "expect_table_row_count_to_be_between"}
"""Expectations about the size and age of a training window: a monitoring window is shorter by design."""
_NO_WINDOW = {ReasonCode.SOURCE_MISSING, ReasonCode.SOURCE_UNREADABLE, ReasonCode.QUERY_FAILED}


def observe(  # noqa: PLR0917 - the stage's nouns, in the order of the sentence
    spec: ModelSpec,
    champion: Champion,
    reference: Profile,
    store: DataStore,
    storage: Storage | None,
    as_of: datetime,
    *,
    history: Sequence[DriftReport] = (),
    released: Sequence[ReleasedSpan] = (),
) -> DriftReport:
    """Compare the monitoring window before `as_of` with what `monitoring.drift.references` name.

    Broken data is not drift: a window that lacks a column, has another type, or breaks an expectation of severity
    error gives the verdict ``invalid``, which never causes a retraining. Memory does not grow with rows: they are
    counted where they lie, expectations are asked of :data:`VALIDATED_ROWS` at most, and rows are looked at again, in
    a sample, only when something changed.

    Parameters
    ----------
    reference
        The champion's profile: its bins count every window.
    storage
        Where the score log and the champion's snapshot lie; None: predictions are not compared, and hints that need
        training rows are not given.
    history
        Reports of earlier windows, for since when something is so.
    released
        What a person said is right, whatever it looks like.

    Raises
    ------
    DataError
        If the source is missing or cannot be read at all: then there is no window to say anything about. If a test
        of `monitoring.drift.tests` does not fit its column.
    StoreUnavailableError
        If the source or the storage does not answer.
    """
    now, before, said = utc(as_of, "as-of"), tuple(history), tuple(released)
    return _Observation(spec, champion, reference, store, storage, now, before, said).report()


def earlier_window(window: Window, against: Against) -> Window:
    """Return the window before, or the same days a year before (from 29 February, the 28th).

    >>> from datetime import UTC
    >>> week = Window(start=datetime(2024, 2, 29, tzinfo=UTC), end=datetime(2024, 3, 7, tzinfo=UTC))
    >>> print(earlier_window(week, "previous").start.date(), earlier_window(week, "year_before").start.date())
    2024-02-22 2023-02-28
    """
    length = window.end - window.start
    if against == "previous":
        return Window(start=window.start - length, end=window.start)
    day = 28 if (window.start.month, window.start.day) == (2, 29) else window.start.day
    start = window.start.replace(year=window.start.year - 1, day=day)
    return Window(start=start, end=start + length)


def with_days_of(reference: Profile, earlier: Profile) -> Profile:
    """Lend an earlier window the reference's days: how far days differ is known there, and asked of both."""

    def lent(own: Sequence[ColumnProfile], known: Sequence[ColumnProfile]) -> tuple[ColumnProfile, ...]:
        days = {column.name: column.by_day for column in known}
        return tuple(replace(column, by_day=days.get(column.name)) for column in own)

    return replace(
        earlier,
        columns=lent(earlier.columns, reference.columns),
        outputs=lent(earlier.outputs, reference.outputs),
    )


class _Observation:
    """One look at one window."""

    def __init__(  # noqa: PLR0917 - what `observe` was given
        self,
        spec: ModelSpec,
        champion: Champion,
        reference: Profile,
        store: DataStore,
        storage: Storage | None,
        as_of: datetime,
        history: tuple[DriftReport, ...],
        released: tuple[ReleasedSpan, ...],
    ) -> None:
        self.spec, self.champion, self.reference = spec, champion, reference
        self.store, self.storage, self.as_of, self.history = as_known_at(store, as_of), storage, as_of, history
        self.window = stretched_window(spec, champion, as_of)
        self.released = released
        self.drift = spec.monitoring.drift
        self.slices = self.drift.slices or spec.gate.slices.columns
        self.used = frozenset({spec.data.time, spec.data.label, *spec.data.key})

    def report(self) -> DriftReport:
        """Validate, count, compare, explain."""
        try:
            self._validate()
            current = self._counted(self.window, self.window.end)
        except DataError as error:
            if any(problem.code in _NO_WINDOW for problem in error.problems):
                raise
            return self._invalid(error)
        before, why = self._before(self._first)
        samples = self._samples(None if self._first == "training" else before.window)
        report = self._compared(self._first, before, why, current, self._tests(samples))
        days = (self.window.end - self.window.start) / timedelta(days=1)
        untold = tuple(resting_words(self.reference, days, report.columns))
        report = replace(report, quarantined=self._spans(), reasons=(*report.reasons, *untold))
        if not why:
            clues = CauseInput(before, current, self.drift, self.slices, samples, self.used, self.storage is not None)
            report = replace(report, hints=hints(clues, report, self.history))
        report = replace(report, hints=without_released(hints_of_faults(report), report.window, self.released))
        return replace(report, others=tuple(self._other(name, current) for name in self._others))

    @property
    def _first(self) -> Against:
        return cast("Against", self.drift.references[0])

    @property
    def _others(self) -> tuple[Against, ...]:
        return cast("tuple[Against, ...]", tuple(dict.fromkeys(self.drift.references))[1:])

    def _compared(
        self, against: Against, before: Profile, why: str, current: Profile, tests: Mapping[str, EvidentlyTest]
    ) -> DriftReport:
        version, as_of = self.champion.version, self.as_of
        if why:
            return unknown_report(before, current, why, champion_version=version, as_of=as_of, against=against)
        importance = self.reference.importance
        return compare(
            before,
            current,
            self.drift,
            tests,
            champion_version=version,
            as_of=as_of,
            against=against,
            importance=importance,
        )

    def _before(self, against: Against) -> tuple[Profile, str]:
        """The profile to compare with; and, if it cannot be had, why."""
        if against == "training":
            return self.reference, ""
        window = earlier_window(self.window, against)
        try:
            return with_days_of(self.reference, self._counted(window, window.end)), ""
        except DataError as error:
            if any(problem.code in _NO_WINDOW for problem in error.problems):
                raise
            empty = replace(self.reference, window=window, rows=0, outputs=())
            return empty, f"the earlier window is broken: {error.problems[0]}"

    def _other(self, against: Against, current: Profile) -> str:
        before, why = self._before(against)
        return of_other(self._compared(against, before, why, current, {}))

    def _counted(self, window: Window, known_at: datetime) -> Profile:
        """A window in the champion's bins, with predictions, and the labels that were known at an instant."""
        profile = self.store.profile(self.reference, window, self.spec.data.time)
        sources = (self.spec, self.champion, self.reference, self.store, self.storage)
        return replace(profile, outputs=observed_outputs(*sources, window, known_at))

    def _samples(self, earlier: Window | None) -> WindowSamples:
        columns = [*(column.name for column in self.reference.columns), *self.slices]
        return WindowSamples(self.spec, self.champion, self.store, self.storage, self.window, earlier, columns)

    def _tests(self, samples: WindowSamples) -> dict[str, EvidentlyTest]:
        if not self.drift.tests:
            return {}
        from airflow_mlops.core.monitoring.drift.evidently import evidently_tests

        return evidently_tests(self.spec, compared_features(self.champion.candidate.features), samples)

    def _invalid(self, error: DataError) -> DriftReport:
        version = self.champion.version
        report = invalid_report(self.reference, self.window, error.problems, champion_version=version, as_of=self.as_of)
        report = replace(report, changes=self._changes(), quarantined=self._spans())
        used = self.used | {column.name for column in self.reference.columns}
        return replace(report, hints=hints_of_problems(error.problems, report, used, self.history))

    def _spans(self) -> tuple[FaultySpan, ...]:
        sources = (self.spec, self.champion, self.store, self.storage)
        try:
            return broken_spans(*sources, self.as_of, history=self.history, released=self.released)
        except DataError:
            return ()  # days before the window that cannot be read: the report is about the window

    def _changes(self) -> tuple[SchemaChange, ...]:
        try:
            return column_changes(self.reference.schema, self.store.schema(self.window, self.spec.data.time))
        except DataError:
            return ()  # files of two schemas have none together: what was refused tells of them

    def _validate(self) -> None:
        expectations = [each for each in self.spec.validation if _applies(each, self.spec.data.label)]
        if not expectations:
            return
        rows = sample(self._to_validate(expectations), VALIDATED_ROWS, self.spec.training.seed)
        if rows is not None:
            enforce(validate(to_frame(rows), expectations, subject=self.spec.name))

    def _to_validate(self, expectations: Sequence[Expectation]) -> Iterator[pa.RecordBatch]:
        there = {column.name for column in self.store.schema(self.window, self.spec.data.time)}
        features = [column.name for column in self.reference.columns]
        named = (name for expectation in expectations for name in (*expectation.named, *self.spec.data.key))
        wanted = dict.fromkeys((*features, self.spec.data.time, *(name for name in named if name in there)))
        yield from self.store.read(self.window, self.spec.data.time, list(wanted))


def _applies(expectation: Expectation, label: str) -> bool:
    """Whether an expectation can be asked of a monitoring window: its labels may not be known yet."""
    return expectation.expect not in _WHOLE_WINDOW and label not in expectation.named
