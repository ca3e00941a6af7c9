"""`airflow mlops verify` and `seal`: what they say of models that the loop never registered, and as JSON."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from airflow_mlops.cli.seal import seal
from airflow_mlops.cli.verify import verify
from airflow_mlops.core.records.decision import GateDecision
from tests.support.judged_runs import Judged
from tests.support.loop import promote_run


def test_a_name_that_nobody_knows_is_a_problem(loop_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        verify(Namespace(models=["no_such_model"], json=False, conn_id="mlflow_default"))
    assert "no audit trail" in capsys.readouterr().err


def test_a_model_that_is_whole_as_json(judged: Judged, capsys: pytest.CaptureFixture[str]) -> None:
    decision = GateDecision.from_json(judged.runs[0].reports["gate"])
    judged.store.decisions.record_decision(decision.run_id, decision)  # whatever tests of the same run have recorded
    promote_run(judged.spec, judged.runs[0], judged.context())
    capsys.readouterr()
    verify(Namespace(models=[judged.model], json=True, conn_id="mlflow_default"))
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["model"], one["events"], one["versions"], one["problems"]) == (judged.model, 2, [1], [])


def test_sealing_needs_a_key_and_a_model(
    loop_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Namespace(models=["no_such_model"], conn_id="mlflow_default")
    for keys, said in (("", "no key to seal with"), ("k1:a-secret-of-many-letters", "no audit trail")):
        monkeypatch.setenv("AIRFLOW__MLOPS__SEAL_SECRET", keys)
        with pytest.raises(SystemExit):
            seal(asked)
        assert said in capsys.readouterr().err
