"""Two judged candidates, trained once: every test promotes them under a registered model of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.builders import make_rule_result

if TYPE_CHECKING:  # Airflow takes seconds, and this module is imported with the conftest, by pytest's own process too
    from tests.support.loop import Run

GATE = {"holdout": "14d", "min_rows": 100, "mode": "off"}


def settings(home: Path, uri: str) -> dict[str, str]:
    return {
        "AIRFLOW__MLOPS__STORAGE": str(home / "storage"),
        "AIRFLOW__MLOPS__DATA_ROOT": str(home),
        "AIRFLOW_CONN_MLFLOW_DEFAULT": json.dumps({"conn_type": "mlflow", "host": uri}),
    }


@dataclass
class Judged:
    """What the tests of one registered model promote."""

    spec: ModelSpec
    store: MLflowStore
    runs: tuple[Run, Run]

    @property
    def model(self) -> str:
        return self.spec.registered_model

    def candidate(self, number: int = 0) -> Candidate:
        return Candidate.from_json(self.runs[number].reports["train"])

    def decide(self, number: int = 0, **changes: Any) -> Run:
        """Record the gate's decision anew, changed: another digest, to which nobody has answered yet."""
        from tests.support.loop import Run

        run = self.runs[number]
        decision = GateDecision.from_json(run.reports["gate"])
        decision = giving(decision, changes.pop("verdict", decision.verdict))
        decision = against(decision, changes.pop("champion_version", decision.champion_version))
        decision = replace(decision, decided_at=datetime.now(UTC), **changes)
        self.store.decisions.record_decision(decision.run_id, decision)
        return Run(run.run_id, {**run.reports, "gate": decision.to_json()})

    def kinds(self) -> list[str]:
        return [event.kind for event in self.store.trail.events(self.model)]

    def context(self, number: int = 0, **changes: Any) -> dict[str, Any]:
        from tests.support.loop import context_of

        return context_of(self.runs[number].run_id, **changes)


def giving(decision: GateDecision, verdict: Verdict) -> GateDecision:
    """Return the decision with another verdict, which follows from its first rule that counts."""
    if verdict is decision.verdict:
        return decision
    rules = list(decision.evaluation.rules)
    place = next(at for at, rule in enumerate(rules) if rule.enforced)
    code = None if verdict is Verdict.ACCEPT else ReasonCode.METRIC_OUT_OF_BOUNDS
    rules[place] = replace(rules[place], verdict=verdict, code=code)
    evaluation = replace(decision.evaluation, rules=tuple(rules))
    return replace(decision, verdict=verdict, would=verdict, evaluation=evaluation)


def against(decision: GateDecision, champion: int | None) -> GateDecision:
    """Return the decision as one against another champion, of the same as-of."""
    if champion == decision.champion_version:
        return decision
    kept = [rule for rule in decision.evaluation.rules if rule.rule != "as_of"]
    order = [] if champion is None else [make_rule_result("as_of", metric="as_of", value=0.0, bound=">= 0 days")]
    evaluation = replace(decision.evaluation, champion_version=champion, rules=(*kept, *order))
    return replace(decision, champion_version=champion, evaluation=evaluation)


@pytest.fixture(scope="session")
def judged_runs(mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Run, Run]:
    from tests.support.loop import judge_loop, rows, specification

    home = tmp_path_factory.mktemp("judged")
    rows().to_parquet(home / "orders.parquet")
    body = {**specification("orders.parquet"), "name": "judged", "gate": GATE}
    spec = ModelSpec.model_validate(body)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings(home, mlflow_uri).items():
            patch.setenv(name, value)
        return home, body, judge_loop(spec), judge_loop(spec)


@pytest.fixture
def judged(
    judged_runs: tuple[Path, dict[str, Any], Run, Run],
    mlflow_uri: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Judged]:
    home, body, *runs = judged_runs
    for name, value in settings(home, mlflow_uri).items():
        monkeypatch.setenv(name, value)
    name = "j_" + "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[-60:]
    spec = ModelSpec.model_validate({**body, "promotion": {"registered_model": name}})
    yield Judged(spec, MLflowStore.connect(mlflow_uri), (runs[0], runs[1]))
