"""The columns of two profiles against each other: which can be compared, and which of them are in drift."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from airflow_mlops.core.monitoring.drift import wording as words
from airflow_mlops.core.monitoring.drift.day_effects import DayTable, day_tests
from airflow_mlops.core.monitoring.drift.effect_sizes import beyond_chance, counts_of, measure, taken
from airflow_mlops.core.monitoring.drift.significance import frequent_bins, significance
from airflow_mlops.core.records.drift import ColumnDrift, DriftVerdict
from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.spec.monitoring import DriftSpec
from airflow_mlops.spec.problems import Problem

Part = Literal["feature", "prediction", "label"]
MISSING_RISE = 0.03
"""A share of missing values that rises by this much matters whatever `min_effect` is: from 5 to 10 % the index moves
by 0.04 only, and a feature that is missing twice as often is worth a look."""


@dataclass(frozen=True, kw_only=True)
class EvidentlyTest:
    """What a test of Evidently's said of one column (`monitoring.drift.tests`)."""

    drift: bool | None
    """None: it could not be made."""
    value: float | None
    """A p-value or a distance, as the test has it."""
    words: str


@dataclass(frozen=True)
class ColumnPair:
    """One column on both sides, and why it cannot be compared, if it cannot."""

    before: ColumnProfile
    now: ColumnProfile | None
    part: Part
    weight: float | None
    verdict: DriftVerdict | None = None
    flaw: str = ""


def weights_of(reference: Profile, importance: Mapping[str, float]) -> dict[str, float]:
    """Share of each feature; alike when none has any, for then nothing tells them apart."""
    names = [column.name for column in reference.columns]
    known = {name: max(0.0, importance.get(name, 0.0)) for name in names}
    total = sum(known.values())
    return {name: known[name] / total if total else 1 / len(names) for name in names}


def feature_pairs(
    reference: Profile, current: Profile, drift: DriftSpec, weights: Mapping[str, float]
) -> Iterator[ColumnPair]:
    """Every feature of the reference with what the window has of it."""
    enough = min(reference.rows, current.rows) >= drift.min_rows
    seen = {column.name: column for column in current.columns}
    for column in reference.columns:
        pair = ColumnPair(column, seen.get(column.name), "feature", weights[column.name])
        flaw = _flaw(pair.before, pair.now, enough)
        if flaw:
            yield replace(pair, verdict="invalid", flaw=flaw)
        elif not enough:
            yield replace(pair, verdict="unknown", flaw="too few rows to tell")
        else:
            yield pair


def output_pairs(reference: Profile, current: Profile, drift: DriftSpec) -> Iterator[ColumnPair]:
    """Prediction and label, where both sides have them; they have rows of their own."""
    seen = {column.name: column for column in current.outputs}
    parts: tuple[Part, ...] = ("prediction", "label")
    for part in parts:
        before = next((column for column in reference.outputs if column.name == part), None)
        now = seen.get(part)
        if before is None or now is None:
            continue
        rows = min(sum(counts_of(before)), sum(counts_of(now)))
        pair = ColumnPair(before, now, part, None)
        flaw = _flaw(before, now, rows >= drift.min_rows)
        if flaw:
            yield replace(pair, verdict="invalid", flaw=flaw)
        elif rows < drift.min_rows:
            yield replace(pair, verdict="unknown", flaw=f"{rows} rows are too few to tell")
        else:
            yield pair


def _flaw(before: ColumnProfile, now: ColumnProfile | None, enough: bool) -> str:
    """Say why a column cannot be compared, if it cannot: its schema first, then what enough rows show of its values."""
    if now is None:
        return "the window's profile lacks the column"
    if (before.role, before.edges, before.categories) != (now.role, now.edges, now.categories):
        return "the window was counted in other bins than the reference"
    return _flaw_of_values(before, now) if enough else ""


def _flaw_of_values(before: ColumnProfile, now: ColumnProfile) -> str:
    if not _present(now) and _present(before):
        return "all values are missing, which they were not in the reference"
    if now.non_finite and not before.non_finite:
        return f"{now.non_finite} values are not finite, and none was in the reference"
    if any(before.counts) and not any(now.counts):
        return "no value is finite, and there were some in the reference"
    return ""


@dataclass(frozen=True)
class Lengths:
    """How long the two sides are, in days."""

    window: float
    reference: float


def lengths_of(reference: Profile, current: Profile) -> Lengths:
    """Return the lengths of two profiles' windows."""
    window, before = ((side.window.end - side.window.start) / timedelta(days=1) for side in (current, reference))
    return Lengths(window, before)


