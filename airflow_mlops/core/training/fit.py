"""Train a candidate: a split ordered in time, one pipeline, an optional search, and the same result every time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.importing import import_object
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.pipeline.class_weights import for_classes
from airflow_mlops.core.pipeline.estimator import (
    build_estimator,
    in_own_words,
    is_classification,
    require_probabilities,
    set_seed,
)
from airflow_mlops.core.pipeline.features import as_features, build_pipeline, require_frame, resolve, source_types
from airflow_mlops.core.pipeline.predict import plain_classes, predict
from airflow_mlops.core.pipeline.trusted_types import require_trusted, trusted_types
from airflow_mlops.core.records.candidate import Feature, Label, RefitOf, Task
from airflow_mlops.core.records.snapshot import Snapshot, Window
from airflow_mlops.core.rows.labels import clean_labels, label_problems, positive_class, positive_problem
from airflow_mlops.core.rows.weights import fit_arguments, require_weights_taken, row_weights
from airflow_mlops.core.rows.windows import rows_within, split
from airflow_mlops.core.text import LONGEST, one_line
from airflow_mlops.core.training.calibrated import FOLDS, METHOD, is_overconfident, with_calibration
from airflow_mlops.core.training.convergence import observed
from airflow_mlops.core.training.early_stopping import EarlyStopping, Rounds, choose_rounds, take_early_stopping
from airflow_mlops.core.training.search import search_parameters
from airflow_mlops.core.training.training_start import MIN_TRAIN_ROWS, TrainingRows, choose_start
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A trained pipeline and everything that its record says; not a record itself, as it holds data."""

    pipeline: Pipeline
    task: Task
    features: tuple[Feature, ...]
    classes: tuple[Label, ...]
    positive: Label | None = None
    """Of two classes, the one that metrics are about."""
    parameters: Mapping[str, Any]
    """The estimator's parameters after any search, as plain JSON data."""
    metrics: Mapping[str, float]
    """Every metric of the task on the holdout rows, weighted by `data.weight`; not finite where it is not defined. None
    where the model has learned from these rows."""
    train: Window
    holdout: Window
    train_frame: pd.DataFrame
    """As the pipeline was given it: feature columns only, sorted by event time."""
    holdout_frame: pd.DataFrame
    train_labels: pd.Series[Any]
    holdout_labels: pd.Series[Any]
    train_times: pd.Series[Any]
    """Event times of the rows, in their order."""
    holdout_times: pd.Series[Any]
    trusted_types: tuple[str, ...]
    warnings: tuple[str, ...]
    """What the estimator warned of (no convergence, ...), each once."""
    convergence: Mapping[str, Any]
    """What it tells of its own training: `core.training.convergence`."""
    changed: datetime | None = None
    """As it was handed to :func:`fit`."""
    refit_of: RefitOf | None = None
    """As in :class:`~airflow_mlops.core.records.candidate.Candidate`."""


def fit(spec: ModelSpec, snapshot: Snapshot, frame: pd.DataFrame, *, changed: datetime | None = None) -> Fitted:
    """Train on the older part of a snapshot and measure on its newest.

    Rows whose label was not yet known when the holdout began are in neither part: `core.rows.windows.split`.

    Parameters
    ----------
    spec
        The model's specification.
    snapshot
        What the rows are: as-of time, columns, roles.
    frame
        The snapshot's rows, with the columns of event time, label, weight and features.
    changed
        Since when what was learned before is known not to hold, if anything is. The holdout lies behind it, and the
        training part begins there if that is better on the newest rows of it (:mod:`training_start`).

    Returns
    -------
    Fitted
        The same for the same snapshot, specification, code and seed.

    Raises
    ------
    DataError
        If columns, labels, weights or values do not allow training: every problem found.
    TrainingError
        If the estimator cannot be built, fitted or stored.
    """
    features = resolve(spec, snapshot)
    estimator = build_estimator(spec.training.estimator, spec.training.parameters)
    classification = is_classification(estimator, spec.training.estimator)
    stopping = take_early_stopping(spec, estimator)
    windows = split(spec, snapshot.as_of, changed)
    parts = [clean_labels(spec, part, classification) for part in split_frame(spec, frame, windows)]
    (train, labels), (holdout, holdout_labels) = parts
    _refuse(spec, label_problems(spec, labels, holdout_labels, classification, MIN_TRAIN_ROWS))
    task = task_of(labels, classification)
    positive = _positive(spec, labels, holdout_labels) if task == "binary" else None
    metric.require_fitting(spec, task)
    require_probabilities(estimator, spec.training.estimator, task, metrics_with_probabilities(spec, task))
    require_weights_taken(spec, estimator)
    weights, holdout_weights = row_weights(spec, train, holdout)
    inputs, holdout_inputs = as_features(train, features), as_features(holdout, features)
    _refuse(spec, value_problems(inputs, holdout_inputs))

    with _refusals(spec):
        pipeline = build_pipeline(
            spec,
            features,
            estimator if task == "regression" else for_classes(estimator, labels, positive),
            _transformer(spec, features, inputs),
        )
        set_seed(pipeline, spec.training.seed)
    rows = TrainingRows(inputs=inputs, labels=labels, times=train[spec.data.time], weights=weights)
    start = windows[0].start
    if changed is not None and start < changed < windows[0].end:
        with _refusals(spec):
            start = choose_start(spec, task, pipeline, rows, windows[0], changed)
        rows = rows.since(start)
        windows = (Window(start=start, end=windows[0].end), windows[1])
    pipeline, warned, rounds = _fit(spec, task, pipeline, rows, stopping)
    require_trusted(pipeline, spec)
    classes = plain_classes(pipeline.classes_) if classification else ()
    fitted = Fitted(
        pipeline=pipeline,
        task=task,
        features=features,
        classes=classes,
        positive=positive,
        parameters=_parameters(pipeline, estimator) | ({} if rounds is None else {"chosen_rounds": rounds.words}),
        metrics={},
        train=windows[0],
        holdout=windows[1],
        train_frame=rows.inputs,
        holdout_frame=holdout_inputs,
        train_labels=rows.labels,
        holdout_labels=holdout_labels,
        train_times=rows.times,
        holdout_times=holdout[spec.data.time],
        trusted_types=trusted_types(spec),
        warnings=warned,
        convergence=observed(pipeline, warned),
        changed=changed,
    )
    judged = metric.judge(holdout_labels, predict(pipeline, holdout, fitted), weights=holdout_weights)
    return replace(fitted, metrics=metric.measure(judged, spec))


