"""A part is a frozen value: equal, hashed, copied, pickled."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta

import pytest
from pydantic import TypeAdapter

from airflow_mlops.spec import ModelSpec, SpecError, parse_spec
from airflow_mlops.spec.gate import GateSpec
from airflow_mlops.spec.model import ScheduleSpec
from airflow_mlops.spec.training import TrainingSpec
from tests.spec.samples import RAW, TEN_LINES


def test_built_from_parts_in_python() -> None:
    parts = ModelSpec.model_validate(
        {
            **RAW,
            "schedule": ScheduleSpec(cron="@monthly"),
            "training": TrainingSpec(estimator=RAW["training"]["estimator"]),
        }
    )
    assert parts == ModelSpec.model_validate(RAW)
    assert hash(parts) == hash(ModelSpec.model_validate(RAW))


def test_a_part_is_a_frozen_value() -> None:
    spec = parse_spec(TEN_LINES)
    with pytest.raises(AttributeError, match="frozen"):
        spec.name = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del spec.name
    assert pickle.loads(pickle.dumps(spec)) == copy.deepcopy(spec) == copy.copy(spec) == spec
    assert copy.deepcopy(spec).model_fields_set == {"name", "owner", "schedule", "data", "training"}
    assert spec != GateSpec()
    assert "TrainingSpec(estimator='sklearn.linear_model.LogisticRegression')" in repr(spec)


def test_a_part_is_a_field_type_for_pydantic() -> None:
    adapter = TypeAdapter(list[GateSpec])
    assert adapter.validate_python([{"holdout": "7d"}])[0].holdout == timedelta(days=7)


def test_copies_are_validated() -> None:
    spec = parse_spec(TEN_LINES)
    copied = spec.model_copy(update={"gate": {"holdout": "7d"}})
    assert (copied.gate.holdout, copied.training) == (timedelta(days=7), spec.training)
    with pytest.raises(SpecError, match=r"data.window"):
        spec.model_copy(update={"gate": GateSpec(holdout=timedelta(days=90))})


def test_defaults_are_not_shared() -> None:
    first, second = parse_spec(TEN_LINES), parse_spec(TEN_LINES)
    first.training.parameters["C"] = 2
    assert second.training.parameters == {}
    assert parse_spec(TEN_LINES).training.parameters == {}
