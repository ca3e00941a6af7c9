"""Two that set the same tag at the same instant: the database refuses one of them, and that is nobody's failure."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INVALID_PARAMETER_VALUE

from airflow_mlops.stores.mlflow.client import SETS, GuardedClient, connect
from airflow_mlops.stores.mlflow.errors import Address


class Refusing:
    """A client whose database refuses the first requests."""

    def __init__(self, refusals: int, code: int) -> None:
        self.left, self.code, self.asked = refusals, code, 0

    def __getattr__(self, name: str) -> Any:
        def ask(*values: str) -> tuple[str, ...]:
            self.asked += 1
            if self.left:
                self.left -= 1
                raise MlflowException("duplicate key value violates unique constraint", error_code=self.code)
            return values

        return ask


@pytest.mark.parametrize("method", sorted(SETS))
def test_a_lost_race_is_run_once_more(method: str) -> None:
    inner = Refusing(1, BAD_REQUEST)
    assert getattr(GuardedClient(inner, Address(uri="http://here")), method)("model", "name", "value") == (
        "model",
        "name",
        "value",
    )
    assert inner.asked == 2


@pytest.mark.parametrize(
    ("method", "refusals", "code", "asked"),
    [
        ("set_tag", 2, BAD_REQUEST, 2),
        ("set_tag", 1, INVALID_PARAMETER_VALUE, 1),
        ("log_param", 1, BAD_REQUEST, 1),
    ],
)
def test_what_is_wrong_in_itself_is_refused(method: str, refusals: int, code: int, asked: int) -> None:
    inner = Refusing(refusals, code)
    with pytest.raises(MlflowException, match="duplicate key"):
        getattr(GuardedClient(inner, Address(uri="http://here")), method)("model", "name", "value")
    assert inner.asked == asked


def test_many_that_set_one_new_tag_all_succeed(mlflow_uri: str) -> None:
    client = connect(Address(uri=mlflow_uri))
    client.create_registered_model("tagged_by_many")
    threads = 16
    for number in range(5):
        together = Barrier(threads)

        def tag(key: str = f"tag{number}", together: Barrier = together) -> None:
            together.wait()
            connect(Address(uri=mlflow_uri)).set_registered_model_tag("tagged_by_many", key, "same")

        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(tag) for _ in range(threads)]:
                done.result()
    tags = client.get_registered_model("tagged_by_many").tags
    assert {tags[f"tag{number}"] for number in range(5)} == {"same"}
