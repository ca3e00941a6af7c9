"""Text artifacts of runs: byte for byte, and gone is another thing than away."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_mlops.core.errors import RecordError, StoreUnavailableError
from airflow_mlops.core.promotion.promote import promote
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop_parts import AS_OF, decision_of, spec_of
from tests.support.mlflow_records import codes, record
from tests.support.proxies import CUT, DOWNLOAD, LISTING, flaky_proxy

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.usefixtures("quiet"),
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def test_text_comes_back_byte_for_byte(store: MLflowStore, name: str) -> None:
    run_id, text = store.runs.open_run(name, "d/r1", model="toy"), "a\r\nb\nŁódź ✓\n"
    store.artifacts.write_text(run_id, "deep/er/x.txt", text)
    assert store.artifacts.read_text(run_id, "deep/er/x.txt") == text


@pytest.mark.parametrize(
    ("run", "missing"), [("known", r"no readable artifact x\.json"), ("f" * 32, "no run ffff")], ids=["file", "run"]
)
def test_what_is_not_there_is_a_refusal(store: MLflowStore, name: str, run: str, missing: str) -> None:
    known = store.runs.open_run(name, "d/r1", model="toy")
    with pytest.raises(RecordError, match=missing):
        store.artifacts.read_text(known if run == "known" else run, "x.json")


def test_a_folder_is_no_text(store: MLflowStore, name: str) -> None:
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    store.artifacts.write_text(run_id, "gate/x.txt", "x")
    with pytest.raises(RecordError, match="no readable artifact gate"):
        store.artifacts.read_text(run_id, "gate")


@pytest.mark.parametrize(
    "refused",
    [{DOWNLOAD: 503}, {DOWNLOAD: CUT}, {DOWNLOAD: 503, LISTING: 503}, {LISTING: 503}, {LISTING: 403}],
    ids=["download", "cut_off", "both", "listing", "forbidden"],
)
def test_an_artifact_that_cannot_be_had_now_is_not_called_missing(
    mlflow_uri: str, client: Any, name: str, refused: dict[str, int]
) -> None:
    candidate = record(MLflowStore.connect(mlflow_uri), name)
    records = MLflowStore.connect(mlflow_uri)
    promote(
        decision_of(candidate, None),
        candidate,
        records.registry,
        records.trail,
        registered_model=name,
        by="t",
        now=AS_OF,
    )

    def refuses(method: str, path: str) -> int | None:
        return next((how for start, how in refused.items() if method == "GET" and path.startswith(start)), None)

    with flaky_proxy(mlflow_uri, refuses) as proxy:
        store = MLflowStore.connect(proxy)
        for read in (
            lambda: store.artifacts.read_text(candidate.run_id, "candidate.json"),
            lambda: store.candidates.candidate(candidate.run_id),
            lambda: store.registry.champion(name),
            lambda: store.load_pipeline(candidate.model_uri, spec=spec_of()),
        ):
            with pytest.raises(StoreUnavailableError) as error:
                read()
            assert codes(error) == {ReasonCode.STORE_UNAVAILABLE}
            assert proxy in str(error.value)
    assert MLflowStore.connect(mlflow_uri).registry.champion(name) is not None
