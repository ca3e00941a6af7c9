"""A simpler estimator of the same family: fewer parameters, or stronger regularisation, by how much there is to learn.

Nothing is tuned: sizes follow from the number of events that were learned from (of classes, rows of the rarest one; of
a regression, all rows), so that each leaf has about ten of them, the least at which a coefficient can be estimated
(Peduzzi and others, 1996). Trees of a boosting have at most eight leaves, half of them are grown, and a strength of
regularisation goes two steps up the customary grid of powers of ten (Hastie, Tibshirani and Friedman, sections 10.11
and 7.10).

References
----------
T. Hastie, R. Tibshirani, J. Friedman (2009), The elements of statistical learning, 2nd edition.
P. Peduzzi, J. Concato, E. Kemper, T. R. Holford, A. R. Feinstein (1996), A simulation study of the number of events per
variable in logistic regression analysis, J. Clin. Epidemiol. 49.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

EVENTS_IN_A_LEAF = 10
MOST_LEAVES, SHALLOW = 8, 3
"""Leaves of a boosting's tree, and the depth of a tree with as many."""
TWO_DECADES = 100
TIMES_COARSER = 5
"""Rows of a leaf, at least, in the customary ones: where events are many, ten of them would be no restriction."""


@dataclass(frozen=True, kw_only=True)
class LearnedFrom:
    """How much a model learned from."""

    rows: int
    events: int
    """Rows of the rarest class; of a regression, all rows."""

    @property
    def leaves(self) -> int:
        """Leaves of a tree that have enough events each."""
        return max(2, min(MOST_LEAVES, self.events // EVENTS_IN_A_LEAF))

    def leaf(self, customary: int) -> int:
        """Rows of a leaf, so that about ten events are in it; never so many that there are not two leaves."""
        wanted = max(TIMES_COARSER * customary, math.ceil(EVENTS_IN_A_LEAF * self.rows / max(1, self.events)))
        return max(customary, min(wanted, self.rows // 4))


class _Customary:
    """What an estimator's parameters are now: as the specification says, else the constructor's default."""

    def __init__(self, cls: type[Any], parameters: Mapping[str, Any]) -> None:
        defaults = inspect.signature(cls.__init__).parameters
        self._given = dict(parameters)
        self._known = {name: one.default for name, one in defaults.items() if one.default is not one.empty}

    def has(self, name: str) -> bool:
        return name in self._given or name in self._known

    def number(self, name: str, otherwise: float) -> float:
        value = self._given.get(name, self._known.get(name))
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise

    def half(self, name: str, otherwise: int) -> int:
        return max(1, int(self.number(name, otherwise)) // 2)


Simplify = Callable[[_Customary, LearnedFrom], dict[str, Any]]


def _histogram(now: _Customary, of: LearnedFrom) -> dict[str, Any]:
    return {
        "max_iter": now.half("max_iter", 100),
        "max_leaf_nodes": min(of.leaves, int(now.number("max_leaf_nodes", 31))),
        "min_samples_leaf": of.leaf(int(now.number("min_samples_leaf", 20))),
    }


def _boosting(now: _Customary, of: LearnedFrom) -> dict[str, Any]:
    return {
        "n_estimators": now.half("n_estimators", 100),
        "max_leaf_nodes": of.leaves,
        "min_samples_leaf": of.leaf(int(now.number("min_samples_leaf", 1))),
    }


def _lightgbm(now: _Customary, of: LearnedFrom) -> dict[str, Any]:
    return {
        "n_estimators": now.half("n_estimators", 100),
        "num_leaves": min(of.leaves, int(now.number("num_leaves", 31))),
        "min_child_samples": of.leaf(int(now.number("min_child_samples", 20))),
    }


def _xgboost(now: _Customary, of: LearnedFrom) -> dict[str, Any]:
    # The weight of a child is p (1 - p) a row for classes, so about its events, and one a row for a regression.
    weight = EVENTS_IN_A_LEAF if of.events < of.rows else of.leaf(1)
    return {
        "n_estimators": now.half("n_estimators", 100),
        "max_depth": min(SHALLOW, int(now.number("max_depth", 6))),
        "min_child_weight": max(weight, int(now.number("min_child_weight", 1))),
    }


def _catboost(now: _Customary, _: LearnedFrom) -> dict[str, Any]:
    return {
        "iterations": now.half("iterations", 1000),
        "depth": min(SHALLOW, int(now.number("depth", 6))),
        "l2_leaf_reg": TWO_DECADES * now.number("l2_leaf_reg", 3.0),
    }


def _trees(now: _Customary, of: LearnedFrom) -> dict[str, Any]:
    return {"min_samples_leaf": of.leaf(int(now.number("min_samples_leaf", 1)))}


def _strength(now: _Customary, of: LearnedFrom) -> dict[str, Any]:
    """The one parameter that says how much is regularised, whatever the estimator."""
    if now.has("C"):
        return {"C": now.number("C", 1.0) / TWO_DECADES}
    if now.has("n_neighbors"):
        nearest = int(now.number("n_neighbors", 5))
        return {"n_neighbors": max(nearest + 1, min(TIMES_COARSER * nearest, of.rows // 4))}
    if now.has("alpha") and now.number("alpha", 0.0) > 0:
        return {"alpha": TWO_DECADES * now.number("alpha", 1.0)}
    return {}


_FAMILIES: tuple[tuple[str, Simplify], ...] = (
    (r"HistGradientBoosting", _histogram),
    (r"^GradientBoosting", _boosting),
    (r"^LGBM", _lightgbm),
    (r"^XGB", _xgboost),
    (r"^CatBoost", _catboost),
    (r"^(RandomForest|ExtraTree|DecisionTree)", _trees),
    (r"", _strength),
)
"""By the name of the class; the first that fits."""


def simpler_parameters(path: str, parameters: Mapping[str, Any], of: LearnedFrom) -> dict[str, Any]:
    """Return parameters that make a simpler model of the same class; none where it is not known how.

    Parameters
    ----------
    path
        Import path of the estimator's class.
    parameters
        As the specification has them.
    of
        What it learned from.

    Examples
    --------
    >>> few = LearnedFrom(rows=20_000, events=88)
    >>> simpler_parameters("sklearn.ensemble.HistGradientBoostingClassifier", {}, few)
    {'max_iter': 50, 'max_leaf_nodes': 8, 'min_samples_leaf': 2273}
    >>> simpler_parameters("sklearn.linear_model.LogisticRegression", {"C": 2.0}, few)
    {'C': 0.02}
    """
    from airflow_mlops.core.importing import import_object

    cls = import_object(path, "training.estimator")
    simplify = next(function for words, function in _FAMILIES if re.search(words, cls.__name__))
    wanted = simplify(_Customary(cls, parameters), of)
    return {name: value for name, value in wanted.items() if parameters.get(name) != value}


_ABSOLUTE: Mapping[str, Mapping[str, Any]] = {
    "HistGradientBoostingRegressor": {"loss": "absolute_error"},
    "GradientBoostingRegressor": {"loss": "absolute_error"},
    "LGBMRegressor": {"objective": "mae"},
    "XGBRegressor": {"objective": "reg:absoluteerror"},
    "CatBoostRegressor": {"loss_function": "MAE"},
    "SGDRegressor": {"loss": "huber"},
}
"""By the name of the class."""


def absolute_loss(path: str) -> Mapping[str, Any]:
    """Return parameters by which a regression learns absolute errors; none where its class has no such loss.

    >>> absolute_loss("sklearn.ensemble.HistGradientBoostingRegressor"), absolute_loss("sklearn.linear_model.Ridge")
    ({'loss': 'absolute_error'}, {})
    """
    return _ABSOLUTE.get(path.rpartition(".")[2], {})
