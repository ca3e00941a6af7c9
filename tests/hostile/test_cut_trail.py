"""Somebody cuts off the newest events of an audit trail, or writes the whole trail anew: its heads tell."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.cli.history import history
from airflow_mlops.cli.verify import verify
from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion import verify_trail
from airflow_mlops.core.promotion.audit_chain import following
from airflow_mlops.core.promotion.audit_state import fold
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.hooks.mlflow import MLflowHook
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.audit_trail import AUDIT, TRAIL
from airflow_mlops.stores.mlflow.seals import SealKeys, read_keys
from airflow_mlops.stores.mlflow.store import MLflowStore
from airflow_mlops.stores.mlflow.trail_heads import HEAD, TrailHead
from tests.support.loop import AS_OF, context_of, judge_loop, promote_run, rows, run_loop, specification

SECRET = "canary-of-a-seal-secret-1"


@pytest.fixture
def store(mlflow_uri: str) -> MLflowStore:
    return MLflowStore.connect(mlflow_uri)


def specified(home: Path, request: pytest.FixtureRequest) -> ModelSpec:
    rows(days=90).to_parquet(home / "orders.parquet")
    name = "cut_" + "".join(c if c.isalnum() else "_" for c in str(request.node.name).lower())[-40:]
    return ModelSpec.model_validate({**specification("orders.parquet"), "name": name})


def replace_trail(store: MLflowStore, model: str, events: Sequence[AuditEvent]) -> None:
    """Put another run in the place of the trail's, as who may write to MLflow can: parameters are written once."""
    client: Any = store._client
    experiment = client.get_experiment_by_name(f"{AUDIT.experiment}{model}")
    home = client.get_experiment_by_name(AUDIT.runs).experiment_id
    run = client.create_run(home, tags={AUDIT.model_tag: model}).info.run_id
    for event in events:
        client.log_param(run, f"event.{event.number:06d}", json.dumps(event.to_json()))
    client.set_experiment_tag(experiment.experiment_id, TRAIL, run)
    client.set_registered_model_tag(model, TRAIL, run)


def witness(home: Path, model: str) -> Path:
    return home / "storage" / "audit" / f"{model}.json"


def found_out(home: Path, store: MLflowStore, spec: ModelSpec, capsys: pytest.CaptureFixture[str]) -> None:
    """Verify says so, and nothing is promoted."""
    model = spec.registered_model
    asked: dict[str, Any] = {"models": [model], "json": False, "conn_id": "mlflow_default"}
    with pytest.raises(SystemExit):
        verify(Namespace(**asked))
    assert "audit_broken" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        history(Namespace(model=model, verify=True, json_lines=False, file=None, conn_id="mlflow_default"))
    with MLflowHook().records() as records:
        problems = verify_trail(records.registry, records.trail, model)
    assert [problem.code for problem in problems] == [ReasonCode.AUDIT_BROKEN]
    with pytest.raises(AirflowFailException, match="audit_broken"):
        run_loop(spec, AS_OF)


def test_each_event_is_kept_in_both_places(loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore) -> None:
    spec = specified(loop_home, request)
    run_loop(spec, AS_OF - timedelta(days=9))
    events = store.trail.events(spec.registered_model)
    assert len(events) == 2
    kept = [json.loads(witness(loop_home, spec.registered_model).read_text())]
    kept.append(json.loads(store.registry.model_tags(spec.registered_model)[HEAD]))
    assert [(one["number"], one["digest"]) for one in kept] == [(2, events[-1].digest)] * 2


@pytest.mark.parametrize("also_the_tag", [False, True])
def test_a_trail_whose_last_events_were_cut_off_is_found_out(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, capsys: pytest.CaptureFixture[str],
    also_the_tag: bool,
) -> None:  # fmt: skip
    spec = specified(loop_home, request)
    model = spec.registered_model
    run_loop(spec, AS_OF - timedelta(days=9))
    before = store.registry.model_tags(model)[HEAD]
    run_loop(spec, AS_OF - timedelta(days=4))
    events = store.trail.events(model)
    replace_trail(store, model, events[:2])
    if also_the_tag:
        store._client.set_registered_model_tag(model, HEAD, before)
    else:
        witness(loop_home, model).unlink()
    found_out(loop_home, store, spec, capsys)


