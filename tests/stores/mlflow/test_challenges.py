"""What became of training runs: the gate's word, whether they served, which decision they answer."""

from __future__ import annotations

import pytest

from airflow_mlops.core.promotion.rollback import rollback
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.stores.mlflow.queries import tag_run
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.chaos.driver import Case as Race
from tests.support.retrain_cases import NOW, drift

pytestmark = [
    pytest.mark.mlflow,
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def test_challenges_are_the_trainings_with_what_the_gate_said_and_whether_they_served(
    store: MLflowStore, mlflow_uri: str
) -> None:
    race = Race(mlflow_uri, "challenges")
    assert store.challenges.newest(race.name, race.name) == ()
    race.make(store, range(6))
    for number, candidate in race.candidates.items():
        tag_run(store._client, candidate.run_id, {"mlops.as_of": candidate.as_of.isoformat()})
        if number < 5:
            verdict = Verdict.REJECT if number == 2 else Verdict.ACCEPT
            store.decisions.record_decision(candidate.run_id, race.decision(number, None, verdict))
    store.runs.open_run(race.name, f"{race.name}.train/broken", model=race.name)  # never came to training
    store.windows.record_drift(race.name, drift(model=race.name))  # has an as-of, and is no training
    race.promote(store, 0, None)
    race.promote(store, 1, 1)
    race.promote(store, 2, 2, verdict=Verdict.REJECT)
    race.promote(store, 3, 2)
    for key in ("a", "b"):
        store.retraining_log.claim(race.name, key, race.candidates[2].loop_run)
    tag_run(store._client, race.candidates[4].run_id, {"mlops.approval": "timed_out"})
    tag_run(store._client, race.candidates[3].run_id, {"mlops.approval": "approved"})
    rollback(store.registry, store.trail, registered_model=race.name, by="user:ada", reason="worse", now=NOW)
    found = store.challenges.newest(race.name, race.name)
    assert [(one.run_id, one.as_of) for one in found] == [
        (race.candidates[number].run_id, race.candidates[number].as_of) for number in (5, 4, 3, 2, 1, 0)
    ]
    assert [one.verdict for one in found] == [None, "accept", "accept", "reject", "accept", "accept"]
    assert [one.promoted for one in found] == [False, False, True, False, True, True]
    assert [one.declined for one in found] == [False, True, False, False, False, False]
    assert [sorted(one.answers) for one in found] == [[], [], [], ["a", "b"], [], []]
    assert [one.refused for one in found] == [False, True, False, True, False, False]
    assert store.challenges.newest(race.name, race.name, 2) == found[:2]
    assert store.challenges.newest(race.name, "another") == ()
    other = store.challenges.newest(race.name, race.name, registered_model="never registered")
    assert [one.promoted for one in other] == [False] * 6
