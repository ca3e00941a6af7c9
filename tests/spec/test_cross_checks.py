"""What the parts say together: contradictions, and the fingerprint."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.spec import ModelSpec, SpecError, parse_spec
from tests.spec.samples import RAW, TEN_LINES, with_lines


def changed(spec: ModelSpec, path: str, value: Any) -> ModelSpec:
    """The specification as its owner would write it with another value: nothing is locked for the owner."""
    data = spec.model_dump(mode="json", exclude_unset=True)
    place = data
    *parents, last = path.split(".")
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return ModelSpec.model_validate(data)


@pytest.mark.parametrize(
    ("path", "value", "changes"),
    [
        ("training.parameters.C", 2.0, True),
        ("training.seed", 1, True),
        ("data.window", "30d", True),
        ("features.exclude", ["tail"], True),
        ("gate.holdout", "7d", True),
        ("gate.primary", "roc_auc", False),
        ("owner", "others", False),
        ("risk_tier", "high", False),
        ("schedule", "@daily", False),
        ("validation", [{"expect": "row_count", "min": 1}], False),
        ("execution.retries", 0, False),
        ("retraining.cost.worse_by", 0.5, False),
    ],
)
def test_the_fingerprint_covers_what_changes_the_model(path: str, value: Any, changes: bool) -> None:
    assert (changed(parse_spec(TEN_LINES), path, value).fingerprint != parse_spec(TEN_LINES).fingerprint) is changes


def test_the_metric_that_a_search_chooses_by_is_in_the_fingerprint() -> None:
    spec = with_lines("  search: {parameters: {C: [1, 2]}}\n")
    assert changed(spec, "gate.primary", "roc_auc").fingerprint != spec.fingerprint


def test_the_fingerprint_knows_no_folder_of_a_query_file() -> None:
    def fingerprint(query: str) -> str:
        return parse_spec({**RAW, "data": {**RAW["data"], "source": {"conn_id": "w", "query": query}}}).fingerprint

    assert fingerprint("/here/flights.sql") == fingerprint("/there/flights.sql") != fingerprint("/here/other.sql")


def with_parts(data: dict[str, Any] | None = None, training: dict[str, Any] | None = None, **parts: Any) -> ModelSpec:
    return parse_spec({**RAW, "data": {**RAW["data"], **(data or {})},
                       "training": {**RAW["training"], **(training or {})}, **parts})  # fmt: skip


TABLE, QUERY = {"conn_id": "w", "table": "a.b"}, {"conn_id": "w", "query": "sql/flights.sql"}
HELD = {"primary": "roc_auc", "holdout": "60h"}
ALL_OF_DATA = {
    "source": {"path": "é/", "format": "csv", "conn_id": "s3", "encoding": "latin-1", "delimiter": "\t"},
    "key": ["a", "b"], "label_delay": "36h", "weight": "w", "window": "52w",
}  # fmt: skip
FEATURES = {
    "numeric": ["x"], "categorical": ["y", "ü"], "exclude": ["z"], "transformer": "a.B", "encoding": "onehot",
}  # fmt: skip
PARAMETERS = {
    "parameters": {"C": 1, "tol": 1e-9, "x": [1.0, None, True, {"b": "ß"}]},
    "seed": 0, "format": "cloudpickle", "trusted_types": ["a.B"],
}  # fmt: skip
SEARCH = {"search": {"parameters": {"C": [1, 2.5]}, "iterations": 3}}
GRID = {"search": {"method": "grid", "parameters": {"C": [1]}, "metric": "brier"}}


@pytest.mark.parametrize(
    ("parts", "fingerprint"),
    [
        ({}, "4ec6e73a5eeb8b9c22d6f890c04627b08724453e5da3bce91593331cb9f8f658"),
        (
            {"data": {"source": {"conn_id": "w", "table": "a.b"}}},
            "2ea2bd54c85baeef30fc0305e3c3aeae3a7aecfb02f60542d280559ee94b498f",
        ),
        (
            {"data": {"source": {"conn_id": "w", "query": "sql/flights.sql"}}},
            "774001f9c07b9c89932648a668f431a19369022212cd72bbad79b05c4618231c",
        ),
        ({"data": ALL_OF_DATA}, "5a2051b3cafa3676fd291ea8d42852955427b52c3643a88831eb1979f4140c5a"),
        ({"features": FEATURES}, "dcb0d49355b4867a56314d1f8ff639a47614a27619650a5973fe2024d86ed98d"),
        ({"training": PARAMETERS}, "a5f3cb2163395119c4269a8b4f4d2e09189d601daa694b75b3a0d63c80e1935c"),
        (
            {"training": SEARCH, "gate": {"primary": "roc_auc", "holdout": "60h"}},
            "55de3a789eefd6c79d1869e3d9b80d8c99b269910c758845df89a46353d0c573",
        ),
        ({"training": GRID}, "33fef061397d406cd29e3d968608aec46eb40057c3d377149b1eb1ca320b78d3"),
    ],
    ids=("shortest", "table", "query", "data", "features", "parameters", "search", "grid"),
)
def test_fingerprints_of_models_in_registries_stay(parts: dict[str, Any], fingerprint: str) -> None:
    # Written down from commit 73bdc92: versions in MLflow carry them, so another value here calls every model changed.
    assert with_parts(**parts).fingerprint == fingerprint


CONTRADICTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"data": {"label": "departure"}}, "data.label", "'departure', which is data.time"),
    ({"data": {"key": ["late"]}}, "data.key", "the label 'late'"),
    ({"data": {"key": ["a", "a"]}}, "data.key", "'a' 2 times"),
    ({"data": {"weight": "late"}}, "data.weight", "'late', which has another role"),
    ({"data": {"label_delay": "40d"}}, "data.window", "90d, with gate.holdout 14d and data.label_delay 40d"),
    ({"features": {"numeric": ["late"]}}, "features.numeric", "'late', which is data.label"),
    ({"features": {"categorical": ["a"], "exclude": ["a"]}}, "features.categorical", "'a', also in features.exclude"),
    ({"features": {"numeric": ["a"], "categorical": ["a"]}}, "features.categorical", "'a', also in features.numeric"),
    ({"gate": {"champion": {"block": "10d"}}}, "gate.champion.block", "10d with gate.holdout 14d"),
    ({"gate": {"primary": "a.metric"}}, "gate.primary", "'a.metric', which gate.metrics does not declare"),
    ({"gate": {"slices": {"columns": ["late"]}}}, "gate.slices.columns", "'late', the label"),
    ({"gate": {"slices": {"required": {"a": [1]}}}}, "gate.slices.required", "'a', not in gate.slices.columns"),
    ({"gate": {"fairness": {"columns": ["a", "a"]}}}, "gate.fairness.columns", "'a' 2 times"),
    ({"gate": {"mode": "off"}, "risk_tier": "high"}, "gate.mode", "off, for a model of risk_tier high"),
]


@pytest.mark.parametrize(("parts", "field", "found"), CONTRADICTIONS)
def test_parts_that_contradict_each_other(parts: dict[str, Any], field: str, found: str) -> None:
    with pytest.raises(SpecError) as caught:
        with_parts(**parts)
    assert [(problem.field, problem.found) for problem in caught.value.problems] == [(field, found)]


def test_the_right_parts_of_a_wrong_specification_are_crossed_too() -> None:
    with pytest.raises(SpecError) as caught:
        with_parts(data={"label": "departure"}, execution={"retries": -1})
    assert [problem.field for problem in caught.value.problems] == ["execution.retries", "data.label"]
