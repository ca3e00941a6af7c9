"""Failures of MLflow in our words: an address, a number of tries, and no secret."""

from __future__ import annotations

import pytest

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.spec.problems import ReasonCode, Refusal
from airflow_mlops.stores.mlflow.errors import said
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.mlflow_records import codes
from tests.support.servers import free_port

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.usefixtures("quiet"),
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


@pytest.mark.parametrize(
    "text",
    [
        "cannot get https://s3.example.com/b/k?X-Amz-Signature=SECRET&a='b') now",
        "HTTPSConnectionPool(host='s3', port=443): Max retries exceeded with url: /b/k?sig=SECRET (Caused by x)",
        "no answer from https://ada:SECRET@ml.example.com/",
        "no answer from https://ada:p@SECRET@ml.example.com/",
    ],
)
def test_no_key_of_an_address_is_said(text: str) -> None:
    assert "SECRET" not in said(OSError(text))
    assert said(OSError(text)).startswith(text[:10])


def test_mlflow_away_names_address_and_tries_and_no_secret() -> None:
    port = free_port()
    store = MLflowStore.connect(f"http://ada:secret@127.0.0.1:{port}")
    with pytest.raises(StoreUnavailableError) as error:
        store.runs.open_run("x", "d/r1", model="toy")
    assert codes(error) == {ReasonCode.STORE_UNAVAILABLE}
    assert f"http://127.0.0.1:{port}" in str(error.value)
    assert "secret" not in str(error.value)
    assert isinstance(error.value, ConnectionError)


def test_every_refusal_is_one_sentence_with_field_found_allowed_and_fix() -> None:
    with pytest.raises(Refusal) as error:
        MLflowStore.connect(f"http://127.0.0.1:{free_port()}").registry.champion("x")
    (problem,) = error.value.problems
    assert all([problem.field, problem.found, problem.allowed, problem.fix])
