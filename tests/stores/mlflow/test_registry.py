"""Registered versions on a real MLflow server: promoted, doubled, deleted, somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion.promote import promote
from airflow_mlops.core.promotion.registration import provenance_tags
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop_parts import AS_OF, decision_of
from tests.support.mlflow_records import codes, record

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.usefixtures("quiet"),
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def test_promotion_on_the_real_registry(store: MLflowStore, client: Any, name: str) -> None:
    assert store.registry.champion(name) is None
    assert store.registry.alias(name, "champion") is None
    candidates = [record(store, name, f"r{n}", days=n) for n in range(3)]
    for number, verdict in enumerate([Verdict.ACCEPT, Verdict.ACCEPT, Verdict.REJECT]):
        decision = decision_of(candidates[number], number or None, verdict)
        options: dict[str, Any] = {
            "registered_model": name,
            "by": "airflow:d/r",
            "now": AS_OF,
            "tags": {"mlops.dag_id": "d"},
        }
        done = promote(decision, candidates[number], store.registry, store.trail, **options)
        assert promote(decision, candidates[number], store.registry, store.trail, **options) == done
    champion = store.registry.champion(name)
    assert champion is not None
    assert (champion.version, champion.candidate) == (2, candidates[1])
    assert client.get_registered_model(name).aliases == {"champion": "2", "previous": "1"}
    statuses = [store.registry.version_tags(name, number)["mlops.status"] for number in (1, 2, 3)]  # type: ignore[index]
    assert statuses == ["previous", "champion", "rejected"]
    assert store.registry.version_tags(name, 4) is None
    assert store.registry.version_tags(name, 2)["mlops.dag_id"] == "d"  # type: ignore[index]


def test_a_deleted_champion_is_missed(store: MLflowStore, client: Any, name: str) -> None:
    candidate = record(store, name)
    promote(
        decision_of(candidate, None), candidate, store.registry, store.trail, registered_model=name, by="t", now=AS_OF
    )
    client.delete_model_version(name, "1")
    assert store.registry.champion(name) is None
    later = record(store, name, "r2", days=1)
    with pytest.raises(RecordError, match="no version that has served in the registry") as error:
        promote(decision_of(later, 1), later, store.registry, store.trail, registered_model=name, by="t", now=AS_OF)
    assert codes(error) == {ReasonCode.CHAMPION_MISSING}


def test_a_champion_that_the_loop_did_not_make_is_a_clear_refusal(store: MLflowStore, client: Any, name: str) -> None:
    client.create_registered_model(name)
    run_id = store.runs.open_run(name, "d/r1", model="toy")
    client.create_model_version(name, source=f"{client.get_run(run_id).info.artifact_uri}/model", run_id=run_id)
    client.set_registered_model_alias(name, "champion", "1")
    with pytest.raises(RecordError, match="training record cannot be read") as error:
        store.registry.champion(name)
    assert codes(error) == {ReasonCode.CHAMPION_UNREADABLE}


def versions(client: Any, name: str) -> list[int]:
    return sorted(int(found.version) for found in client.search_model_versions(f"name = '{name}'"))


def again(client: Any, name: str, candidate: Candidate, tags: Mapping[str, str]) -> None:
    """Register a version past the store: a request that is sent again, or a person."""
    client.create_model_version(
        name,
        source=candidate.model_uri,
        run_id=candidate.run_id,
        model_id=candidate.model_uri.removeprefix("models:/"),
        tags=dict(tags),
    )


def test_of_a_doubled_registration_the_first_version_stays(store: MLflowStore, client: Any, name: str) -> None:
    candidate = record(store, name)
    tags = {**provenance_tags(decision_of(candidate, None), candidate), "mlops.status": "candidate"}
    assert store.registry.register(name, candidate, tags) == 1
    again(client, name, candidate, tags)
    assert store.registry.version_of(name, candidate.run_id) == 1
    assert versions(client, name) == [1, 2]  # to read deletes nothing
    assert store.registry.register(name, candidate, tags) == 1
    assert versions(client, name) == [1]


@pytest.mark.parametrize(
    "changed",
    [
        {"mlops.decision_digest": "other"},
        {"mlops.decision_digest": None},
        {"mlops.loop_run": "other"},
        {"mlops.status": "rolled_back"},
        "alias",
    ],
    ids=["digest", "no_digest", "loop_run", "served", "alias"],
)
def test_a_version_of_somebody_else_is_never_deleted(store: MLflowStore, client: Any, name: str, changed: Any) -> None:
    candidate = record(store, name)
    tags = {**provenance_tags(decision_of(candidate, None), candidate), "mlops.status": "candidate"}
    assert store.registry.register(name, candidate, tags) == 1
    other = {**tags, **({} if changed == "alias" else changed)}
    again(client, name, candidate, {key: value for key, value in other.items() if value is not None})
    if changed == "alias":
        client.set_registered_model_alias(name, "champion", "1")
        client.set_registered_model_alias(name, "shadow", "2")
    with pytest.raises(RecordError, match="versions 1, 2 of") as error:
        store.registry.register(name, candidate, tags)
    assert codes(error) == {ReasonCode.RECORD_CONFLICT}
    assert versions(client, name) == [1, 2]


def test_of_several_versions_the_one_that_an_alias_points_at_is_the_runs(
    store: MLflowStore, client: Any, name: str
) -> None:
    candidate = record(store, name)
    store.registry.register(name, candidate, {})
    for _ in range(2):
        again(client, name, candidate, {})
    assert store.registry.version_of(name, candidate.run_id) == 1
    client.set_registered_model_alias(name, "previous", "2")
    assert store.registry.version_of(name, candidate.run_id) == 2
    client.set_registered_model_alias(name, "champion", "3")
    assert store.registry.version_of(name, candidate.run_id) == 3


def test_a_version_that_was_made_from_another_model_is_not_taken_for_the_one_that_was_judged(
    store: MLflowStore, client: Any, name: str
) -> None:
    candidate, other = record(store, name), record(store, name, "r2")
    client.create_registered_model(name)
    another = other.model_uri.removeprefix("models:/")
    client.create_model_version(name, source=other.model_uri, run_id=candidate.run_id, model_id=another)
    with pytest.raises(RecordError, match="made from another model than the one that this run trained") as error:
        promote(
            decision_of(candidate, None),
            candidate,
            store.registry,
            store.trail,
            registered_model=name,
            by="t",
            now=AS_OF,
        )
    assert codes(error) == {ReasonCode.RECORD_CONFLICT}
    assert store.registry.alias(name, "champion") is None
    assert store.trail.events(name) == ()


def test_a_double_that_another_try_deletes_at_the_same_moment_is_no_failure(
    store: MLflowStore, client: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = record(store, name)
    tags = {**provenance_tags(decision_of(candidate, None), candidate), "mlops.status": "candidate"}
    store.registry.register(name, candidate, tags)
    again(client, name, candidate, tags)
    seen = store.registry._versions_of(name, candidate.run_id)
    client.delete_model_version(name, "2")
    monkeypatch.setattr(store.registry, "_versions_of", lambda *_: seen)
    assert store.registry.register(name, candidate, tags) == 1
    assert versions(client, name) == [1]


def test_registering_says_nothing_on_stderr(store: MLflowStore, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = record(store, name)
    capsys.readouterr()
    store.registry.register(name, candidate, {})
    assert capsys.readouterr().err == ""


def test_aliases_are_removed_and_versions_described(store: MLflowStore, client: Any, name: str) -> None:
    client.create_registered_model(name)
    run_id = store.runs.open_run(name, "d/r", model="toy")
    client.create_model_version(name, source=f"{client.get_run(run_id).info.artifact_uri}/model", run_id=run_id)
    store.registry.delete_alias(name, "challenger")
    store.registry.set_alias(name, "challenger", 1)
    store.registry.delete_alias(name, "challenger")
    assert store.registry.alias(name, "challenger") is None
    store.registry.describe_version(name, 1, "# A *model*" + "x" * 9000)
    assert client.get_model_version(name, "1").description.startswith("# A *model*")
    with pytest.raises(RecordError) as error:
        store.registry.version(name, 1)
    assert [problem.code for problem in error.value.problems] == [ReasonCode.CHAMPION_UNREADABLE]
    with pytest.raises(RecordError) as error:
        store.registry.version(name, 2)
    assert [problem.code for problem in error.value.problems] == [ReasonCode.VERSION_MISSING]
