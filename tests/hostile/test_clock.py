"""A clock that jumps, between any two stages: time is event time, so what is decided is the same, or is not begun."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.core.promotion.verify import verify_trail
from airflow_mlops.operators import (
    DataValidationOperator,
    EvaluateGateOperator,
    PromoteOperator,
    RetrainOperator,
    ScoreOperator,
    SnapshotOperator,
    TrainOperator,
)
from airflow_mlops.sensors import DriftSensor
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop import AS_OF, context_of, rows, specification

pytestmark = [
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

LATER = AS_OF + timedelta(days=7)
TRUE = LATER + timedelta(hours=1)
"""What a good clock shows."""
YEARS = timedelta(days=3653)
CLOCKS = {
    "ten years ahead, and back": [TRUE, TRUE + YEARS],
    "always back, by a day": [TRUE + timedelta(days=30 - day) for day in range(30)],
    "before as-of, once a snapshot is taken": [TRUE] + [AS_OF - YEARS] * 4 + [TRUE] * 100,
}
ALIKE = {"holdout": "14d", "min_rows": 100, "serving": {"mode": "off"}} | {
    "champion": {"hypothesis": "noninferiority", "margin": 0.1}
}
"""A gate that lets a candidate through which is no worse: so that a second one displaces the first."""


class Stages:
    """The stages of a model, each at the next time that its clock shows."""

    def __init__(self, spec: ModelSpec, clock: Iterator[datetime]) -> None:
        self.spec = spec
        self._clock = clock

    def at_next(self, stage: Any, context: dict[str, Any]) -> Any:
        with time_machine.travel(next(self._clock)):
            return stage.execute(context)

    def train(self, run_id: str, as_of: datetime) -> dict[str, Any]:
        context, spec = context_of(run_id, as_of, dag_id=f"{self.spec.name}.train"), self.spec
        snapshot = self.at_next(SnapshotOperator(task_id="snapshot", spec=spec), context)
        self.at_next(DataValidationOperator(task_id="validate", spec=spec, snapshot=snapshot), context)
        candidate = self.at_next(TrainOperator(task_id="train", spec=spec, snapshot=snapshot), context)
        gate = EvaluateGateOperator(task_id="gate", spec=spec, snapshot=snapshot, candidate=candidate)
        decision = self.at_next(gate, context)
        given = {"snapshot": snapshot, "candidate": candidate, "decision": decision}
        promoted = self.at_next(PromoteOperator(task_id="promote", spec=spec, **given), context)
        return {"snapshot": snapshot["fingerprint"], "verdict": decision["verdict"], "version": promoted["version"]}

    def watch(self, run_id: str, as_of: datetime) -> dict[str, Any]:
        context, spec = context_of(run_id, as_of, dag_id=f"{self.spec.name}.monitor"), self.spec
        scored = self.at_next(ScoreOperator(task_id="score", spec=spec), context)
        drift = self.at_next(DriftSensor(task_id="drift", spec=spec, wait_for="window"), context)
        decided = self.at_next(RetrainOperator(task_id="retrain", spec=spec, drift=drift), context)
        return {
            "rows": scored["rows"],
            "drift": drift["verdict"],
            "action": decided["action"],
            "key": decided["key"].removeprefix(self.spec.name),
        }


def orders(home: Path) -> None:
    """Orders until AS_OF, and another week of higher loads, which make late as they did before."""
    later = rows(700, seed=2, days=8)
    later["ordered_at"] += timedelta(days=7)
    later["order_id"] = "n" + later["order_id"]
    later["load"] += 1.5
    later["late"] = (later["load"] + 0.8 * np.random.default_rng(3).normal(size=len(later)) > 0.5).astype("int64")
    pd.concat([rows(1500), later]).to_parquet(home / "orders.parquet")


def model(name: str) -> ModelSpec:
    monitoring = {"window": "7d", "drift": {"min_rows": 100, "violations": 1}}
    loop = {"gate": ALIKE, "monitoring": monitoring, "retraining": {"cooldown": "1d"}}
    return ModelSpec.model_validate(specification("orders.parquet", name=name, **loop))


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_loop_decides_the_same_whatever_the_clock_does(loop_home: Path, mlflow_uri: str, clock: str) -> None:
    orders(loop_home)
    name = "clock_" + "".join(letter if letter.isalnum() else "_" for letter in clock)[:40]
    store, stages = MLflowStore.connect(mlflow_uri), Stages(model(name), cycle(CLOCKS[clock]))
    first = stages.train("first", AS_OF)
    watched = stages.watch("watched", LATER)
    second = stages.train("second", LATER)
    again = stages.train("second", LATER)

    assert (first["verdict"], first["version"]) == ("accept", 1)
    assert watched == {
        "rows": watched["rows"],
        "drift": "drift",
        "action": "retrain",
        "key": f"/v1/{_iso(LATER - timedelta(days=7))}_{_iso(LATER)}",
    }
    assert watched["rows"] > 0
    assert (second["verdict"], second["version"]) == ("accept", 2)
    assert again == second
    assert store.registry.alias(name, "champion") == 2
    assert [(event.kind, event.version) for event in store.trail.events(name)] == [
        ("promoting", 1), ("promoted", 1), ("promoting", 2), ("promoted", 2),
    ]  # fmt: skip
    assert verify_trail(store.registry, store.trail, name) == ()


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def test_a_clock_before_as_of_is_one_sentence_and_nothing_is_begun(loop_home: Path, mlflow_uri: str) -> None:
    orders(loop_home)
    spec, store = model("clock_before_as_of"), MLflowStore.connect(mlflow_uri)
    with pytest.raises(AirflowFailException, match=r"as_of: .*in the future.*leave it out to mean now"):
        Stages(spec, iter([AS_OF - timedelta(days=1)])).train("run", AS_OF)
    assert store.trail.events(spec.name) == ()
    assert not (loop_home / "storage" / "snapshots" / spec.name).exists()
    assert Stages(spec, cycle([TRUE])).train("run", AS_OF)["version"] == 1
    with pytest.raises(AirflowFailException, match=r"as_of: .*in the future"):
        Stages(spec, iter([AS_OF - timedelta(days=1)])).watch("watched", LATER)
    assert store.registry.alias(spec.name, "champion") == 1
    assert verify_trail(store.registry, store.trail, spec.name) == ()
