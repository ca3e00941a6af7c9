"""Other values for one run, and what no run may change."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.spec import SpecError, apply_overrides, parse_spec
from airflow_mlops.spec.overrides import LOCKED
from tests.spec.samples import RAW, TEN_LINES, with_lines


def test_overrides_replace_values_at_paths() -> None:
    spec = with_lines("  parameters: {C: 1.0, class_weight: [{0: 1}]}\n")
    other = apply_overrides(
        spec,
        {
            "training.parameters.max_iter": 50,
            "training.search.parameters": {"tol": [0.1, 0.2]},
            "training.parameters.class_weight.0": "balanced",
            "data.window": "30d",
            "schedule": "@daily",
        },
    )
    assert other.training.parameters == {"C": 1.0, "class_weight": ["balanced"], "max_iter": 50}
    assert other.training.search is not None
    assert other.data.window.days == 30
    assert other.schedule.cron == "@daily"
    assert spec.training.parameters["C"] == 1.0
    assert "max_iter" not in spec.training.parameters
    assert apply_overrides(spec, {}) == spec


@pytest.mark.parametrize("path", LOCKED)
def test_locked_fields_stay(path: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides(parse_spec(TEN_LINES), {path: "other.Thing"})
    assert [(p.field, p.found) for p in caught.value.problems] == [(path, "an override")]


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"tracking.conn_id": "elsewhere"}, "tracking"),
        ({"data.source.path": "/etc"}, "data.source"),
        ({"training": {"estimator": "subprocess.Popen"}}, "training.estimator"),
        ({"training": {**RAW["training"], "format": "cloudpickle"}}, "training.format"),
        ({"data": {**RAW["data"], "source": {"path": "/etc"}}}, "data.source"),
        ({"promotion": {"registered_model": "other"}}, "promotion"),
    ],
)
def test_locked_fields_stay_by_any_path(overrides: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides(parse_spec(TEN_LINES), overrides)
    assert [p.field for p in caught.value.problems] == [field]


def test_every_problem_of_overrides_is_told() -> None:
    with pytest.raises(SpecError, match="overrides of flight_delay") as caught:
        apply_overrides(
            parse_spec(TEN_LINES),
            {"name": "x", "scoring.windw": "1d", "scoring.chunk_rows": 0, "owner.first": 1, "training.search.folds": 1},
        )
    assert {"name", "scoring.windw", "scoring.chunk_rows", "owner", "training.search.folds"} <= {
        p.field for p in caught.value.problems
    }
    assert "did you mean 'window'?" in str(caught.value)


@pytest.mark.parametrize("overrides", ["gate.primary", ["gate"], 7])
def test_overrides_are_a_mapping(overrides: Any) -> None:
    with pytest.raises(SpecError, match="a mapping of dotted paths"):
        apply_overrides(parse_spec(TEN_LINES), overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        {"training.parameters.estimator": {"path": "team.Model"}},
        {"training.parameters.estimator": "team.Model"},
        {"training.parameters.estimators": [["a", {"path": "sklearn.svm.SVC"}], ["b", {"path": "team.Model"}]]},
        {"training.search": {"parameters": {"final_estimator": [{"path": "team.Model"}]}}},
    ],
)
def test_a_run_names_no_estimator_inside_parameters_that_the_file_does_not(overrides: dict[str, object]) -> None:
    """It is code that is run, as `training.estimator` is."""
    inside = {"parameters": {"estimator": {"path": "sklearn.svm.SVC", "parameters": {"C": 1.0}}}}
    spec = parse_spec({**RAW, "training": {"estimator": "sklearn.calibration.CalibratedClassifierCV", **inside}})
    with pytest.raises(SpecError, match=r"training\.parameters: found the estimator 'team\.Model'"):
        apply_overrides(spec, overrides)
    tuned = apply_overrides(spec, {"training.parameters.estimator.parameters.C": 9.0})
    assert tuned.training.parameters["estimator"] == {"path": "sklearn.svm.SVC", "parameters": {"C": 9.0}}


def test_labels_of_another_source_and_the_positive_class_stay_as_the_file_says() -> None:
    spec = parse_spec(RAW)
    for field, value in {"data.labels.time": "t", "data.positive": "x"}.items():
        with pytest.raises(SpecError, match=rf"{field.rpartition('.')[0].replace('.', '[.]')}"):
            apply_overrides(spec, {field: value})
