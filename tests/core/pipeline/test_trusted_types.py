"""Every reviewed estimator is stored and loaded with exactly the reviewed types, and nothing passes unnamed."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.pipeline.estimator import build_estimator, is_classification
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.pipeline.trusted_types import REVIEWED, trusted_types, untrusted
from airflow_mlops.core.training.fit import fit
from airflow_mlops.spec.problems import ReasonCode

PARAMETERS: dict[str, dict[str, Any]] = {
    "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis": {"reg_param": 0.5},
    "sklearn.ensemble.HistGradientBoostingClassifier": {"max_iter": 5},
    "sklearn.ensemble.HistGradientBoostingRegressor": {"max_iter": 5},
    "sklearn.linear_model.RANSACRegressor": {"min_samples": 0.5},
    "sklearn.linear_model.TheilSenRegressor": {"max_subpopulation": 20},
    "sklearn.neighbors.RadiusNeighborsClassifier": {"radius": 99.0},
    "sklearn.neighbors.RadiusNeighborsRegressor": {"radius": 99.0},
    "sklearn.neural_network.MLPClassifier": {"max_iter": 3},
    "sklearn.neural_network.MLPRegressor": {"max_iter": 3},
}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("sklearn.calibration.CalibratedClassifierCV", {"method": "isotonic"}),
    ("sklearn.calibration.CalibratedClassifierCV", {"method": "temperature"}),
    ("sklearn.linear_model.TweedieRegressor", {"power": 1.5, "link": "log"}),
    ("sklearn.neural_network.MLPClassifier", {"max_iter": 3, "solver": "sgd"}),
    ("sklearn.neural_network.MLPClassifier", {"max_iter": 3, "solver": "lbfgs"}),
    ("sklearn.neighbors.KNeighborsClassifier", {"algorithm": "ball_tree"}),
    ("sklearn.neighbors.KNeighborsRegressor", {"algorithm": "kd_tree", "p": 1}),
    ("sklearn.neighbors.KNeighborsRegressor", {"algorithm": "brute"}),
    ("sklearn.neighbors.KNeighborsRegressor", {"p": 3}),
    ("sklearn.svm.SVC", {"kernel": "poly", "degree": 2}),
]


def small(path: str) -> dict[str, Any]:
    taken = build_estimator(path, {}).get_params()
    return {"n_estimators": 3} if "n_estimators" in taken else {}


CASES = [(path, PARAMETERS.get(path)) for path in REVIEWED] + VARIANTS


@pytest.mark.parametrize(
    ("path", "parameters"), CASES, ids=[f"{p.rpartition('.')[2]}-{n}" for n, (p, _) in enumerate(CASES)]
)
def test_stored_and_loaded_with_exactly_the_reviewed_types(
    loop: Any, path: str, parameters: dict[str, Any] | None
) -> None:
    parameters = small(path) if parameters is None else parameters
    classification = is_classification(build_estimator(path, parameters), path)
    frame = loop.frame(150, kind="binary" if classification else "regression")
    if not classification:
        frame["y"] = frame["y"].abs() + 0.5  # some regressors are for positive labels only
    gate = {"primary": "accuracy" if classification else "mae", "min_rows": 20}
    spec = loop.spec(path, training={"parameters": parameters}, gate=gate)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    loaded = skops.io.loads(skops.io.dumps(fitted.pipeline), trusted=list(trusted_types(spec)))
    ours, theirs = (predict(pipeline, frame, fitted) for pipeline in (fitted.pipeline, loaded))
    np.testing.assert_array_equal(ours.values, theirs.values)
    if ours.probabilities is not None:
        np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)


def test_every_path_of_the_list_can_be_imported_as_users_write_it() -> None:
    for path in REVIEWED:
        assert build_estimator(path, {}) is not None


class Homemade(LogisticRegression):
    """A team's own estimator."""


@pytest.fixture
def team_module(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("team_models")
    monkeypatch.setattr(Homemade, "__module__", "team_models")
    module.Homemade = Homemade  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "team_models", module)
    return "team_models.Homemade"


def test_a_type_that_nobody_reviewed_is_refused_by_name_and_field(loop: Any, team_module: str) -> None:
    spec, frame = loop.spec(team_module, gate={"min_rows": 20}), loop.frame(400)
    with pytest.raises(TrainingError, match=r"training\.trusted_types: .*team_models\.Homemade") as caught:
        fit(spec, loop.snapshot(spec, frame), frame)
    assert [p.code for p in caught.value.problems] == [ReasonCode.TYPE_UNTRUSTED]


def test_the_specification_may_name_it(loop: Any, team_module: str) -> None:
    spec = loop.spec(team_module, training={"trusted_types": [team_module]}, gate={"min_rows": 20})
    fitted = fit(spec, loop.snapshot(spec, loop.frame(400)), loop.frame(400))
    assert team_module in fitted.trusted_types
    assert untrusted(fitted.pipeline, spec) == ()


def test_cloudpickle_where_the_specification_says_so_needs_no_list(loop: Any, team_module: str) -> None:
    spec = loop.spec(team_module, training={"format": "cloudpickle"}, gate={"min_rows": 20})
    assert fit(spec, loop.snapshot(spec, loop.frame(400)), loop.frame(400)).task == "binary"
