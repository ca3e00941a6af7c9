"""How many rounds a boosted model is trained for, chosen on the newest part of the training rows.

The model is trained on the older part, and after each round asked about the newest; it stops when nothing was gained
for some rounds. What is kept is not that model: one with the rounds that were found is trained on all of the training
rows, so that the newest, which are most like those to come, are learned from too. This is what L. Prechelt (Early
stopping - but when?, in: Neural networks: tricks of the trade, Springer 1998) does to choose when to stop, and I.
Goodfellow et al. (Deep learning, MIT Press 2016, algorithm 7.2) to use all data afterwards. The holdout, which the gate
judges on, is not looked at; rows at random, which the libraries take themselves, would be neighbours of those that are
learned from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.errors import DataError, TrainingError
from airflow_mlops.core.pipeline.boosters import Family, boosted
from airflow_mlops.core.training.training_start import TrainingRows
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.spec.training import EarlyStoppingSpec

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

ROUNDS = 50
"""Without gain, where neither `training.early_stopping.rounds` nor the parameters say how many."""
FEWEST_ROWS = 20
"""In the newest part and in the older: fewer say nothing."""


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """What was asked for."""

    share: float
    """Of the training rows, the newest."""
    patience: int
    """Rounds without gain."""


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """What was found."""

    chosen: int
    most: int
    rows: int
    share: float

    @property
    def words(self) -> str:
        """For the record and the card."""
        return (
            f"{self.chosen} of at most {self.most} rounds, chosen on the newest {self.share:.0%} of the training rows "
            f"({self.rows:,}), then trained on all of them"
        )


def take_early_stopping(spec: ModelSpec, estimator: Any) -> EarlyStopping | None:
    """Return what is asked for, and take it out of the estimator, whose own `fit` would want rows to stop by.

    Asked for is it by `training.early_stopping`, or by the library's own parameter, such as `early_stopping_rounds`.

    Raises
    ------
    TrainingError
        If the estimator has no rounds to choose.
    """
    wanted, found = spec.training.early_stopping, boosted(estimator)
    if found is None:
        if wanted is not None:
            raise TrainingError(_no_rounds(spec), subject=spec.name)
        return None
    _, model, family = found
    given = {name: value for name, value in model.get_params(deep=False).items() if name in family.stopping and value}
    if wanted is None and not given:
        return None
    _take_out(model, given)
    own = next((value for value in given.values() if isinstance(value, int) and not isinstance(value, bool)), None)
    asked = wanted or EarlyStoppingSpec()
    return EarlyStopping(share=asked.rows, patience=asked.rounds or own or ROUNDS)


def _take_out(model: Any, given: Mapping[str, Any]) -> None:
    """Take parameters out of a model; one that holds only what it was given has no value for "not given"."""
    other = getattr(model, "_other_params", None)
    kept = getattr(model, "_init_params", None)
    for name in given:
        if isinstance(kept, dict) and name in kept:
            del kept[name]  # CatBoost
        elif isinstance(other, dict) and name in other:
            del other[name]  # LightGBM
            if hasattr(model, name):
                delattr(model, name)
        else:
            model.set_params(**{name: None})


def choose_rounds(
    spec: ModelSpec, pipeline: Pipeline, rows: TrainingRows, stopping: EarlyStopping
) -> tuple[Pipeline, Rounds]:
    """Return the pipeline, not fitted, with the number of rounds that does best on the newest training rows.

    Parameters
    ----------
    pipeline
        Not fitted; its last step is, or holds, one boosted model.
    rows
        The training rows, sorted by event time; those whose label was not yet known when the newest part begins are
        in neither part.

    Raises
    ------
    DataError
        If either part has too few rows.
    """
    from sklearn.base import clone

    older, newest = _parts(spec, rows, stopping.share)
    trial = clone(pipeline)
    inputs = trial[:-1].fit_transform(older.inputs, older.labels.to_numpy())
    path, model, family = _model_of(trial[-1])
    labels, new_labels = older.labels.to_numpy(), newest.labels.to_numpy()
    encoder = trial[-1]
    while hasattr(encoder, "estimator") and not hasattr(encoder, "encode"):
        encoder = encoder.estimator
    if hasattr(encoder, "encode"):
        encoder.number(labels)
        labels, new_labels = encoder.encode(labels), encoder.encode(new_labels)
    fit = _FITS[family.library]
    chosen = fit(model, (inputs, labels, older.weights), (trial[:-1].transform(newest.inputs), new_labels), stopping)
    name = next((each for each in family.rounds if each in model.get_params()), family.rounds[0])
    most = model.get_params().get(name) or _MOST[family.library]
    best: Pipeline = clone(pipeline)
    best.set_params(**{"__".join(part for part in ("estimator", path, name) if part): chosen})
    if family.library == "sklearn":
        best.set_params(**{"__".join(part for part in ("estimator", path, "early_stopping") if part): False})
    return best, Rounds(chosen=chosen, most=most, rows=len(newest.labels), share=stopping.share)


_MOST = {"xgboost": 100, "lightgbm": 100, "catboost": 1000, "sklearn": 100}
"""Rounds of each library where nothing is said."""


def _model_of(estimator: Any) -> tuple[str, Any, Family]:
    found = boosted(estimator)
    if found is None:
        raise TypeError("a pipeline whose estimator was a boosted model holds none any more")
    return found


def _parts(spec: ModelSpec, rows: TrainingRows, share: float) -> tuple[TrainingRows, TrainingRows]:
    """The older and the newest rows; of the newest, those whose class the older ones have."""
    import numpy as np

    stamps = rows.times.to_numpy()
    place = min(len(stamps) - 1, math.floor(len(stamps) * (1 - share)))
    start = stamps[place]
    old = stamps < start if not spec.data.label_delay else stamps <= start - np.timedelta64(spec.data.label_delay)
    older, newest = rows.take(old), rows.take(stamps >= start)
    if older.labels.dtype != float:
        newest = newest.take(newest.labels.isin(older.labels.unique()).to_numpy())
    if min(len(older.labels), len(newest.labels)) < FEWEST_ROWS or older.labels.nunique() < 2:  # noqa: PLR2004
        raise DataError(
            Problem(
                code=ReasonCode.LABELS_MISSING,
                field="training.early_stopping.rows",
                found=f"{len(newest.labels)} of {len(stamps)} training rows to choose the rounds on, "
                f"{len(older.labels)} before them",
                allowed=f"at least {FEWEST_ROWS} of each, and two labels before them",
                fix="raise training.early_stopping.rows, lengthen data.window, or take early stopping out",
            ),
            subject=spec.name,
        )
    return older, newest


def _fit_xgboost(model: Any, old: tuple[Any, Any, Any], new: tuple[Any, Any], stopping: EarlyStopping) -> int:
    model.set_params(early_stopping_rounds=stopping.patience)
    model.fit(old[0], old[1], sample_weight=old[2], eval_set=[new], verbose=False)
    return int(model.best_iteration) + 1


def _fit_lightgbm(model: Any, old: tuple[Any, Any, Any], new: tuple[Any, Any], stopping: EarlyStopping) -> int:
    from lightgbm import early_stopping

    model.fit(
        old[0],
        old[1],
        sample_weight=old[2],
        eval_set=[new],
        callbacks=[early_stopping(stopping.patience, verbose=False)],
    )
    return max(1, int(model.best_iteration_))


def _fit_catboost(model: Any, old: tuple[Any, Any, Any], new: tuple[Any, Any], stopping: EarlyStopping) -> int:
    model.fit(old[0], old[1], sample_weight=old[2], eval_set=new, early_stopping_rounds=stopping.patience)
    return int(model.get_best_iteration() or 0) + 1


def _fit_histogram(model: Any, old: tuple[Any, Any, Any], new: tuple[Any, Any], stopping: EarlyStopping) -> int:
    import numpy as np

    model.set_params(early_stopping=True, n_iter_no_change=stopping.patience)
    model.fit(old[0], old[1], sample_weight=old[2], X_val=new[0], y_val=new[1])
    return max(1, int(np.argmax(model.validation_score_[1:])) + 1)  # the first is that of no round


_FITS = {
    "xgboost": _fit_xgboost,
    "lightgbm": _fit_lightgbm,
    "catboost": _fit_catboost,
    "sklearn": _fit_histogram,
}


def _no_rounds(spec: ModelSpec) -> Problem:
    return Problem(
        code=ReasonCode.ESTIMATOR_INVALID,
        field="training.early_stopping",
        found=f"{spec.training.estimator}, which is no boosted model, or holds several",
        allowed="an estimator of xgboost, lightgbm, catboost, or scikit-learn's histogram boosting",
        fix="take training.early_stopping out, or name one of these",
    )
