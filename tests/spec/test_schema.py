"""The JSON schema and the generated reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from airflow_mlops.spec import parse_spec
from airflow_mlops.spec.schema import json_schema, render_markdown
from airflow_mlops.spec.template import new_text

ROOT = Path(__file__).parents[2]


def test_the_json_schema_accepts_what_the_reader_accepts() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    spec = parse_spec(new_text("churn"))
    validator.validate(spec.model_dump(mode="json"))
    validator.validate(spec.model_dump(mode="json", exclude_unset=True))
    short = spec.model_dump(mode="json", exclude_unset=True)
    validator.validate({**short, "schedule": "@daily", "data": {**short["data"], "key": "id"}})


@pytest.mark.parametrize(
    "change", [{"nam": 1}, {"name": 7}, {"gate": {"holdout": "14 days"}}, {"data": {}}, {"training": {"seed": "1"}}]
)
def test_the_json_schema_refuses_what_the_reader_refuses(change: dict[str, Any]) -> None:
    spec = parse_spec(new_text("churn")).model_dump(mode="json", exclude_unset=True)
    assert not Draft202012Validator(json_schema()).is_valid({**spec, **change})


def test_the_reference_is_not_stale() -> None:
    file = ROOT / "docs" / "specification.md"
    assert file.read_text(encoding="utf-8") == render_markdown(), (
        "docs/specification.md is stale: airflow mlops schema --markdown > docs/specification.md"
    )
