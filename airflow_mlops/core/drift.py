"""Drift: a window's counts against the reference's, column by column, then one verdict for the model.

A column is in drift when two things hold together: the difference is not chance (chi-squared test, adjusted across
columns) and it matters (population stability index). Alone, the test calls every large window drift, and the index
calls small windows drift by noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from airflow_mlops.core.data import Window
from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.monitor import ColumnDrift, ColumnProfile, DriftReport, DriftVerdict, Profile
from airflow_mlops.core.stability import adjust, homogeneity, psi
from airflow_mlops.spec.model import DriftSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

NAMED = 10
"""Columns that the reasons name; all of them stand in the report's columns."""


def compare(
    reference: Profile, current: Profile, drift: DriftSpec, *, champion_version: int, as_of: datetime
) -> DriftReport:
    """Compare a window with the champion's reference profile.

    Parameters
    ----------
    reference, current
        Counted in the same bins; `current` by :func:`~airflow_mlops.core.profile.profile_batches`.
    drift
        A column is in drift when its adjusted p-value is below `level` and its index at least `min_effect`; the
        model is when at least `share` of its columns are.

    Returns
    -------
    DriftReport
        `invalid` when columns cannot be compared (other columns or bins, all values missing, values not finite):
        broken data never counts as drift. `unknown` when either side has fewer than `min_rows` rows.

    Raises
    ------
    RecordError
        If the two profiles are of different models.
    """
    if reference.model != current.model:
        raise RecordError(_other_model(reference.model, current.model))
    columns = _columns(reference, current, drift)
    verdict, reasons = _judge(columns, reference, current, drift)
    return DriftReport(
        model=reference.model,
        champion_version=champion_version,
        window=current.window,
        reference=reference.window,
        rows=current.rows,
        verdict=verdict,
        columns=columns,
        reasons=reasons,
        as_of=as_of,
    )


def invalid_report(
    reference: Profile, window: Window, problems: Iterable[Problem], *, champion_version: int, as_of: datetime
) -> DriftReport:
    """Report a window that could not even be counted, with the problems of the `DataError` that said so."""
    found = tuple(problems)
    names = {column.name for column in reference.columns}
    return DriftReport(
        model=reference.model,
        champion_version=champion_version,
        window=window,
        reference=reference.window,
        rows=0,
        verdict="invalid",
        columns=tuple(_column(p.field, "invalid", str(p)) for p in found if p.field in names),
        reasons=tuple(str(problem) for problem in found),
        as_of=as_of,
    )


def _columns(reference: Profile, current: Profile, drift: DriftSpec) -> tuple[ColumnDrift, ...]:
    enough = min(reference.rows, current.rows) >= drift.min_rows
    seen = {column.name: column for column in current.columns}
    pairs = [(column, seen.get(column.name)) for column in reference.columns]
    flaws = [_flaw(before, now, enough) for before, now in pairs]
    counts = [
        (_counts(before), _counts(now))
        for (before, now), flaw in zip(pairs, flaws, strict=True)
        if now is not None and not flaw and enough
    ]
    p_values = adjust([homogeneity(*pair) for pair in counts])
    measured = iter([(psi(*pair), p) for pair, p in zip(counts, p_values, strict=True)])
    columns = []
    for (before, now), flaw in zip(pairs, flaws, strict=True):
        if now is None or flaw:
            columns.append(_column(before.name, "invalid", flaw))
        elif not enough:
            columns.append(_column(before.name, "unknown", "too few rows to tell"))
        else:
            columns.append(_measured(before, now, *next(measured), drift))
    return tuple(columns)


def _flaw(before: ColumnProfile, now: ColumnProfile | None, enough: bool) -> str:
    """Say why a column cannot be compared, if it cannot: its schema first, then what enough rows show of its values."""
    if now is None:
        return "the window's profile lacks the column"
    if (before.role, before.edges, before.categories) != (now.role, now.edges, now.categories):
        return "the window was counted in other bins than the reference"
    if not enough:
        return ""
    if not _present(now) and _present(before):
        return "all values are missing, which they were not in the reference"
    if now.non_finite and not before.non_finite:
        return f"{now.non_finite} values are not finite, and none was in the reference"
    return ""


def _measured(before: ColumnProfile, now: ColumnProfile, index: float, p: float, drift: DriftSpec) -> ColumnDrift:
    differs, matters = p < drift.level, index >= drift.min_effect
    reason = (
        f"PSI {index:.3f} {'>=' if matters else '<'} {drift.min_effect:g}, "
        f"adjusted p {p:.2g} {'<' if differs else '>='} {drift.level:g}"
    )
    was, is_now = _missing_share(before), _missing_share(now)
    if differs and abs(is_now - was) >= 0.01:  # noqa: PLR2004  (worth a word from one in a hundred on)
        reason += f"; missing {was:.1%} before, {is_now:.1%} now"
    return ColumnDrift(
        column=before.name, verdict="drift" if differs and matters else "ok", psi=index, p_value=p, reason=reason
    )


def _judge(
    columns: Sequence[ColumnDrift], reference: Profile, current: Profile, drift: DriftSpec
) -> tuple[DriftVerdict, tuple[str, ...]]:
    if not columns:
        return "invalid", ("The reference profile has no column to compare.",)
    invalid = [column for column in columns if column.verdict == "invalid"]
    if invalid:
        said = f"{len(invalid)} of {len(columns)} feature columns cannot be compared: this is broken data, not drift."
        return "invalid", (said, *_named(invalid))
    if min(reference.rows, current.rows) < drift.min_rows:
        said = f"The window has {current.rows} rows and the reference {reference.rows}: fewer than {drift.min_rows}"
        return "unknown", (f"{said} are too few to tell drift from chance.",)
    drifting = sorted((c for c in columns if c.verdict == "drift"), key=lambda c: (-(c.psi or 0.0), c.column))
    share = len(drifting) / len(columns)
    said = (
        f"{len(drifting)} of {len(columns)} feature columns ({share:.0%}) are in drift; {drift.share:.0%} make drift."
    )
    return "drift" if share >= drift.share else "ok", (said, *_named(drifting))


def _named(columns: Sequence[ColumnDrift]) -> tuple[str, ...]:
    more = (f"and {len(columns) - NAMED} more columns.",) if len(columns) > NAMED else ()
    return tuple(f"{c.column}: {c.reason}." for c in columns[:NAMED]) + more


def _column(name: str, verdict: DriftVerdict, reason: str) -> ColumnDrift:
    return ColumnDrift(column=name, verdict=verdict, psi=None, p_value=None, reason=reason)


def _counts(column: ColumnProfile) -> list[int]:
    """Counts with missing and non-finite values as two more bins, so that a change of their share is seen."""
    return [*column.counts, column.missing, column.non_finite]


def _present(column: ColumnProfile) -> int:
    return sum(column.counts) + column.non_finite


def _missing_share(column: ColumnProfile) -> float:
    return column.missing / (_present(column) + column.missing)


def _other_model(reference: str, current: str) -> Problem:
    return Problem(
        code=ReasonCode.RECORD_CONFLICT,
        field="model",
        found=f"a reference profile of {reference} and a window of {current}",
        allowed="two profiles of one model",
        fix="profile the window against the champion's own reference",
    )
