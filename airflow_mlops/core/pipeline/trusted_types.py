"""Which types a stored model may be made of: a list that was read, not whatever is found in the file.

skops loads a model without running code from it, as long as every type is trusted. Its own defaults cover
scikit-learn's classes in Python; compiled types are refused until they are named, because a hostile state
given to them can crash the process.

How a type gets onto the list: read its `__setstate__`/`__reduce__` (what does it run, and what does it check?),
make sure that it calls nothing that the file chooses (no callables, no imports, no paths), note below why it is
there, and run ``tests/core/pipeline/test_trusted_types.py``, which stores and loads a fitted pipeline of every
estimator listed with exactly these types. Types of a team's own package belong into `training.trusted_types`, by the
same rule.
"""

from __future__ import annotations

from typing import Any

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.named_code import import_problem
from airflow_mlops.spec.nested import paths_in
from airflow_mlops.spec.problems import Problem, ReasonCode

# What the columns' preparation needs whatever the estimator is: the imputer keeps the dtype it was fitted on, which
# skops stores as an empty array of that dtype; behind a transformer columns are selected by type, with a plain Python
# object that holds a pattern and names of types.
_PREPARATION = ("numpy.dtype", "sklearn.compose._column_transformer.make_column_selector")
# Our own steps: names of columns, of parts of a date and of a time zone; a classifier and labels. Neither has a
# __setstate__, and what they call is written in their classes.
_STEPS = (
    "airflow_mlops_steps.encoded_labels.EncodedClassifier",
    "airflow_mlops_steps.source_types.SourceTypes",
)
# The nodes of a fitted tree: a struct array of numbers. __setstate__ checks its dtype and shape, not the indices in
# it: who can write to the model store can make a tree that crashes the process, but not one that runs code.
_TREE = ("sklearn.tree._tree.Tree",)
# A Python class over the node array of one boosted tree; its compiled predictor walks the indices in it.
# Its own encoder for category columns wraps check_array in a partial: skops builds a partial without calling it,
# and the function in it must be a trusted one itself.
_BOOSTED = (
    "functools.partial",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
)
# Coordinates and node bounds of a search tree, and the distance that it was built with: arrays and floats.
_NEIGHBOURS = (
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
)
# Learning rates and moments of the optimiser; plain Python, numbers and arrays.
_OPTIMISERS = (
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
)
# A fitted classifier and its calibrators (two floats, or the isotonic steps); plain Python.
_CALIBRATED = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
)
# Loss functions without state of their own but an enum of the link.
_LOSSES = (
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
)
_KERNELS = (
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
)


# A boosted model of another library: its parameters, and its trees as bytes or text that the library's own parser
# reads (XGBoosterUnserializeFromBuffer, LGBM_BoosterLoadModelFromString, CatBoost's _load_from_string). As with
# scikit-learn's trees: who can write to the model store may crash a process with them, but not run code. An objective
# of one's own is a function, and asked about by its own name.
_XGBOOST = ("xgboost.core.Booster",)
_LIGHTGBM = ("collections.OrderedDict", "lightgbm.basic.Booster")
# Names and parts of a composed estimator: a dictionary whose keys are attributes, too; its __setstate__ does nothing.
_BUNCH = ("sklearn.utils._bunch.Bunch",)


def _both(prefix: str, *families: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{family}{kind}" for family in families for kind in ("Classifier", "Regressor"))


_LINEAR = (
    *(
        f"sklearn.linear_model.{name}"
        for name in (
            "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "GammaRegressor", "HuberRegressor", "Lars",
            "Lasso", "LassoCV", "LassoLars", "LinearRegression", "LogisticRegression", "LogisticRegressionCV",
            "OrthogonalMatchingPursuit", "Perceptron", "PoissonRegressor", "QuantileRegressor", "RANSACRegressor",
            "Ridge", "RidgeCV", "RidgeClassifier", "RidgeClassifierCV", "SGDClassifier", "SGDRegressor",
            "TheilSenRegressor",
        )
    ),
    *(f"sklearn.svm.{name}" for name in ("LinearSVC", "LinearSVR", "NuSVC", "NuSVR", "SVC", "SVR")),
    *(f"sklearn.naive_bayes.{name}" for name in ("BernoulliNB", "GaussianNB")),
    *(f"sklearn.discriminant_analysis.{name}DiscriminantAnalysis" for name in ("Linear", "Quadratic")),
    *_both("sklearn.dummy", "Dummy"),
    "sklearn.kernel_ridge.KernelRidge",
    "sklearn.neighbors.NearestCentroid",
)  # fmt: skip
_TREES = (
    *_both("sklearn.tree", "DecisionTree", "ExtraTree"),
    *_both("sklearn.ensemble", "AdaBoost", "Bagging", "ExtraTrees", "GradientBoosting", "RandomForest"),
)

REVIEWED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_LINEAR, ()),
    **dict.fromkeys(_TREES, _TREE),
    **dict.fromkeys(_both("sklearn.ensemble", "HistGradientBoosting"), _BOOSTED),
    **dict.fromkeys(_both("sklearn.neighbors", "KNeighbors", "RadiusNeighbors"), _NEIGHBOURS),
    **dict.fromkeys(_both("sklearn.neural_network", "MLP"), _OPTIMISERS),
    **dict.fromkeys(_both("sklearn.gaussian_process", "GaussianProcess"), _KERNELS),
    "sklearn.calibration.CalibratedClassifierCV": _CALIBRATED,
    "sklearn.linear_model.TweedieRegressor": _LOSSES,
}
"""What skops may load, beyond its own defaults, for a pipeline with this estimator (by the path that users write)."""


OTHERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_both("sklearn.ensemble", "Stacking", "Voting"), _BUNCH),
    **{
        path: (*_XGBOOST, f"xgboost.sklearn.{path.rpartition('.')[2]}")
        for module in ("xgboost", "xgboost.sklearn")
        for path in _both(module, "XGB", "XGBRF")
    },
    **{
        path: (*_LIGHTGBM, f"lightgbm.sklearn.{path.rpartition('.')[2]}")
        for module in ("lightgbm", "lightgbm.sklearn")
        for path in _both(module, "LGBM")
    },
    **{
        path: (f"catboost.core.{path.rpartition('.')[2]}",)
        for module in ("catboost", "catboost.core")
        for path in _both(module, "CatBoost")
    },
}
"""The same for estimators that hold others, and for those of other libraries, which need not be installed."""


def reviewed_types() -> frozenset[str]:
    """Every type that was reviewed, whatever estimator it belongs to."""
    return frozenset(name for types in (*REVIEWED.values(), *OTHERS.values()) for name in types)


def trusted_types(spec: ModelSpec) -> tuple[str, ...]:
    """Types that the store may be told to trust for this model: reviewed ones, then the specification's own.

    Raises
    ------
    TrainingError
        If the specification names one that the platform does not allow: to load a type is to import its module.
    """
    training = spec.training
    foreign = [import_problem(name, "training.trusted_types") for name in training.trusted_types]
    if any(foreign):
        raise TrainingError(problem for problem in foreign if problem is not None)
    calibrated = _CALIBRATED if training.calibration != "never" else ()
    own = [name for path in estimators_of(spec) for name in (REVIEWED | OTHERS).get(path, ())]
    return tuple(dict.fromkeys((*_PREPARATION, *_STEPS, *own, *calibrated, *training.trusted_types)))


def estimators_of(spec: ModelSpec) -> tuple[str, ...]:
    """Import paths of the estimator and of all that its parameters, or values to search, hold; each once."""
    search = {} if spec.training.search is None else spec.training.search.parameters
    return tuple(dict.fromkeys(paths_in(spec.training.estimator, [spec.training.parameters, dict(search)])))


def untrusted(pipeline: Any, spec: ModelSpec) -> tuple[str, ...]:
    """Types in a fitted pipeline that neither skops, nor the reviewed list, nor the specification trusts.

    Parameters
    ----------
    pipeline
        Fitted; it is dumped in memory to ask skops.
    """
    import skops.io

    found = skops.io.get_untrusted_types(data=skops.io.dumps(pipeline))
    return tuple(sorted(set(found) - set(trusted_types(spec))))


def require_trusted(pipeline: Any, spec: ModelSpec) -> None:
    """Refuse a pipeline that could be stored but not loaded again safely.

    Raises
    ------
    TrainingError
        One problem for each type.
    """
    if spec.training.format != "skops":
        return
    problems = [
        Problem(
            code=ReasonCode.TYPE_UNTRUSTED,
            field="training.trusted_types",
            found=f"the fitted model holds {name}, which nobody has reviewed",
            allowed="types that skops or airflow_mlops trusts, or that training.trusted_types names",
            fix=f"read what {name} does when it is loaded, then add it to training.trusted_types",
        )
        for name in untrusted(pipeline, spec)
    ]
    if problems:
        raise TrainingError(problems, subject=spec.name)
