"""Promotion as a task: stale decisions, the model card, who is told, and what a second try finds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.core.promotion.retire import retire
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.operators import SnapshotOperator
from airflow_mlops.stores.mlflow.registry import MLflowRegistry
from tests.support.judged_runs import Judged
from tests.support.loop import promote_run


def test_the_version_gets_its_card_and_the_task_links_to_it(judged: Judged) -> None:
    run = judged.decide()
    task = promote_run(judged.spec, run, judged.context())
    run_id = judged.candidate().run_id
    assert run.reports["promote"]["promoted"] is True
    assert task.card_url == judged.store.artifact_url(run_id, "model_card.html")
    text, page = (judged.store.artifacts.read_text(run_id, f"model_card.{kind}") for kind in ("md", "html"))
    for part in ("tests", run.reports["snapshot"]["fingerprint"][:12]):
        assert part in text
        assert part in page
    assert page.startswith("<!doctype html>")
    described = judged.store._client.get_model_version(judged.model, "1").description
    assert described.startswith(f"**{judged.model}") or judged.model in described


def test_a_version_that_does_not_serve_gets_its_card_too(judged: Judged) -> None:
    run = judged.decide(verdict=Verdict.REJECT, reasons=("it is worse on the holdout",))
    promote_run(judged.spec, run, judged.context())
    assert run.skipped == "it is worse on the holdout"
    assert "it is worse on the holdout" in judged.store.artifacts.read_text(judged.candidate().run_id, "model_card.md")
    assert judged.store.registry.alias(judged.model, "champion") is None


def test_a_card_that_cannot_be_written_fails_the_task_after_the_promotion_and_the_next_try_writes_it(
    judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = judged.decide()

    def away(self: MLflowRegistry, model: str, version: int, text: str) -> None:
        raise StoreUnavailableError([])

    with monkeypatch.context() as broken:
        broken.setattr(MLflowRegistry, "describe_version", away)
        with pytest.raises(StoreUnavailableError):
            promote_run(judged.spec, run, judged.context())
    assert judged.store.registry.alias(judged.model, "champion") == 1
    before = judged.kinds()
    promote_run(judged.spec, run, judged.context())
    assert run.reports["promote"]["version"] == 1
    assert judged.kinds() == before == ["promoting", "promoted"]
    assert judged.store._client.get_model_version(judged.model, "1").description


def test_a_stale_decision_is_made_again_once_against_the_champion_of_now(judged: Judged) -> None:
    stale = judged.decide(1, champion_version=None)
    promote_run(judged.spec, judged.decide(0), judged.context(0))
    promote_run(judged.spec, stale, judged.context(1))
    assert (stale.reports["promote"]["promoted"], stale.reports["promote"]["previous_version"]) == (True, 1)
    standing = judged.store.decisions.decision(judged.candidate(1).run_id)
    assert standing.champion_version == 1
    assert standing.digest != GateDecision.from_json(stale.reports["gate"]).digest
    promoted = judged.store.trail.events(judged.model)[-1]
    assert (promoted.version, promoted.displaced, promoted.decision) == (2, 1, standing.digest)


def test_the_next_try_of_a_task_that_judged_again_finds_its_own_decision(
    judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = judged.decide(1, champion_version=None)
    promote_run(judged.spec, judged.decide(0), judged.context(0))

    def away(*_: Any, **__: Any) -> str:
        raise StoreUnavailableError([])

    with monkeypatch.context() as broken:
        broken.setattr("airflow_mlops.operators._card.write_card", away)
        with pytest.raises(StoreUnavailableError):
            promote_run(judged.spec, stale, judged.context(1))
    before = judged.kinds()
    promote_run(judged.spec, stale, judged.context(1))
    assert stale.reports["promote"]["promoted"] is True
    assert judged.kinds() == before == ["promoting", "promoted"] * 2


def test_a_second_stale_decision_is_refused(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = judged.decide(1, champion_version=None)
    promote_run(judged.spec, judged.decide(0), judged.context(0))
    made: list[GateDecision] = []

    def overtaken(*_: Any) -> GateDecision:
        made.append(GateDecision.from_json(judged.decide(1, champion_version=7).reports["gate"]))
        return made[-1]

    monkeypatch.setattr("airflow_mlops.operators._evaluate.judge", overtaken)
    with pytest.raises(AirflowFailException, match="made against version 7, but version 1 serves now"):
        promote_run(judged.spec, stale, judged.context(1))
    assert len(made) == 1
    assert judged.store.registry.alias(judged.model, "champion") == 1


def test_without_the_snapshot_a_stale_decision_is_refused(judged: Judged) -> None:
    stale = judged.decide(1, champion_version=None)
    promote_run(judged.spec, judged.decide(0), judged.context(0))
    with pytest.raises(AirflowFailException, match="clear the gate task of this run"):
        promote_run(judged.spec, stale, judged.context(1), snapshot=None)
    assert judged.store.registry.alias(judged.model, "champion") == 1


def test_what_a_person_approved_is_not_judged_again_behind_their_back(judged: Judged) -> None:
    stale = judged.decide(1, champion_version=None)
    promote_run(judged.spec, judged.decide(0), judged.context(0))
    with pytest.raises(AirflowFailException, match="no answer of a person"):
        promote_run(judged.spec, stale, judged.context(1), approval={"needed": False})
    assert judged.store.registry.alias(judged.model, "champion") == 1
    standing = judged.store.decisions.decision(judged.candidate(1).run_id)
    assert standing.digest == GateDecision.from_json(stale.reports["gate"]).digest


def test_a_version_that_was_replaced_keeps_the_decision_it_served_by(judged: Judged) -> None:
    first = judged.decide(0)
    promote_run(judged.spec, first, judged.context(0))
    promote_run(judged.spec, judged.decide(1, champion_version=1), judged.context(1))
    with pytest.raises(AirflowFailException, match="has served before and was replaced"):
        promote_run(judged.spec, first, judged.context(0))
    standing = judged.store.decisions.decision(judged.candidate(0).run_id)
    assert standing.digest == GateDecision.from_json(first.reports["gate"]).digest


def test_a_model_that_was_retired_by_the_command_is_not_trained(judged: Judged) -> None:
    promote_run(judged.spec, judged.decide(), judged.context())
    records, given = judged.store, {"by": "user:ada", "reason": "replaced by v2", "now": datetime.now(UTC)}
    retire(records.registry, records.trail, registered_model=judged.model, **given)
    with pytest.raises(AirflowSkipException, match="the model is retired, .*: replaced by v2"):
        SnapshotOperator(task_id="snapshot", spec=judged.spec).execute(judged.context())
    with pytest.raises(AirflowFailException, match="model_retired"):
        promote_run(judged.spec, judged.decide(1, champion_version=1), judged.context(1))
    retire(records.registry, records.trail, registered_model=judged.model, undo=True, **given)
    assert SnapshotOperator(task_id="snapshot", spec=judged.spec).execute(judged.context()) is not None
