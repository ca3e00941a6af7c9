"""Names that would be imported: the platform says which, at load, for a run's overrides, and by `validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_mlops.platform_rules import DEFAULT_IMPORTS, PlatformRules, registered_imports
from airflow_mlops.spec import ModelSpec, SpecError, apply_overrides, load_spec, parse_spec
from airflow_mlops.spec.named_code import named_code, problems_of_code
from tests.spec.samples import RAW, TEN_LINES

SVC = "sklearn.svm.SVC"


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLOPS__ALLOWED_IMPORTS", ", ".join(DEFAULT_IMPORTS))


def training(**parts: Any) -> dict[str, Any]:
    return {"training": {"estimator": SVC, **parts}}


FIELDS: dict[str, dict[str, Any]] = {
    "training.estimator": {"training": {"estimator": "os.system"}},
    "features.transformer": {"features": {"transformer": "os.system"}},
    "training.trusted_types.1": training(trusted_types=["sklearn.tree._tree.Tree", "os.system"]),
    "gate.metrics.0.path": {"gate": {"metrics": [{"path": "os.system", "kind": "regression"}]}},
    "notifications.0.notifier": {"notifications": [{"events": ["promoted"], "notifier": "os.system"}]},
    "training.parameters.estimator.path": training(parameters={"estimator": {"path": "os.system"}}),
    "training.parameters.estimators.0.1.parameters.base.path": training(
        parameters={"estimators": [["a", {"path": SVC, "parameters": {"base": {"path": "os.system"}}}]]}
    ),
    "training.parameters.final_estimator.path": training(parameters={"final_estimator": "os.system"}),
    "training.search.parameters.estimator.1.path": training(
        search={"parameters": {"estimator": [{"path": SVC}, {"path": "os.system", "parameters": {}}]}}
    ),
}


@pytest.mark.parametrize("field", FIELDS)
def test_every_name_is_checked_when_a_specification_is_loaded(field: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="import_not_allowed") as caught:
        parse_spec({**RAW, **FIELDS[field]})
    assert [problem.field for problem in caught.value.problems] == [field]
    spec = ModelSpec.model_validate({**RAW, **FIELDS[field]})
    assert field in dict(named_code(spec))
    (tmp_path / "bad.yaml").write_text(spec.model_dump_json(exclude_unset=True))
    with pytest.raises(SpecError, match=r"bad\.yaml:1: .*import_not_allowed"):
        load_spec(tmp_path / "bad.yaml")


@pytest.mark.parametrize("path", ["subprocess.Popen", "sklearn_evil.SVC", "posix.system", "builtins.eval", "sys.exit"])
def test_only_whole_names_below_an_allowed_module_are_allowed(path: str) -> None:
    assert not PlatformRules().allow_import(path)
    spec = ModelSpec.model_validate({**RAW, "training": {"estimator": path}})
    assert [problem.field for problem in problems_of_code(spec, everything=True)] == ["training.estimator"]


def test_the_platform_may_allow_more_or_less(monkeypatch: pytest.MonkeyPatch) -> None:
    text = TEN_LINES.replace("sklearn.linear_model.LogisticRegression", "json.JSONDecoder")
    with pytest.raises(SpecError, match="allowed: names below sklearn, xgboost"):
        parse_spec(text)
    monkeypatch.setenv("AIRFLOW__MLOPS__ALLOWED_IMPORTS", "json,, json.decoder ")
    assert parse_spec(text).training.estimator == "json.JSONDecoder"
    with pytest.raises(SpecError, match="names below json, json.decoder"):
        parse_spec(TEN_LINES)
    monkeypatch.setenv("AIRFLOW__MLOPS__ALLOWED_IMPORTS", "")
    with pytest.raises(SpecError, match="names below no module"):
        parse_spec(TEN_LINES)


def test_an_installed_package_registers_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "team_models-1.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: team-models\nVersion: 1\n")
    (made / "entry_points.txt").write_text("[mlops.allowed_imports]\nteam = json.decoder\n")
    monkeypatch.syspath_prepend(tmp_path)
    registered_imports.cache_clear()
    try:
        assert registered_imports() == ("json.decoder",)
        assert PlatformRules().allow_import("json.decoder.JSONDecoder")
        assert not PlatformRules().allow_import("json.JSONDecoder")
    finally:
        registered_imports.cache_clear()


def test_a_package_that_is_not_here_is_left_to_the_worker_that_has_it() -> None:
    text = TEN_LINES.replace("sklearn.linear_model.LogisticRegression", "no_such_package.Model")
    spec = parse_spec(text)
    assert list(problems_of_code(spec)) == []
    assert [problem.field for problem in problems_of_code(spec, everything=True)] == ["training.estimator"]


@pytest.mark.parametrize("path", ["sklearn.datasets.fetch_openml", "sklearn.utils.shuffle", "xgboost.train"])
def test_a_function_of_a_library_that_is_no_metric_is_none(path: str) -> None:
    with pytest.raises(SpecError, match="functions of sklearn.metrics"):
        parse_spec({**RAW, "gate": {"metrics": [{"path": path, "kind": "classification"}]}})
    own = {"path": "sklearn.metrics.f1_score", "kind": "classification", "greater_is_better": True}
    assert parse_spec({**RAW, "gate": {"metrics": [own]}})


@pytest.mark.parametrize(
    "parameters",
    [
        {"memory": "/tmp/pickles"},  # noqa: S108 - it is what must be refused
        {"pipeline__memory": "x"},
        {"train_dir": "/etc"},
        {"snapshot_file": "x"},
        {"input": "filename"},
        {"estimator": {"path": SVC, "parameters": {"memory": "x"}}},
        {"steps": [["a", {"path": SVC, "parameters": {"forcedsplits_filename": "x"}}]]},
    ],
)
def test_parameters_that_are_places_on_a_disk_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="a place on a disk"):
        parse_spec({**RAW, **training(parameters=parameters)})
    with pytest.raises(SpecError, match="a place on a disk"):
        parse_spec({**RAW, **training(search={"parameters": {name: [value] for name, value in parameters.items()}})})
    assert parse_spec({**RAW, **training(parameters={"memory": None, "kernel": "rbf", "path_smooth": 1.0})})


LGBM, XGB, CAT = "lightgbm.LGBMClassifier", "xgboost.XGBClassifier", "catboost.CatBoostClassifier"
OF_BOOSTERS: list[tuple[str, dict[str, Any]]] = [
    (LGBM, {"machines": "10.0.0.1:80,10.0.0.2:80"}),
    (LGBM, {"nodes": ["10.0.0.1:80"]}),
    (LGBM, {"workers": {"10.0.0.1:80": 1}}),
    (LGBM, {"fs": "/etc/passwd"}),
    (LGBM, {"config": "x.conf"}),
    (LGBM, {"no_such_name_yet": "x"}),
    (CAT, {"output_borders": "/srv/x"}),
    (CAT, {"input_borders": "/etc/passwd"}),
    (XGB, {"cache": "x"}),
]


@pytest.mark.parametrize(("path", "parameters"), OF_BOOSTERS)
def test_a_booster_is_given_texts_only_where_they_are_words(path: str, parameters: dict[str, Any]) -> None:
    """Boosters take any parameter: some read or write a file, one opens connections to whom it is told."""
    inside = {"estimator": {"path": path, "parameters": parameters}}
    searched = {"parameters": {name: [held] for name, held in parameters.items()}}
    for said in (
        {"training": {"estimator": path, "parameters": parameters}},
        {"training": {"estimator": path, "search": searched}},
        training(parameters=inside),
        training(parameters={"estimators": [["a", inside["estimator"]]]}),
        training(search={"parameters": {"estimator": [inside["estimator"]]}}),
    ):
        with pytest.raises(SpecError, match="or in a network"):
            parse_spec({**RAW, **said})
    spec = parse_spec({**RAW, "training": {"estimator": path}})
    with pytest.raises(SpecError, match="or in a network"):
        apply_overrides(spec, {"training.parameters": parameters})


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        (LGBM, {"objective": "binary", "metric": ["auc"], "num_leaves": "31", "class_weight": "balanced"}),
        (XGB, {"tree_method": "hist", "monotone_constraints": "(1,-1)", "max_depth": 3, "device": "cpu"}),
        (CAT, {"loss_function": "Logloss:hints=skip", "custom_metric": ["AUC"], "used_ram_limit": "4gb", "depth": 4}),
    ],
)  # fmt: skip
def test_words_of_a_booster_are_its_own(path: str, parameters: dict[str, Any]) -> None:
    said = {"estimator": path, "parameters": parameters}
    assert parse_spec({**RAW, "training": said}).training.parameters == parameters
    nested = {"estimator": {"path": path, "parameters": parameters}}
    assert parse_spec({**RAW, **training(parameters=nested)}).training.parameters == nested


def test_a_run_names_no_code_that_its_specification_does_not() -> None:
    spec = parse_spec({**RAW, **training(parameters={"estimator": {"path": SVC}})})
    tuned = apply_overrides(spec, {"training.parameters.estimator.parameters": {"C": 2.0}})
    assert tuned.training.parameters["estimator"] == {"path": SVC, "parameters": {"C": 2.0}}
    for path in ("sklearn.svm.LinearSVC", "os.system"):
        with pytest.raises(SpecError, match="those that the specification itself names"):
            apply_overrides(spec, {"training.parameters.estimator.path": path})