def judged(
    pairs: Iterable[ColumnPair], drift: DriftSpec, tests: Mapping[str, EvidentlyTest], lengths: Lengths
) -> tuple[ColumnDrift, ...]:
    """Measure and test the pairs that can be compared; their p-values are adjusted together.

    A column whose reference was counted by day must differ by more than days do: `day_effects`.

    Where values are missing, their share is tested by itself too, and the smaller p-value is the column's: among 20
    bins a rise from 5 to 10 % is found in 1,000 rows four times of five, and by itself always.
    """
    known = list(pairs)
    sound = [(pair.before, pair.now) for pair in known if pair.verdict is None and pair.now is not None]
    found = iter(_p_values(sound, drift.level, lengths))
    columns = []
    for pair in known:
        if pair.verdict is not None or pair.now is None:
            column = bare_column(pair.before, pair.part, pair.weight, pair.verdict or "invalid", pair.flaw, pair.now)
        else:
            column = _measured(pair, pair.now, next(found), drift)
            column = _tested(column, tests.get(column.column))
        columns.append(column)
    return tuple(columns)


@dataclass(frozen=True)
class _Chance:
    """What chance has to do with a column."""

    p_value: float
    design_effect: float | None


def _p_values(
    pairs: Sequence[tuple[ColumnProfile, ColumnProfile]], level: float, lengths: Lengths
) -> Iterator[_Chance]:
    """The smallest adjusted p-value of each column's tests, and how much its bins' rows hang together."""
    owners, tables, by_day = [], [], []
    for number, (before, now) in enumerate(pairs):
        days = [] if before.by_day is None else before.by_day.counts
        owners.append(number)
        tables.append((counts_of(before), counts_of(now)))
        by_day.append(_day_table(before, *tables[-1], days, lengths))
        if any(column.missing + column.non_finite for column in (before, now)):
            owners.append(number)
            tables.append((_kinds(before), _kinds(now)))
            kinds = [(sum(day[:-2]), *day[-2:]) for day in days]
            by_day.append(_day_table(before, *tables[-1], kinds, lengths))
    tested = day_tests(by_day)
    found = significance(tables, level, [0.0 if test is None else test.p_value for test in tested])
    for number in range(len(pairs)):
        own = [place for place, owner in enumerate(owners) if owner == number]
        first = tested[own[0]]
        yield _Chance(min(found[place] for place in own), None if first is None else first.design_effect)


def _day_table(
    column: ColumnProfile, before: Sequence[int], now: Sequence[int], days: Sequence[Sequence[int]], lengths: Lengths
) -> DayTable | None:
    if column.by_day is None or not days:
        return None
    span = column.by_day.length
    # Predictions and labels are of the holdout, which is shorter than the window of the profile.
    reference = min(float(len(days)), lengths.reference / span)
    return DayTable(*frequent_bins(before, now, days), window=lengths.window / span, reference=reference)


def _kinds(column: ColumnProfile) -> list[int]:
    return [sum(column.counts), column.missing, column.non_finite]


def _measured(pair: ColumnPair, now: ColumnProfile, chance: _Chance, drift: DriftSpec) -> ColumnDrift:
    found = measure(pair.before, now)
    effect = beyond_chance(drift.effect, found, pair.before, now)
    bare = bare_column(pair.before, pair.part, pair.weight, "ok", "", now)
    fields: dict[str, Any] = {**found}
    p = chance.p_value
    column = replace(bare, p_value=p, effect=effect, design_effect=chance.design_effect, **fields)
    matters = effect >= drift.min_effect or _rise(column) >= MISSING_RISE
    verdict: DriftVerdict = "drift" if matters and p < drift.level else "ok"
    return replace(column, verdict=verdict, reason=words.of_column(column, *taken(drift.effect, found), drift))


def _tested(column: ColumnDrift, test: EvidentlyTest | None) -> ColumnDrift:
    if test is None:
        return column
    verdict: DriftVerdict = "unknown" if test.drift is None else "drift" if test.drift else "ok"
    return replace(column, verdict=verdict, effect=test.value, reason=test.words)


def _rise(column: ColumnDrift) -> float:
    return (column.missing_now or 0.0) - (column.missing_before or 0.0)


def bare_column(  # noqa: PLR0917 - the column, and what is said of it
    before: ColumnProfile,
    part: Part,
    weight: float | None,
    verdict: DriftVerdict,
    reason: str,
    now: ColumnProfile | None = None,
) -> ColumnDrift:
    """A column of the report that nothing was measured of."""
    return ColumnDrift(
        column=before.name,
        verdict=verdict,
        psi=None,
        p_value=None,
        reason=reason,
        part=part,
        weight=weight,
        missing_before=_missing_share(before),
        missing_now=None if now is None else _missing_share(now),
    )


def _present(column: ColumnProfile) -> int:
    return sum(column.counts) + column.non_finite


def _missing_share(column: ColumnProfile) -> float | None:
    rows = _present(column) + column.missing
    return column.missing / rows if rows else None


def is_about(problem: Problem, column: str) -> bool:
    """Whether a problem's field is the column, or the column within a part of the specification."""
    return problem.field == column or problem.field.endswith((f".{column}", f" {column}"))
