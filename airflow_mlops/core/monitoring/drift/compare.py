"""Drift: a window's counts against the reference's, column by column, then one verdict for the model.

A column is in drift when two things hold together: the difference is not chance (chi-squared test, adjusted across
columns) and it matters (the effect size, without what chance alone gives). Alone, the test calls every large window
drift, and an effect size calls small windows drift by noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.monitoring.drift import wording as words
from airflow_mlops.core.monitoring.drift.columns import (
    EvidentlyTest,
    bare_column,
    feature_pairs,
    is_about,
    judged,
    lengths_of,
    output_pairs,
    weights_of,
)
from airflow_mlops.core.monitoring.drift.schema_change import schema_changes
from airflow_mlops.core.records.drift import ColumnDrift, DriftReport, DriftVerdict
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.monitoring import DriftSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

Against = Literal["training", "previous", "year_before"]


def compare(
    reference: Profile,
    current: Profile,
    drift: DriftSpec,
    tests: Mapping[str, EvidentlyTest] | None = None,
    *,
    champion_version: int,
    as_of: datetime,
    against: Against = "training",
    importance: Mapping[str, float] | None = None,
) -> DriftReport:
    """Compare a window with a reference.

    Parameters
    ----------
    reference, current
        Counted in the same bins: the champion's profile, or an earlier window in its bins, and the window. Their
        `outputs` are compared too, where both have them.
    drift
        A column is in drift when its adjusted p-value is below `level` and its effect at least `min_effect` (or the
        share of missing values rose by `drift_columns.MISSING_RISE`); the model is when `share` of the features'
        importance is.
    tests
        Columns that Evidently judged instead.
    importance
        By feature; that of `reference` when None. Empty: all alike.

    Returns
    -------
    DriftReport
        Without hints. `invalid` when features cannot be compared (other columns or bins, all values missing, values
        not finite): broken data never counts as drift. `unknown` when either side has fewer than `min_rows` rows.

    Raises
    ------
    RecordError
        If the two profiles are of different models.

    Notes
    -----
    The p-values of the features are adjusted together, those of prediction and label stand alone: `level` bounds the
    share of false alarms among columns (Benjamini and Hochberg), and of each of the other two verdicts.
    """
    if reference.model != current.model:
        raise RecordError(_other_model(reference.model, current.model))
    importance = reference.importance if importance is None else importance
    weights = weights_of(reference, importance)
    lengths = lengths_of(reference, current)
    features = judged(feature_pairs(reference, current, drift, weights), drift, tests or {}, lengths)
    pairs = output_pairs(reference, current, drift)
    outputs = tuple(column for pair in pairs for column in judged([pair], drift, {}, lengths))
    verdict, share, reasons = _judge(features, reference, current, drift, even=not any(importance.values()))
    verdicts = {column.part: column.verdict for column in outputs}
    said = tuple(words.of_output(column) for column in outputs if column.verdict in {"drift", "invalid"})
    return DriftReport(
        model=reference.model,
        champion_version=champion_version,
        window=current.window,
        reference=reference.window,
        rows=current.rows,
        verdict=verdict,
        columns=(*features, *outputs),
        reasons=(*reasons, *said),
        as_of=as_of,
        against=against,
        prediction=verdicts.get("prediction", "unknown"),
        label=verdicts.get("label", "unknown"),
        share=share,
        changes=schema_changes(reference, current),
    )


def invalid_report(
    reference: Profile, window: Window, problems: Iterable[Problem], *, champion_version: int, as_of: datetime
) -> DriftReport:
    """Report a window that could not even be counted, with the problems of the `DataError` that said so."""
    found = tuple(problems)
    weights = weights_of(reference, reference.importance)
    return DriftReport(
        model=reference.model,
        champion_version=champion_version,
        window=window,
        reference=reference.window,
        rows=0,
        verdict="invalid",
        columns=tuple(
            bare_column(column, "feature", weights[column.name], "invalid", str(problem))
            for column in reference.columns
            if (problem := next((p for p in found if is_about(p, column.name)), None)) is not None
        ),
        reasons=tuple(str(problem) for problem in found),
        as_of=as_of,
    )


def unknown_report(
    reference: Profile, current: Profile, why: str, *, champion_version: int, as_of: datetime, against: Against
) -> DriftReport:
    """Report a window that there is nothing to compare with."""
    weights = weights_of(reference, reference.importance)
    return DriftReport(
        model=current.model,
        champion_version=champion_version,
        window=current.window,
        reference=reference.window,
        rows=current.rows,
        verdict="unknown",
        columns=tuple(bare_column(c, "feature", weights[c.name], "unknown", why) for c in reference.columns),
        reasons=(f"There is nothing to compare the window with: {why}.",),
        as_of=as_of,
        against=against,
    )


def _judge(
    columns: Sequence[ColumnDrift], reference: Profile, current: Profile, drift: DriftSpec, *, even: bool
) -> tuple[DriftVerdict, float | None, tuple[str, ...]]:
    if not columns:
        return "invalid", None, ("The reference profile has no column to compare.",)
    invalid = [column for column in columns if column.verdict == "invalid"]
    if invalid:
        said = f"{len(invalid)} of {len(columns)} feature columns cannot be compared: this is broken data, not drift."
        return "invalid", None, (said, *words.named(invalid))
    if min(reference.rows, current.rows) < drift.min_rows:
        said = f"The window has {current.rows} rows and the reference {reference.rows}: fewer than {drift.min_rows}"
        return "unknown", None, (f"{said} are too few to tell drift from chance.",)
    drifting = sorted((c for c in columns if c.verdict == "drift"), key=_rank)
    share = min(1.0, sum(column.weight or 0.0 for column in drifting))
    said = words.of_share(len(drifting), len(columns), share, drift.share, even=even)
    in_drift = share >= drift.share - 1e-9  # a sum of shares rounds
    unknown = sum(column.weight or 0.0 for column in columns if column.verdict == "unknown")
    if not in_drift and share + unknown >= drift.share - 1e-9:
        untold = words.named([column for column in columns if column.verdict == "unknown"])
        return "unknown", share, (said, "Columns whose test could not be made might decide.", *untold)
    return "drift" if in_drift else "ok", share, (said, *words.named(drifting))


def _rank(column: ColumnDrift) -> tuple[float, float, str]:
    """Most important first: importance times effect, then the effect."""
    effect = column.psi or 0.0
    return -(column.weight or 0.0) * effect, -effect, column.column


def _other_model(reference: str, current: str) -> Problem:
    return Problem(
        code=ReasonCode.RECORD_CONFLICT,
        field="model",
        found=f"a reference profile of {reference} and a window of {current}",
        allowed="two profiles of one model",
        fix="profile the window against the champion's own reference",
    )
