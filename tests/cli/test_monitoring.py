"""`airflow mlops monitoring` tells of windows that a real loop watched, in a real MLflow."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from airflow_mlops.cli.monitoring import monitoring
from airflow_mlops.operators import RetrainOperator
from airflow_mlops.sensors import DriftSensor
from airflow_mlops.spec import ModelSpec
from tests.support.loop import AS_OF, context_of, rows, run_loop, specification

SOUND, DRIFTED = AS_OF + timedelta(days=7), AS_OF + timedelta(days=14)


def ask(model: str, last: int = 10, *, as_json: bool = False) -> int:
    """Run the command; return its exit status."""
    try:
        monitoring(Namespace(model=model, last=last, json=as_json, conn_id="mlflow_default"))
    except SystemExit as ended:
        return int(str(ended.code))
    return 0


@pytest.fixture
def watched(loop_home: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """A champion, a week like those before it, and a week of higher loads."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    frames = [rows()]
    for week, change in ((1, 0.0), (2, 2.0)):
        later = rows(700, seed=1 + week, days=7)
        later["ordered_at"] += timedelta(days=7 * week)
        later["order_id"] = f"w{week}" + later["order_id"]
        later["load"] += change
        frames.append(later)
    pd.concat(frames).to_parquet(loop_home / "orders.parquet", index=False)
    monitored = {"window": "7d", "drift": {"min_rows": 100, "violations": 1}}
    changes = {"monitoring": monitored, "retraining": {"cooldown": "1d"}, "name": "told_by_command"}
    spec = ModelSpec.model_validate(specification("orders.parquet", **changes))
    run_loop(spec)
    return spec


def watch(spec: ModelSpec, run_id: str, as_of: object) -> None:
    context = context_of(run_id, as_of, dag_id=f"{spec.name}.monitor")  # type: ignore[arg-type]
    report = DriftSensor(task_id="drift", spec=spec, wait_for="window").execute(context)
    RetrainOperator(task_id="retrain", spec=spec, drift=report).execute(context)


def test_what_was_seen_and_decided_is_told_with_its_reasons(
    watched: ModelSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    name = watched.name
    capsys.readouterr()
    assert ask(name) == 0
    assert "nothing was watched yet" in capsys.readouterr().out

    with pytest.raises(AirflowSkipException):
        watch(watched, "sound", SOUND)
    watch(watched, "drifted", DRIFTED)
    capsys.readouterr()
    assert ask(name) == 0
    said = capsys.readouterr().out
    newest, before = said.splitlines()[2:4]
    assert newest.split() == ["2026-03-15", "00:00", "v1", "drift", "not", "watched", "retrain", "signal"]
    assert before.split() == ["2026-03-08", "00:00", "v1", "ok", "not", "watched", "wait", "none"]
    assert "as of 2026-03-15 00:00:\n  drift: drift\n    " in said
    assert "  decision: retrain\n    " in said
    assert "load" in said

    assert ask(name, 1, as_json=True) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["champion"], one["drift"]["verdict"], one["performance"]) == (1, "drift", None)
    assert (one["decision"]["action"], one["decision"]["rule"]) == ("retrain", "signal")
    assert one["decision"]["reasons"]


def test_what_cannot_be_told_is_one_sentence(
    loop_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    assert ask("nobody_knows_it") == 1
    assert "nobody_knows_it" in capsys.readouterr().err
    assert ask("nobody_knows_it", 0) == 1
    assert capsys.readouterr().err == "--last: found 0; allowed: a number from 1; leave it out to mean 10\n"