def is_to_be_calibrated(spec: ModelSpec, pipeline: Pipeline, rows: TrainingRows) -> bool:
    """Whether probabilities are calibrated: as the specification says, or by a look at what they are worth.

    Nobody looks where a search has chosen among parameters by what they give as they are.
    """
    wanted = spec.training.calibration
    if wanted == "never" or not hasattr(pipeline, "predict_proba"):
        return False
    return wanted == "always" or (spec.training.search is None and is_overconfident(pipeline, rows))


def _positive(spec: ModelSpec, labels: pd.Series[Any], holdout: pd.Series[Any]) -> Label | None:
    """Which of two classes the metrics are about.

    Classes that only the holdout has are named: the training rows then have two by accident.

    Raises
    ------
    DataError
        If it is neither named nor evident: it would be chosen by the alphabet.
    """
    counts = dict(labels.value_counts())
    classes = plain_classes(sorted(counts, key=str))
    unclear = positive_problem(spec, {label: int(counts[label]) for label in classes})
    late = sorted(set(holdout) - set(labels), key=str)
    if unclear is not None and late:
        also = (
            f"; the holdout rows have {', '.join(repr(label) for label in late[:10])}, too, which no training row has"
        )
        more = f"lengthen data.window until the training rows have all classes, or {unclear.fix}"
        unclear = replace(unclear, found=f"{unclear.found}{also}", fix=more)
    _refuse(spec, [] if unclear is None else [unclear])
    return positive_class(classes, spec.data.positive)


def _parameters(pipeline: Pipeline, named: Any) -> dict[str, Any]:
    """The parameters of the estimator that was named, and how its probabilities were calibrated, if they were."""
    last, calibrated = pipeline[-1], {}
    while type(last) is not type(named):  # calibrated, or trained on class numbers, around it
        if type(last).__name__ == "CalibratedClassifierCV":
            calibrated = {"calibration": f"{METHOD}, {FOLDS} folds"}
        last = last.estimator
    return {**plain(last.get_params()), **calibrated}


