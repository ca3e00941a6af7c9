"""Evidently as the layer below the verdict: its report of a bounded sample, and its tests by name.

It never sees a whole window: of a million rows and 30 columns its preset takes two minutes and 3.5 GB. It is given
every column's type, because a column that it has to guess at it may silently leave out. What it says of a column is
read from its tests, not from values: these are p-values or distances, depending on the test.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.monitoring.drift.columns import EvidentlyTest
from airflow_mlops.core.monitoring.drift.sampling import WindowSamples
from airflow_mlops.core.monitoring.drift.sandbox import harmless_frames, sandboxed
from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.candidate import Champion, Feature, compared_features
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.rows.frames import to_frame
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.monitoring import METHODS
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

log = logging.getLogger(__name__)
EITHER = frozenset({"hellinger", "jensenshannon", "kl_div", "psi"})
"""Tests that fit numbers and categories."""
OF_CATEGORIES = frozenset({"fisher_exact", "z"})
"""Tests of the share of one of two categories."""
OF_NUMBERS = METHODS - EITHER - OF_CATEGORIES
_SAME_LENGTH = frozenset({"fisher_exact"})
"""Tests that Evidently refuses for samples of two lengths."""
_BINARY = 2
_LEAST = 2
"""Values of a column on each side without which no test is made."""


def evidently_page(
    spec: ModelSpec, champion: Champion, store: DataStore, storage: Storage | None, report: DriftReport
) -> str:
    """Evidently's data drift report of a window against its reference, as one HTML page.

    At most 20,000 rows of each side are drawn, seeded. The verdicts are not Evidently's: they are in `report`, made on
    all rows. Names and categories are shown so that none can become markup, categories only of the columns that
    `gate.slices` and `gate.fairness` name, and the page stands in a frame that reaches nothing: see
    :mod:`airflow_mlops.core.monitoring.drift.sandbox`.

    Returns
    -------
    str
        Empty when none is wanted (`monitoring.drift.report`: `never`, or `on_drift` and nothing is in drift), when the
        window is invalid, when there are no rows to show on either side, or when Evidently cannot draw these: the
        verdict does not wait for a picture.

    Raises
    ------
    StoreUnavailableError
        If rows cannot be read now.
    """
    if not _wanted(spec, report):
        return ""
    features = compared_features(champion.candidate.features)
    earlier = None if report.against == "training" else report.reference
    names = [feature.name for feature in features]
    samples = WindowSamples(spec, champion, store, storage, report.window, earlier, names)
    before, now = samples.before, samples.now
    if before is None or now is None:
        return ""
    there = [feature for feature in features if {feature.name} <= set(before.column_names) & set(now.column_names)]
    frames = [as_features(to_frame(table), there) for table in (before, now)]
    shown = [feature for feature in there if all(_testable(frame[feature.name]) for frame in frames)]
    # What the specification lets reports show is shown; and nothing of it can become markup.
    values = {*spec.gate.slices.columns, *spec.gate.fairness.columns}
    (reference, window), harmless = harmless_frames([frame[[f.name for f in shown]] for frame in frames], shown, values)
    try:
        page = _html(reference, window, harmless) if shown else ""
        return sandboxed(page, f"Drift of {spec.name}, by Evidently") if page else ""
    except (ArithmeticError, TypeError, ValueError) as error:
        log.warning("no page of Evidently's: it raised %s on these rows", type(error).__name__)
        return ""


def evidently_tests(spec: ModelSpec, features: Sequence[Feature], samples: WindowSamples) -> dict[str, EvidentlyTest]:
    """Judge the columns of `monitoring.drift.tests` by Evidently's tests, each with Evidently's own threshold.

    Raises
    ------
    DataError
        If a test does not fit its column, or there is no such column: every such test.
    """
    tests, roles = spec.monitoring.drift.tests, {feature.name: feature.role for feature in features}
    require_fitting(tests, features, subject=spec.name)
    before, now = (samples.before, samples.now) if tests else (None, None)
    if before is None or now is None:
        why = f"no rows to test: {samples.trouble or 'the window has none'}"
        return {name: EvidentlyTest(drift=None, value=None, words=why) for name in tests}
    found = {}
    for name, method in tests.items():
        feature = Feature(name=name, role=roles[name])
        found[name] = _test(method, feature, before, now)
    misfits = [_misfit(name, tests[name], test.words) for name, test in found.items() if test.words in _REFUSALS]
    if misfits:
        raise DataError(misfits, subject=spec.name)
    return found


def require_fitting(tests: Mapping[str, Any], features: Sequence[Feature], *, subject: str) -> None:
    """Refuse tests of columns that are no features, and tests that do not fit a column's role.

    Raises
    ------
    DataError
        With every such test.
    """
    roles: dict[str, str] = {feature.name: feature.role for feature in features}
    problems = []
    for name, method in tests.items():
        fitting = EITHER | (OF_NUMBERS if roles.get(name) == "numeric" else OF_CATEGORIES)
        if name not in roles:
            problems.append(_misfit(name, method, "no feature of the champion", allowed="a feature's name"))
        elif method not in fitting:
            wanted = f"for a {roles[name]} feature one of {', '.join(sorted(fitting))}"
            problems.append(_misfit(name, method, f"a {roles[name]} feature", allowed=wanted))
    if problems:
        raise DataError(problems, subject=subject)


_MANY_VALUES = "a feature with more than two values"
_REFUSALS = {_MANY_VALUES}


def _test(method: str, feature: Feature, before: pa.Table, now: pa.Table) -> EvidentlyTest:
    columns = []
    for table in (before, now):
        if feature.name not in table.column_names:
            return EvidentlyTest(drift=None, value=None, words=f"no column {feature.name} in the sampled rows")
        values = as_features(to_frame(table.select([feature.name])), [feature])[feature.name]
        columns.append(_finite(values))
    if min(map(len, columns)) < _LEAST:
        return EvidentlyTest(drift=None, value=None, words="too few values in the sampled rows to test")
    if method in OF_CATEGORIES and len(set(columns[0]) | set(columns[1])) > _BINARY:
        return EvidentlyTest(drift=None, value=None, words=_MANY_VALUES)
    if method in _SAME_LENGTH:
        rows = min(map(len, columns))
        columns = [values.sample(rows, random_state=0) for values in columns]
    rows_said = (
        f"Evidently's {method} on {len(columns[0]):,} rows of the reference and {len(columns[1]):,} of the window"
    )
    try:
        value, drift, said = _evidently(method, feature, columns)
    except (ArithmeticError, TypeError, ValueError) as error:  # what SciPy says of a constant, for one
        return EvidentlyTest(drift=None, value=None, words=f"{rows_said} cannot be made ({type(error).__name__})")
    if not math.isfinite(value):  # which Evidently takes for no drift
        return EvidentlyTest(drift=None, value=None, words=f"{rows_said} gave no number")
    return EvidentlyTest(drift=drift, value=value, words=f"{rows_said}: {said}")


def _evidently(method: str, feature: Feature, columns: Sequence[pd.Series[Any]]) -> tuple[float, bool, str]:
    with _quiet():
        from evidently import Report
        from evidently.metrics import ValueDrift

        before, now = (_dataset(values.to_frame().reset_index(drop=True), [feature]) for values in columns)
        made = Report([ValueDrift(column=feature.name, method=method)], include_tests=True).run(now, before).dict()
    value = float(made["metrics"][0]["value"])
    threshold = made["metrics"][0]["config"].get("threshold")
    drift = made["tests"][0]["status"] != "SUCCESS"
    bound = "" if threshold is None else f", threshold {threshold:g}"
    return value, drift, f"{value:.3g}{bound}"


def _html(before: pd.DataFrame, now: pd.DataFrame, features: Sequence[Feature]) -> str:
    with _quiet():
        from evidently import Report
        from evidently.presets import DataDriftPreset

        names = [feature.name for feature in features]
        sides = [_dataset(_clean(frame[names]), features) for frame in (now, before)]
        made = Report([DataDriftPreset()], include_tests=True).run(*sides)
        page: str = made.get_html_str(as_iframe=False)
    return page


def _dataset(frame: pd.DataFrame, features: Sequence[Feature]) -> Any:
    from evidently import DataDefinition, Dataset

    columns = {role: [f.name for f in features if f.role == role] for role in ("numeric", "categorical")}
    definition = DataDefinition(numerical_columns=columns["numeric"], categorical_columns=columns["categorical"])
    return Dataset.from_pandas(frame, definition)


def _clean(frame: pd.DataFrame) -> pd.DataFrame:
    import numpy as np

    return frame.replace([np.inf, -np.inf], np.nan).reset_index(drop=True)


def _finite(values: pd.Series[Any]) -> pd.Series[Any]:
    return _clean(values.to_frame())[values.name].dropna().reset_index(drop=True)


def _testable(values: pd.Series[Any]) -> bool:
    return len(_finite(values)) >= _LEAST


def _wanted(spec: ModelSpec, report: DriftReport) -> bool:
    mode = spec.monitoring.drift.report
    if mode == "never" or report.verdict == "invalid" or not report.rows:
        return False
    return mode == "always" or "drift" in {report.verdict, report.prediction, report.label}


@contextmanager
def _quiet() -> Iterator[None]:
    """Import and use Evidently without a word in the logs; its usage statistics are switched off."""
    os.environ.setdefault("DO_NOT_TRACK", "true")
    loggers = [logging.getLogger(name) for name in ("evidently", "iterative_telemetry", "fsspec")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _misfit(name: str, method: str, found: str, *, allowed: str = "a column that the test fits") -> Problem:
    return Problem(
        code=ReasonCode.SPEC_INVALID_VALUE,
        field=f"monitoring.drift.tests.{name}",
        found=f"the test {method} for {found}",
        allowed=allowed,
        fix="name another test, or leave the column to the counts of all rows",
    )
