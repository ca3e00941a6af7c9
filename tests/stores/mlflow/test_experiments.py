"""An experiment has one owner: from the request that makes it, or from the first who uses one from before."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.ownership import OWNER_TAG, Claim, SpecIdentity
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.client import connect
from airflow_mlops.stores.mlflow.errors import Address
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.builders import make_spec

pytestmark = pytest.mark.usefixtures("quiet")


def opened_by(uri: str, name: str, owner: str = "o", **parts: Any) -> MLflowStore:
    return MLflowStore(connect(Address(uri=uri)), spec=make_spec(name=name, owner=owner, **parts))


def owner_of(client: Any, name: str) -> str | None:
    tag = client.get_experiment_by_name(name).tags.get(OWNER_TAG)
    return None if tag is None else str(tag)


def claim(name: str, owner: str) -> str:
    return Claim(holder=SpecIdentity(name=name, owner=owner), registered_model=name).to_text()


def refused(store: MLflowStore, name: str, model: str) -> str:
    with pytest.raises(RecordError) as refusal:
        store.runs.open_run(name, "dag/run", model=model)
    assert [problem.code for problem in refusal.value.problems] == [ReasonCode.OWNED_BY_ANOTHER]
    return str(refusal.value)


def test_who_makes_it_owns_it(mlflow_uri: str, client: Any, name: str) -> None:
    first = opened_by(mlflow_uri, "first").runs.open_run(name, "dag/run", model="first")
    assert owner_of(client, name) == claim("first", "o")
    assert opened_by(mlflow_uri, "first").runs.open_run(name, "dag/run", model="first") == first
    assert "belongs to specification 'first' of o" in refused(opened_by(mlflow_uri, "second"), name, "second")
    assert "specification 'first' of o" in refused(opened_by(mlflow_uri, "second"), name, "first")
    assert len(client.search_runs([client.get_experiment_by_name(name).experiment_id])) == 1


def test_one_from_before_is_adopted_by_who_has_runs_in_it(mlflow_uri: str, client: Any, name: str) -> None:
    MLflowStore.connect(mlflow_uri).runs.open_run(name, "dag/run", model="first")
    assert owner_of(client, name) is None
    assert "specification 'first'" in refused(opened_by(mlflow_uri, "second"), name, "second")
    opened_by(mlflow_uri, "first").runs.open_run(name, "dag/run", model="first")
    assert owner_of(client, name) == claim("first", "o")


def test_one_that_a_person_made_is_adopted_by_the_first(mlflow_uri: str, client: Any, name: str) -> None:
    client.create_run(client.create_experiment(name))
    opened_by(mlflow_uri, "first").runs.open_run(name, "dag/run", model="first")
    refused(opened_by(mlflow_uri, "second"), name, "second")


def test_before_a_model_is_registered_another_owner_is_a_correction(mlflow_uri: str, client: Any, name: str) -> None:
    model = name.lower()[:60]
    opened_by(mlflow_uri, model, "a").runs.open_run(name, "dag/run", model=model)
    opened_by(mlflow_uri, model, "b").runs.open_run(name, "dag/run", model=model)
    assert owner_of(client, name) == claim(model, "b")
    client.create_registered_model(model, tags={OWNER_TAG: SpecIdentity(name=model, owner="b").to_text()})
    refused(opened_by(mlflow_uri, model, "c"), name, model)


def test_a_tag_that_names_nobody_is_said(mlflow_uri: str, client: Any, name: str) -> None:
    client.create_experiment(name, tags={OWNER_TAG: "mine"})
    with pytest.raises(RecordError, match=r"tag mlops\.owner.*'mine', which names no owner"):
        opened_by(mlflow_uri, "first").runs.open_run(name, "dag/run", model="first")
