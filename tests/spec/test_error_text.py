"""Every broken specification is refused with its field, code and line; the corpus and the table agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_mlops.spec import ModelSpec, ReasonCode, SpecError, load_spec
from tests.spec.samples import RAW

FOLDER = Path(__file__).parent / "broken"
UNREADABLE, UNSAFE, UNKNOWN, MISSING, INVALID, DUPLICATE = (
    ReasonCode.SPEC_UNREADABLE,
    ReasonCode.SPEC_UNSAFE,
    ReasonCode.SPEC_UNKNOWN_FIELD,
    ReasonCode.SPEC_MISSING_FIELD,
    ReasonCode.SPEC_INVALID_VALUE,
    ReasonCode.SPEC_DUPLICATE,
)
BOMB = [("a", UNSAFE, 1), ("b", UNSAFE, 2), *((f"b.{i}", UNSAFE, 2) for i in range(9)), ("c", UNSAFE, 3)]
EXPECTED: dict[str, list[tuple[str, ReasonCode, int]]] = {
    "anchor_bomb": [*BOMB, *((f"c.{i}", UNSAFE, 3) for i in range(8))],
    "bad_cron": [("schedule.cron", INVALID, 10)],
    "bad_duration": [("data.window", INVALID, 8)],
    "bad_name": [("name", INVALID, 1)],
    "bounds_contradict": [("gate.absolute", INVALID, 10)],
    "control_character": [("(file)", UNREADABLE, 2)],
    "deep_nesting": [("description" + ".0" * 19, UNSAFE, 10)],
    "duplicate_key": [("owner", DUPLICATE, 10)],
    "empty": [("(file)", UNREADABLE, 1)],
    "endless_duration": [("data.window", INVALID, 8)],
    "ends_before_start": [("schedule.end", INVALID, 10)],
    "expectation_argument": [("validation.0.minimum", UNKNOWN, 11), ("validation.0", MISSING, 11)],
    "grid_iterations": [("training.search.iterations", INVALID, 10)],
    "holdout_too_long": [("data.window", INVALID, 3)],
    "latin1": [("(file)", UNREADABLE, 2)],
    "merge_key": [("gate", UNSAFE, 3)],
    "missing_sql_file": [("data.source.query", INVALID, 4)],
    "misspelt_owner": [("owner", MISSING, 1), ("ownr", UNKNOWN, 2)],
    "mixed_metrics": [("gate.absolute.0.metric", INVALID, 10)],
    "nan_bound": [("gate.absolute.0.min", INVALID, 10)],
    "number_as_date": [("schedule.start", INVALID, 10)],
    "python_tag": [("description", UNSAFE, 10)],
    "quoted_types": [("training.seed", INVALID, 10), ("retraining.on_drift", INVALID, 11)],
    "roles_contradict": [
        ("features.numeric", INVALID, 10),
        ("features.categorical", INVALID, 10),
        ("features.categorical", INVALID, 10),
    ],
    "searched_and_fixed": [("training.search.parameters.C", DUPLICATE, 10)],
    "secret_in_conn_id": [("data.source.conn_id", INVALID, 4)],
    "secret_in_path": [("data.source.path", INVALID, 4)],
    "several": [
        ("name", INVALID, 1),
        ("owner", INVALID, 2),
        ("risk_tier", INVALID, 3),
        ("data.source.delimiter", INVALID, 5),
        ("data.key", INVALID, 7),
        ("data.windw", UNKNOWN, 9),
        ("features.numeric", INVALID, 11),
        ("training.estimator", INVALID, 13),
        ("gate.holdout", INVALID, 16),
        ("gate.champion.margin", INVALID, 17),
        ("gate.absolute.0.metric", ReasonCode.METRIC_UNKNOWN, 19),
        ("gate.absolute.1", MISSING, 20),
    ],
    "source_unknown": [("data.source", INVALID, 4)],
    "tab_indent": [("(file)", UNREADABLE, 5)],
    "table_and_query": [("data.source", INVALID, 4)],
    "top_level_list": [("(file)", UNREADABLE, 1)],
    "two_documents": [("(file)", UNREADABLE, 10)],
    "unclosed_quote": [("(file)", UNREADABLE, 10)],
    "unknown_expectation": [("validation.1.expect", ReasonCode.EXPECTATION_UNKNOWN, 12)],
    "unknown_metric": [("gate.primary", ReasonCode.METRIC_UNKNOWN, 10)],
    "unknown_timezone": [("schedule.timezone", INVALID, 10)],
}
SUGGESTED = {
    "misspelt_owner": "rename 'ownr' to 'owner'",
    "unknown_metric": "did you mean 'log_loss'?",
    "unknown_expectation": "did you mean 'not_null'?",
    "unknown_timezone": "did you mean 'Europe/Berlin'?",
    "source_unknown": "did you mean 'path'?",
    "expectation_argument": "did you mean 'min'?",
    "several": "did you mean 'high'?",
    "bad_name": "write it like flight_delay",
}


def refusal(name: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load_spec(FOLDER / f"{name}.yaml")
    return caught.value


def test_the_corpus_is_the_table() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_problem_with_field_code_and_line(name: str) -> None:
    problems = refusal(name).problems
    assert [(p.field, p.code, p.where) for p in problems] == [
        (field, code, f"{name}.yaml:{line}") for field, code, line in EXPECTED[name]
    ]
    for problem in problems:
        assert problem.found
        assert problem.allowed
        assert problem.fix
        assert "{" not in problem.fix
        assert len(str(problem).splitlines()) == 1


@pytest.mark.parametrize("name", SUGGESTED)
def test_the_fix_suggests_the_word_that_was_meant(name: str) -> None:
    assert SUGGESTED[name] in str(refusal(name))


@pytest.mark.parametrize("name", ["secret_in_conn_id", "secret_in_path"])
def test_a_password_is_not_repeated(name: str) -> None:
    assert "hunter2" not in str(refusal(name))
    assert "hunter2" not in repr(refusal(name))


@pytest.mark.parametrize("name", ["~ label", "~file", "~sql", "[key]", "~"])
@pytest.mark.parametrize("place", ["", "data", "training"])
def test_a_field_that_nobody_knows_may_have_any_name(name: str, place: str) -> None:
    """The fuzzer's first find: names that begin with ~ were taken for kinds of sources."""
    raw = {**RAW, place: {**RAW[place], name: 1}} if place else {**RAW, name: 1}
    with pytest.raises(SpecError, match="unknown field") as caught:
        ModelSpec.model_validate(raw)
    assert [problem.field for problem in caught.value.problems] == [f"{place}.{name}".lstrip(".")]
