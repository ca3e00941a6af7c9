"""What a candidate was made from; the golden batch is tested with the check of serving."""

from __future__ import annotations

import pytest

from airflow_mlops.core.profiles.build import build_profile
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop_parts import fitted_of
from tests.support.mlflow_records import record

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.usefixtures("quiet"),
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def test_the_profile_comes_back(store: MLflowStore, name: str) -> None:
    fitted, candidate = fitted_of(), record(store, name)
    assert store.lineage.profile(candidate.run_id) == build_profile(
        "toy", fitted.train_frame, fitted.features, fitted.train
    )