def split_frame(
    spec: ModelSpec, frame: pd.DataFrame, windows: tuple[Window, Window]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a snapshot's rows by event time into train and holdout, each sorted by it.

    Rows of equal time keep their order, so that the same snapshot always gives the same parts.
    """
    train, holdout = windows
    return rows_within(frame, spec.data.time, train), rows_within(frame, spec.data.time, holdout)


def task_of(labels: pd.Series[Any], classification: bool) -> Task:
    """Regression, or binary or multiclass by the number of classes in the training rows."""
    if not classification:
        return "regression"
    return "binary" if labels.nunique() <= 2 else "multiclass"  # noqa: PLR2004


def metrics_with_probabilities(spec: ModelSpec, task: Task) -> tuple[str, ...]:
    """Metrics that the gate's rules use and that are computed from probabilities."""
    names = [metric.primary(spec, task), *(rule.metric for rule in spec.gate.absolute)]
    known = metric.metrics_of(spec)
    return tuple(name for name in names if name in known and known[name].needs_probabilities)


def value_problems(train: pd.DataFrame, holdout: pd.DataFrame) -> list[Problem]:
    """Infinite values in any numeric feature, by column and count.

    Missing values are no problem here: they are either the estimator's business or imputed by the pipeline.
    """
    import numpy as np

    problems = [*_unreadable_times(train, holdout)]
    for name in train.select_dtypes("number").columns:
        broken, also = (int(np.isinf(part[name].to_numpy()).sum()) for part in (train, holdout))
        if not broken + also:
            continue
        problems.append(
            Problem(
                code=ReasonCode.VALUE_NOT_FINITE,
                field=f"features.{name}",
                found=f"infinite values in {broken} of {len(train)} training and {also} of {len(holdout)} holdout rows",
                allowed="finite numbers, or missing values",
                fix="mend the division or the overflow that makes them, or write them as missing",
            )
        )
    return problems


def _unreadable_times(train: pd.DataFrame, holdout: pd.DataFrame) -> Iterator[Problem]:
    """Columns of texts that are no times: all of their values would be missing."""
    for name in train.select_dtypes("datetime").columns:
        if len(train) and train[name].isna().all() and holdout[name].isna().all():
            yield Problem(
                code=ReasonCode.TIME_INVALID,
                field=f"features.calendar.{name}",
                found=f"no date or time in any of {len(train) + len(holdout)} rows",
                allowed="dates or times, or texts in ISO 8601",
                fix="convert the column in the source, or take it out of features.calendar",
            )


def plain(value: Any) -> Any:
    """Turn estimator parameters into JSON data: numbers, texts and lists as they are, objects as their text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)


def _refuse(spec: ModelSpec, problems: list[Problem]) -> None:
    if problems:
        raise DataError(problems, subject=spec.name)


def _transformer(spec: ModelSpec, features: tuple[Feature, ...], inputs: pd.DataFrame) -> Any:
    path = spec.features.transformer
    if path is None:
        return None
    cls = import_object(path, "features.transformer")
    if not isinstance(cls, type) or not all(hasattr(cls, name) for name in ("fit", "transform", "get_params")):
        raise TrainingError(
            Problem(
                code=ReasonCode.ESTIMATOR_INVALID,
                field="features.transformer",
                found=f"{path}, a {type(cls).__name__} without fit, transform and get_params",
                allowed="the class of a scikit-learn transformer that is constructed without arguments",
                fix="derive it from sklearn.base.BaseEstimator and TransformerMixin",
            )
        )
    sample = source_types(spec, features, cls).transform(inputs.head(MIN_TRAIN_ROWS))
    try:
        made = cls().fit(sample).transform(sample)
    except Exception as error:  # whatever a team's own code raises
        raise TrainingError(
            Problem(
                code=ReasonCode.TRAINING_FAILED,
                field="features.transformer",
                found=f"{path} raised {in_own_words(error)}, on the first {len(sample)} rows of columns "
                f"{', '.join(map(str, sample.columns[:40]))}",
                allowed="a transformer that turns these feature columns into a frame",
                fix="read the traceback in the task's log, then mend the transformer or the listed features",
            )
        ) from error
    require_frame(made, path)
    return cls()


def _fit(
    spec: ModelSpec, task: Task, pipeline: Pipeline, rows: TrainingRows, stopping: EarlyStopping | None
) -> tuple[Pipeline, tuple[str, ...], Rounds | None]:
    rounds = None
    with warnings.catch_warnings(record=True) as caught, _refusals(spec):
        warnings.simplefilter("always")
        if spec.training.search is not None:
            pipeline = search_parameters(
                spec,
                task,
                pipeline,
                inputs=rows.inputs,
                labels=rows.labels,
                times=rows.times,
                weights=rows.weights,
            )
        if stopping is not None:
            pipeline, rounds = choose_rounds(spec, pipeline, rows, stopping)
        caught.clear()  # what losers and folds warned of says nothing about the model that is kept
        counted = rows if rows.weights is None else rows.take(rows.weights > 0)
        if task != "regression" and is_to_be_calibrated(spec, pipeline, counted):
            pipeline, rows = with_calibration(pipeline), counted  # folds are of rows that count
            caught.clear()
        pipeline.fit(rows.inputs, rows.labels.to_numpy(), **fit_arguments(rows.weights))
    return pipeline, tuple(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in caught)), rounds


@contextmanager
def _refusals(spec: ModelSpec) -> Iterator[None]:
    """Whatever an estimator raises, the task ends in one clear sentence."""
    try:
        yield
    except (DataError, TrainingError):
        raise
    except Exception as error:
        raise TrainingError(_not_fitted(spec, error), subject=spec.name) from error


def _not_fitted(spec: ModelSpec, error: Exception) -> Problem:
    """What the estimator says, in its own words, beside ours."""
    from sklearn.utils._param_validation import InvalidParameterError

    about_parameter = isinstance(error, InvalidParameterError)
    return Problem(
        code=ReasonCode.ESTIMATOR_INVALID if about_parameter else ReasonCode.TRAINING_FAILED,
        field="training.parameters" if about_parameter else "training.estimator",
        found=one_line(str(error), LONGEST)
        if about_parameter
        else f"{spec.training.estimator} raised {type(error).__name__} while it was fitted: "
        f"{one_line(str(error), LONGEST) or 'it says no more'}",
        allowed="an estimator and parameters that fit these rows",
        fix="correct the parameter"
        if about_parameter
        else "change what it names: estimator, parameters or features.encoding; the task's log has the traceback",
    )
