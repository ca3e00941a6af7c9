"""Objects by their path: what may be imported, and what of that may be used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from airflow_mlops.core.errors import TrainingError
from airflow_mlops.core.importing import import_object
from airflow_mlops.core.pipeline.estimator import build_estimator
from airflow_mlops.core.pipeline.trusted_types import trusted_types
from airflow_mlops.platform_rules import DEFAULT_IMPORTS
from airflow_mlops.spec.problems import ReasonCode
from tests.support.builders import LOGISTIC, make_spec


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLOPS__ALLOWED_IMPORTS", ", ".join(DEFAULT_IMPORTS))


def test_what_is_not_allowed_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hostile_import.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TrainingError, match="hostile_import.Model") as caught:
        import_object("hostile_import.Model", "training.estimator")
    assert caught.value.problems[0].code is ReasonCode.IMPORT_NOT_ALLOWED
    assert "hostile_import" not in sys.modules
    assert not (tmp_path / "ran").exists()


REACHABLE = [
    "sklearn.base.warnings",  # a module that an allowed one has imported
    "sklearn.base.inspect",
    "sklearn.datasets._base.shutil",
    "sklearn.__version__",  # a text
    "sklearn.externals",
    "airflow_mlops.provenance.subprocess",
    "airflow_mlops.core.importing.import_module",
    "sklearn.datasets._base.urlretrieve",
]


@pytest.mark.parametrize("path", REACHABLE)
def test_what_can_be_reached_through_an_allowed_module_is_not_of_it(path: str) -> None:
    with pytest.raises(TrainingError) as caught:
        import_object(path, "training.estimator")
    assert caught.value.problems[0].code is ReasonCode.IMPORT_NOT_ALLOWED, str(caught.value)


@pytest.mark.parametrize("path", ["sklearn.os.system", "sklearn.utils._testing.os.system", "sklearn.svm.SVC.__init__"])
def test_a_path_goes_through_modules_only(path: str) -> None:
    with pytest.raises(TrainingError):
        import_object(path, "training.estimator")


@pytest.mark.parametrize("path", ["sklearn.datasets.fetch_openml", "sklearn.utils.Bunch", "airflow_mlops.cli.new.new"])
def test_an_estimator_is_a_class_of_one(path: str) -> None:
    with pytest.raises(TrainingError, match="the class of a scikit-learn-compatible classifier or regressor"):
        build_estimator(path, {})


def test_an_estimator_reads_and_writes_no_place() -> None:
    with pytest.raises(TrainingError, match="a place on a disk"):
        build_estimator("sklearn.pipeline.Pipeline", {"steps": [], "memory": "pickles"})


def test_a_type_that_is_not_allowed_is_not_trusted_because_it_is_named() -> None:
    spec = make_spec().model_copy(update={"training": {"estimator": LOGISTIC, "trusted_types": ["os.system"]}})
    with pytest.raises(TrainingError, match=r"training\.trusted_types: found 'os\.system'"):
        trusted_types(spec)


def test_the_libraries_own_classes_are_what_they_were() -> None:
    import catboost
    import sklearn.svm

    assert import_object("sklearn.svm.SVC", "training.estimator") is sklearn.svm.SVC
    assert import_object("catboost.CatBoostClassifier", "training.estimator") is catboost.CatBoostClassifier
