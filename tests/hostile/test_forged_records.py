"""Who may write to MLflow writes a record and its seal: a verdict against its rules, a seal without the key."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.cli.seal import seal
from airflow_mlops.cli.verify import verify
from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.hooks.mlflow import MLflowHook
from airflow_mlops.operators import ScoreOperator
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.candidates import CANDIDATE, CANDIDATE_SEAL
from airflow_mlops.stores.mlflow.decisions import DECISION, DECISION_SEAL
from airflow_mlops.stores.mlflow.lineage import PROFILE, PROFILE_SEAL, SNAPSHOT, SPEC_SEAL
from airflow_mlops.stores.mlflow.store import MLflowStore
from airflow_mlops.stores.model_files.digest import digest_folder
from tests.support.loop import Run, context_of, judge_loop, promote_run, rows, run_loop, specification
from tests.support.tampering import rewrite_plain, rewrite_sealed, stored_files, swap_model

SECRET, NEWER = "canary-of-a-seal-secret-1", "canary-of-a-seal-secret-2"
HIGH = {"absolute": [{"metric": "roc_auc", "min": 0.99}]}


def specified(home: Path, request: pytest.FixtureRequest, **gate: Any) -> ModelSpec:
    rows().to_parquet(home / "orders.parquet")
    name = "forged_" + "".join(c if c.isalnum() else "_" for c in str(request.node.name).lower())[-40:]
    body = specification("orders.parquet")
    return ModelSpec.model_validate({**body, "name": name, "gate": {**body["gate"], **gate}})


@pytest.fixture
def store(mlflow_uri: str) -> MLflowStore:
    return MLflowStore.connect(mlflow_uri)


@pytest.fixture
def with_key(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_key(keys: str = f"k1:{SECRET}", until: str = "") -> None:
        monkeypatch.setenv("AIRFLOW__MLOPS__SEAL_SECRET", keys)
        monkeypatch.setenv("AIRFLOW__MLOPS__SEAL_UNKEYED_UNTIL", until)

    return set_key


def accept(text: str) -> str:
    return text.replace('"verdict": "reject"', '"verdict": "accept"', 1)


def accept_all(text: str) -> str:
    body = json.loads(text)
    body["verdict"] = body["would"] = "accept"
    for rule in body["evaluation"]["rules"]:
        rule["verdict"], rule["code"] = "accept", None
    return json.dumps(body)


def take_out(text: str) -> str:
    body = json.loads(text)
    body["verdict"] = body["would"] = "accept"
    body["evaluation"]["rules"] = [rule for rule in body["evaluation"]["rules"] if rule["verdict"] == "accept"]
    return json.dumps(body)


def only_record(text: str) -> str:
    body = json.loads(text)
    body["verdict"] = "accept"
    for rule in body["evaluation"]["rules"]:
        rule["enforced"] = rule["verdict"] == "accept"
    return json.dumps(body)


FORGERIES = {"verdict": accept, "every verdict": accept_all, "no rule": take_out, "recorded only": only_record}


def forged(store: MLflowStore, run: Run, change: Callable[[str], str]) -> Run:
    """Rewrite the decision and its seal in MLflow, and hand the forged one along, as a compromised worker might."""
    run_id = run.reports["gate"]["run_id"]
    rewrite_sealed(store, run_id, DECISION, DECISION_SEAL, change, **{"mlops.verdict": "accept"})
    text = store.artifacts.read_text(run_id, DECISION)
    return Run(run.run_id, {**run.reports, "gate": GateDecision.from_json(text).to_json()})


@pytest.mark.parametrize("how", FORGERIES)
def test_a_verdict_against_its_rules_promotes_nobody(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, how: str
) -> None:
    spec = specified(loop_home, request, **HIGH)
    run = judge_loop(spec)
    assert run.reports["gate"]["verdict"] == "reject"
    with pytest.raises(AirflowFailException, match="decision_contradictory"):
        promote_run(spec, forged(store, run, FORGERIES[how]), context_of(run.run_id))
    assert store.registry.alias(spec.registered_model, "champion") is None
    assert store.trail.events(spec.registered_model) == ()


def lie(text: str) -> str:
    """A forgery that no rule contradicts: other numbers, and a bound that they meet."""
    body = json.loads(accept_all(text))
    for rule in body["evaluation"]["rules"]:
        rule["value"] = 0.999 if rule["rule"] == "absolute" else rule["value"]
    return json.dumps(body)


@pytest.mark.parametrize("keyed", [False, True])
def test_a_whole_lie_needs_the_key(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, with_key: Callable[..., None], keyed: bool
) -> None:
    """What is not promised without a key, and is with one."""
    if keyed:
        with_key()
    spec = specified(loop_home, request, **HIGH)
    run = judge_loop(spec)
    fake = forged(store, run, lie)
    if keyed:
        with pytest.raises(AirflowFailException, match="a seal without a key"):
            promote_run(spec, fake, context_of(run.run_id))
        assert store.registry.alias(spec.registered_model, "champion") is None
    else:
        promote_run(spec, fake, context_of(run.run_id))
        assert store.registry.alias(spec.registered_model, "champion") == 1


def test_with_a_key_the_whole_loop_runs_and_every_seal_is_keyed(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, with_key: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with_key()
    spec = specified(loop_home, request)
    run = run_loop(spec)
    assert run.reports["promote"]["promoted"]
    assert ScoreOperator(task_id="s", spec=spec).execute(context_of("s", dag_id="x.score"))["version"] == 1
    tags = store.artifacts.tags_of(run.reports["train"]["run_id"])
    seals = {name: value for name, value in tags.items() if name.endswith("_digest")}
    assert len(seals) >= 7
    assert {value.split(":")[:2] == ["hmac-sha256", "k1"] for value in seals.values()} == {True}
    verify(Namespace(models=[spec.registered_model], json=False, conn_id="mlflow_default"))
    said = capsys.readouterr().out
    assert "whole: 2 events, versions 1" in said
    assert "note" not in said
    # Who does not have the key can tell nothing, and believes nothing.
    with pytest.raises(RecordError, match="key 'k1', which this process does not have"):
        store.candidates.candidate(run.reports["train"]["run_id"])


def longer(text: str) -> str:
    return f"{text} "


REWRITES: dict[str, Callable[[MLflowStore, str], None]] = {
    "candidate": lambda store, run_id: rewrite_sealed(store, run_id, CANDIDATE, CANDIDATE_SEAL, longer),
    "profile": lambda store, run_id: rewrite_sealed(store, run_id, PROFILE, PROFILE_SEAL, longer),
    "profile without its seal": lambda store, run_id: store._client.delete_tag(run_id, PROFILE_SEAL),
    "specification without its seal": lambda store, run_id: store._client.delete_tag(run_id, SPEC_SEAL),
    "manifest": lambda store, run_id: rewrite_plain(store, run_id, SNAPSHOT, longer),
}


@pytest.mark.parametrize("what", REWRITES)
def test_with_a_key_no_record_is_rewritten_unseen(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, with_key: Callable[..., None], what: str
) -> None:
    with_key()
    spec = specified(loop_home, request)
    run = judge_loop(spec)
    run_id = run.reports["train"]["run_id"]
    REWRITES[what](store, run_id)
    with MLflowHook().records() as records:
        readers = (
            records.candidates.candidate, records.lineage.profile, records.lineage.spec_of, records.lineage.snapshot_of
        )  # fmt: skip
        refused = 0
        for read in readers:
            try:
                read(run_id)
            except RecordError as error:
                refused += 1
                assert {problem.code for problem in error.problems} <= {  # noqa: PT017 - exactly one of four refuses
                    ReasonCode.SEAL_REFUSED, ReasonCode.RECORD_CONFLICT,
                }  # fmt: skip
        assert refused == 1


def test_a_seal_of_another_run_is_none(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, with_key: Callable[..., None]
) -> None:
    """A genuine accepting decision, with its genuine keyed seal, carried to another run."""
    with_key()
    spec = specified(loop_home, request)
    one, other = judge_loop(spec), judge_loop(spec)
    source, target = (run.reports["train"]["run_id"] for run in (one, other))
    store.artifacts.write_text(target, DECISION, store.artifacts.read_text(source, DECISION))
    store._client.set_tag(target, DECISION_SEAL, store.artifacts.tags_of(source)[DECISION_SEAL])
    with MLflowHook().records() as records, pytest.raises(RecordError, match="is not what the run's tag"):
        records.decisions.decision(target)


def test_what_was_sealed_before_there_were_keys_is_accepted_until_then_and_sealed_by_a_command(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, with_key: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    spec = specified(loop_home, request)
    run_loop(spec)
    asked = Namespace(models=[spec.registered_model], json=False, conn_id="mlflow_default")
    scored = iter(range(9))

    def score() -> Any:
        run_id = f"s{next(scored)}"
        return ScoreOperator(task_id="s", spec=spec).execute(context_of(run_id, dag_id="x.score"))["version"]

    with_key()
    with pytest.raises(AirflowFailException, match="airflow mlops seal"):
        score()
    with pytest.raises(SystemExit):
        seal(asked)
    with_key(until="2099-01-01T00:00:00+00:00")
    assert score() == 1
    verify(asked)
    assert "seals that are not of the newest key, accepted until 2099-01-01" in capsys.readouterr().out
    seal(asked)
    with_key()
    assert score() == 1
    verify(asked)
    assert "note" not in capsys.readouterr().out.split("seals made anew")[-1]
    # Rotated: the older key still verifies, until everything is sealed with the newer one.
    with_key(f"k2:{NEWER},k1:{SECRET}")
    assert score() == 1
    seal(asked)
    with_key(f"k2:{NEWER}")
    assert score() == 1
    verify(asked)
    assert capsys.readouterr().out.rstrip().endswith("versions 1")


def test_a_champion_whose_record_and_seal_were_replaced_is_told_by_the_trail(
    loop_home: Path, request: pytest.FixtureRequest, store: MLflowStore, tmp_path: Path
) -> None:
    """Without a key, too: model, candidate and decision are rewritten whole, but events are written once."""
    spec = specified(loop_home, request)
    run = run_loop(spec)
    candidate = store.candidates.candidate(run.reports["train"]["run_id"])
    swap_model(store, candidate, tmp_path / "evil")
    digest = digest_folder(stored_files(store, candidate, tmp_path / "now"))
    for path, tag in ((CANDIDATE, CANDIDATE_SEAL), (DECISION, DECISION_SEAL)):
        rewrite_sealed(store, candidate.run_id, path, tag, lambda text: text.replace(candidate.model_digest, digest))
    assert store.load_pipeline(candidate.model_uri, spec=spec) is not None
    with pytest.raises(AirflowFailException, match="model_altered"):
        ScoreOperator(task_id="s", spec=spec).execute(context_of("s", dag_id="x.score"))
    with pytest.raises(SystemExit):
        verify(Namespace(models=[spec.registered_model], json=True, conn_id="mlflow_default"))


def test_the_secret_is_nowhere(
    loop_home: Path, request: pytest.FixtureRequest, with_key: Callable[..., None], capfd: pytest.CaptureFixture[str],
    mlflow_uri: str,
) -> None:  # fmt: skip
    """Not in what the loop writes, in a log, in a refusal's traceback, or in the configuration that Airflow shows."""
    with_key()
    spec = specified(loop_home, request)
    run = run_loop(spec)
    with_key(f"k9:{SECRET}-other")
    with pytest.raises(AirflowFailException) as error:
        ScoreOperator(task_id="s", spec=spec).execute(context_of("s", dag_id="x.score"))
    chain, at = [], error.value
    while at is not None:
        chain.append(repr(at))
        at = at.__cause__ or at.__context__  # type: ignore[assignment]
    assert len(chain) > 1
    with_key()
    shown = subprocess.run(
        [sys.executable, "-m", "airflow", "config", "list", "--section", "mlops"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "seal_secret" in shown.stdout
    stored = MLflowStore.connect(mlflow_uri)
    tags = stored.artifacts.tags_of(run.reports["train"]["run_id"])
    files = [file.read_bytes() for file in loop_home.rglob("*") if file.is_file() and file.suffix != ".parquet"]
    assert len(files) > 1
    texts = [*chain, *tags.values(), json.dumps(run.reports), *capfd.readouterr(), shown.stdout, shown.stderr]
    assert not [text[:200] for text in texts if SECRET in text]
    assert not [content[:80] for content in files if SECRET.encode() in content]
