"""Train what was accepted again on every row, those that it was judged on too: the same recipe, and newer rows.

A candidate is judged on the newest rows, which it must not have learned from; once it is accepted, nothing keeps these
rows from it any more. What is estimated on a holdout is the performance of the recipe when it is trained on so many
rows, and of a model that is trained on all of them it is rather too low (Hastie, Tibshirani and Friedman, The Elements
of Statistical Learning, section 7.10; Bischl et al., Hyperparameter optimization, WIREs 2023, section 2.2: the final
model is fitted on all data by the configuration that was found). It is no statement about the refitted model itself,
which nobody can judge before new rows come: so the promise stays that of what was judged.

The recipe is what training settled on: where its rows begin, the transformer, the parameters that a search found, and
whether probabilities are calibrated. None of it is decided again.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.pipeline.estimator import build_estimator
from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.pipeline.predict import Predicted, plain_classes, predict
from airflow_mlops.core.pipeline.trusted_types import require_trusted, trusted_types
from airflow_mlops.core.profiles.build import build_profile
from airflow_mlops.core.profiles.days import days_of
from airflow_mlops.core.records.candidate import Candidate, RefitOf, compared_features
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Snapshot, Window
from airflow_mlops.core.rows.labels import clean_labels, label_problems
from airflow_mlops.core.rows.weights import fit_arguments, row_weights
from airflow_mlops.core.rows.windows import rows_within
from airflow_mlops.core.training.convergence import observed
from airflow_mlops.core.training.fit import Fitted, _refusals, _refuse, task_of, value_problems
from airflow_mlops.core.training.training_start import MIN_TRAIN_ROWS, TrainingRows
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


def refit(spec: ModelSpec, snapshot: Snapshot, frame: pd.DataFrame, judged: Candidate, pipeline: Pipeline) -> Fitted:
    """Train the recipe of a judged candidate again, on all rows from where its training part begins.

    The rows between training part and holdout, whose labels were not yet known when the holdout began, are known now,
    and are learned from too.

    Parameters
    ----------
    spec, snapshot, frame
        As :func:`~airflow_mlops.core.training.fit.fit` was given them.
    judged
        The record of what was judged.
    pipeline
        Its pipeline: a copy of it is fitted, and it stays as it is.

    Returns
    -------
    Fitted
        The same for the same rows, specification, pipeline and code. Its holdout is what the other was judged on.

    Raises
    ------
    DataError
        If the rows do not allow training.
    TrainingError
        If it cannot be fitted, answers another question than what was judged, or gives predictions that are not finite.
    """
    from sklearn.base import clone

    _require_same_rows(snapshot, judged)
    named = build_estimator(spec.training.estimator, spec.training.parameters)
    whole = Window(start=judged.train.start, end=judged.holdout.end)
    classification = judged.task != "regression"
    part, labels = clean_labels(spec, rows_within(frame, spec.data.time, whole), classification)
    times, inputs = part[spec.data.time], as_features(part, judged.features)
    held = (times >= judged.holdout.start).to_numpy()
    found = label_problems(spec, labels, labels[held], classification, MIN_TRAIN_ROWS)
    _refuse(spec, [*found, *value_problems(inputs[~held], inputs[held])])
    (weights,) = row_weights(spec, part)
    rows = TrainingRows(inputs=inputs, labels=labels, times=times, weights=weights)
    copy: Pipeline = clone(pipeline)
    if weights is not None and _is_calibrated(copy, named):
        rows = rows.take(weights > 0)  # folds are of rows that count, as when it was judged
    fitted, warned = _learn(spec, copy, rows)
    require_trusted(fitted, spec)
    made = Fitted(
        pipeline=fitted,
        task=task_of(labels, classification),
        features=judged.features,
        classes=plain_classes(fitted.classes_) if classification else (),
        positive=judged.positive,
        parameters=judged.parameters,
        metrics={},
        train=whole,
        holdout=judged.holdout,
        train_frame=inputs,
        holdout_frame=inputs[held],
        train_labels=labels,
        holdout_labels=labels[held],
        train_times=times,
        holdout_times=times[held],
        trusted_types=trusted_types(spec),
        warnings=warned,
        convergence=observed(fitted, warned),
        changed=judged.changed,
        refit_of=RefitOf(
            run_id=judged.run_id, model_uri=judged.model_uri, train=judged.train, train_rows=judged.train_rows
        ),
    )
    _require_same_question(spec, judged, made)
    _require_finite(spec, predict(fitted, made.holdout_frame, made))
    return made


def refitted_profile(spec: ModelSpec, snapshot: Snapshot, fitted: Fitted, judged: Profile) -> Profile:
    """Profile what a refitted pipeline learned from; what it says and listens to is told by the one that was judged.

    A model is too sure of the rows that it has seen, and there are no others: so predictions and importance are those
    of the same recipe on the holdout.

    Parameters
    ----------
    judged
        The reference profile of what was judged.
    """
    features = build_profile(
        spec.name,
        fitted.train_frame,
        compared_features(fitted.features),
        fitted.train,
        importance=judged.importance,
        schema=snapshot.source_columns,
        days=days_of(fitted.train_times, fitted.train),
    )
    return replace(features, outputs=judged.outputs)


def _is_calibrated(pipeline: Pipeline, named: Any) -> bool:
    """Whether the estimator that was named stands in folds that calibrate its probabilities."""
    last = pipeline[-1]
    while type(last) is not type(named):
        if type(last).__name__ == "CalibratedClassifierCV":
            return True
        last = last.estimator
    return False


def _learn(spec: ModelSpec, pipeline: Pipeline, rows: TrainingRows) -> tuple[Pipeline, tuple[str, ...]]:
    """Fit the pipeline in place; return it and what it warned of, each once."""
    with warnings.catch_warnings(record=True) as caught, _refusals(spec):
        warnings.simplefilter("always")
        pipeline.fit(rows.inputs, rows.labels.to_numpy(), **fit_arguments(rows.weights))
    return pipeline, tuple(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in caught))


def _require_same_rows(snapshot: Snapshot, judged: Candidate) -> None:
    if snapshot.fingerprint != judged.snapshot_fingerprint:
        raise TrainingError(
            Problem(
                code=ReasonCode.NOT_REPRODUCIBLE,
                field="snapshot",
                found=f"the rows of snapshot {snapshot.fingerprint[:12]}",
                allowed=f"those of snapshot {judged.snapshot_fingerprint[:12]}, which was judged",
                fix="restore the run's manifest, or train again",
            ),
            subject=judged.model,
        )


def _require_same_question(spec: ModelSpec, judged: Candidate, made: Fitted) -> None:
    """Whatever was shown of the one must be about the other: the same task and the same classes."""
    asked, answers = ((one.task, _typed(one.classes)) for one in (judged, made))
    if asked == answers:
        return
    new = [label for label in _typed(made.classes) if label not in _typed(judged.classes)]
    raise TrainingError(
        Problem(
            code=ReasonCode.TRAINING_FAILED,
            field="training.refit",
            found=f"{len(new)} classes in the rows that were judged on which the judged model does not know",
            allowed="the classes that were judged",
            fix="nothing: the next training knows them, and is judged on them",
        ),
        subject=spec.name,
    )


def _require_finite(spec: ModelSpec, said: Predicted) -> None:
    import numpy as np

    numbers = said.values if said.probabilities is None else said.probabilities
    if said.task != "regression" and said.probabilities is None:
        return  # labels, of which each is a class
    broken = int((~np.isfinite(np.asarray(numbers, dtype=float))).reshape(len(numbers), -1).any(axis=1).sum())
    if broken:
        raise TrainingError(
            Problem(
                code=ReasonCode.TRAINING_FAILED,
                field="training.refit",
                found=f"predictions that are not finite, of {broken} of {len(numbers)} rows that were judged on",
                allowed="finite predictions, as the judged model gives them",
                fix="look at the estimator's warnings in the run; what was judged serves meanwhile",
            ),
            subject=spec.name,
        )


def _typed(classes: tuple[Any, ...]) -> tuple[tuple[str, Any], ...]:
    """Classes as data tell them apart: to Python, 1 and True are the same."""
    return tuple((type(label).__name__, label) for label in classes)