def test_a_trail_that_was_written_anew_is_found_out_by_the_witness(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same moves, in another person's name, as a chain of its own, with a tag to fit."""
    spec = specified(loop_home, request)
    model = spec.registered_model
    run_loop(spec, AS_OF - timedelta(days=9))
    forged: list[AuditEvent] = []
    for event in store.trail.events(model):
        fields = {"kind": event.kind, "version": event.version, "displaced": event.displaced}
        rest = {"decision": event.decision, "model_digest": event.model_digest}
        forged.append(
            following(fold(forged), model=model, at=event.at, by="user:mallory", reason=event.reason, **fields, **rest)
        )
    replace_trail(store, model, forged)
    store._client.set_registered_model_tag(model, HEAD, TrailHead.of(forged, model, SealKeys()).to_text())
    found_out(loop_home, store, spec, capsys)


def take_away(store: MLflowStore, home: Path, model: str) -> None:
    shutil.rmtree(home / "storage" / "audit")
    store._client.delete_registered_model_tag(model, HEAD)


def change(store: MLflowStore, home: Path, model: str) -> None:
    file = witness(home, model)
    file.write_text(file.read_text().replace('"number": 2', '"number": 1'))


def forge_plainly(store: MLflowStore, home: Path, model: str) -> None:
    """Who may write to MLflow and to the storage, and has no key, forges both heads."""
    head = json.loads(witness(home, model).read_text())
    plain = SealKeys().seal(f"trail of {model}", f"{head['number']}:{head['digest']}")
    text = json.dumps(head | {"seal": plain})
    witness(home, model).write_text(text)
    store._client.set_registered_model_tag(model, HEAD, text)


LOST: dict[str, Callable[[MLflowStore, Path, str], None]] = {
    "both heads": take_away, "plain heads": forge_plainly, "a changed head": change
}  # fmt: skip


@pytest.mark.parametrize("lost", LOST)
def test_with_a_key_heads_cannot_be_taken_away_or_forged(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setenv("AIRFLOW__MLOPS__SEAL_SECRET", f"k1:{SECRET}")
    spec = specified(loop_home, request)
    run_loop(spec, AS_OF - timedelta(days=9))
    LOST[lost](store, loop_home, spec.registered_model)
    with pytest.raises(AirflowFailException, match=r"seal_refused|audit_broken"):
        run_loop(spec, AS_OF)


def test_a_trail_that_is_longer_than_its_heads_is_no_fault_and_is_put_right(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed between an event and its head."""
    spec = specified(loop_home, request)
    model = spec.registered_model
    run_loop(spec, AS_OF - timedelta(days=9))
    old = witness(loop_home, model).read_text()
    tag = store.registry.model_tags(model)[HEAD]
    run = judge_loop(spec, AS_OF - timedelta(days=4))
    promote_run(spec, run, context_of(run.run_id, AS_OF - timedelta(days=4)))
    witness(loop_home, model).write_text(old)
    store._client.set_registered_model_tag(model, HEAD, tag)
    verify(Namespace(models=[model], json=False, conn_id="mlflow_default"))
    said = capsys.readouterr().out
    assert "knows event 2 of" in said
    assert "whole" in said
    run_loop(spec, AS_OF - timedelta(days=1))
    verify(Namespace(models=[model], json=False, conn_id="mlflow_default"))
    assert "knows event" not in capsys.readouterr().out


def test_an_event_that_is_written_while_a_trail_is_read_is_no_cut(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore
) -> None:
    """Heads are asked for first: what comes later is in the trail, and not in what was known of it."""
    spec = specified(loop_home, request)
    model = spec.registered_model
    run_loop(spec, AS_OF - timedelta(days=9))
    early, late = MLflowStore.connect(store.ui_url), MLflowStore.connect(store.ui_url)
    known, before = early.trail.heads.known(model), early.trail.events(model)
    run_loop(spec, AS_OF - timedelta(days=1))
    after = late.trail.events(model)
    assert len(after) > len(before) == 2
    early.trail.heads.require(model, after, known)
    with pytest.raises(RecordError, match="were cut off"):
        early.trail.heads.require(model, before, MLflowStore.connect(store.ui_url).trail.heads.known(model))


def test_with_a_key_a_kill_after_the_first_event_is_no_missing_head(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = f"k1:{SECRET}"
    monkeypatch.setenv("AIRFLOW__MLOPS__SEAL_SECRET", keys)
    spec = specified(loop_home, request)
    model = spec.registered_model
    run_loop(spec, AS_OF - timedelta(days=9))
    none_yet = TrailHead.of((), model, read_keys(keys)).to_text()
    witness(loop_home, model).write_text(none_yet)
    store._client.set_registered_model_tag(model, HEAD, none_yet)
    run_loop(spec, AS_OF - timedelta(days=1))
    assert json.loads(witness(loop_home, model).read_text())["number"] > 2
