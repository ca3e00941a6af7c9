"""`airflow mlops reproduce` on versions that a real loop trained, recorded and registered in a real MLflow."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from airflow_mlops.cli.reproduce import reproduce
from airflow_mlops.hooks.mlflow import MLflowHook
from airflow_mlops.spec import ModelSpec
from airflow_mlops.stores.mlflow.lineage import ENVIRONMENT_SEAL, GOLDEN_SEAL
from tests.support.loop import rows, run_loop, specification

pytestmark = [
    # mlflow.pyfunc warns about its own type hints while it is imported
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
LOGISTIC = {"estimator": "sklearn.linear_model.LogisticRegression"}
HISTOGRAM = {"estimator": "sklearn.ensemble.HistGradientBoostingClassifier", "parameters": {"max_iter": 20}}


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model of its own for each test: the MLflow server is shared."""
    return f"orders_{abs(hash(request.node.name)) % 10**9}"


@pytest.fixture(autouse=True)
def _as_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command sets for its own process ends with the test."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")


def trained(home: Path, name: str, training: dict[str, Any]) -> str:
    """Run the loop once; return the MLflow run of version 1."""
    rows(1500).to_parquet(home / "orders.parquet")
    done = run_loop(ModelSpec.model_validate(specification("orders.parquet", name=name, training=training)))
    assert done.reports["promote"]["version"] == 1
    return str(done.reports["train"]["run_id"])


def command(name: str, version: int = 1, *, as_json: bool = False) -> int:
    try:
        reproduce(Namespace(model=name, version=version, conn_id="mlflow_default", json=as_json))
    except SystemExit as ended:
        return int(str(ended.code))
    return 0


def test_a_version_that_is_trained_again_is_identical(
    loop_home: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(loop_home, name, HISTOGRAM)
    capsys.readouterr()
    with MLflowHook().records() as records:
        before = (
            records.registry.version_tags(name, 1),
            records.registry._versions_of(name, records.candidates.candidate_of(name, 1).run_id),
        )
    assert command(name) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{name} version 1: identical: training again gives the same predictions, bit for bit"
    assert said[1] == "  golden batch, recorded predictions and new model: 200 rows, identical"
    assert said[2].startswith("  whole holdout, stored model and new one: ")
    assert said[2].endswith(" rows, identical")
    with MLflowHook().records() as records:
        after = (
            records.registry.version_tags(name, 1),
            records.registry._versions_of(name, records.candidates.candidate_of(name, 1).run_id),
        )
    assert [after[0], len(after[1])] == [before[0], len(before[1])]  # nothing was registered


def test_what_differs_is_said_and_the_record_is_json(
    loop_home: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = trained(loop_home, name, LOGISTIC)
    with MLflowHook().records() as records:
        text = records.artifacts.read_text(run_id, "environment.txt")
        lines = [line for line in text.splitlines() if not line.startswith("scipy==")]
        text = "\n".join([*lines, "numpy==1.0.0", "gone==1.2"]) + "\n"
        records.artifacts.write_sealed(run_id, "environment.txt", text, ENVIRONMENT_SEAL, {})
        records._client.set_tag(run_id, "mlflow.source.git.commit", "f" * 40)
    capsys.readouterr()
    assert command(name, as_json=True) == 0  # other packages are listed there, and the same model comes out here
    record = json.loads(capsys.readouterr().out)
    assert (record["kind"], record["verdict"]) == ("Reproduction", "identical")
    assert [(part["differing"], part["max_difference"]) for part in record["comparisons"]] == [(0, 0.0), (0, 0.0)]
    found = {change["what"]: (change["recorded"], change["now"]) for change in record["differences"]}
    assert found["package numpy"][0] == "1.0.0"
    assert found["package gone"] == ("1.2", "not installed")
    assert found["package scipy"][0] == "not installed"
    assert found["commit of the DAG folder"] == ("f" * 40, "no git repository")
    assert set(found) == {"package numpy", "package gone", "package scipy", "commit of the DAG folder"}


def test_another_seed_and_another_model_are_told(
    loop_home: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import hashlib

    forest = {"estimator": "sklearn.ensemble.RandomForestClassifier", "parameters": {"n_estimators": 10}}
    run_id = trained(loop_home, name, forest)
    with MLflowHook().records() as records:
        text = records.artifacts.read_text(run_id, "spec.json").replace('"seed": 42', '"seed": 43')
        seal = {"mlops.spec_digest": hashlib.sha256(text.encode()).hexdigest()}
        records.artifacts.write_sealed(run_id, "spec.json", text, "mlops.spec_digest", seal)
        records._client.delete_tag(run_id, GOLDEN_SEAL)  # and a run of before there were golden batches
    capsys.readouterr()
    assert command(name) == 1
    answer = capsys.readouterr()
    assert f"{name} version 1: different: training again gives other predictions" in answer.out
    assert "    seed: 42, now 43" in answer.out
    assert "    specification: " in answer.out
    assert " differ, by 0." in answer.out
    assert "has no golden batch" in answer.err


def test_a_snapshot_that_was_changed_or_is_gone_is_told(
    loop_home: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow.parquet as pq

    trained(loop_home, name, LOGISTIC)
    (file,) = (loop_home / "storage").glob(f"snapshots/{name}/*/data.parquet")
    table = pq.read_table(file).to_pandas()
    table.loc[5, "load"] += 1e-9
    table.to_parquet(file)
    capsys.readouterr()
    assert command(name) == 2
    said = capsys.readouterr().out
    assert f"{name} version 1: could not be trained again" in said
    assert "rows with fingerprint" in said
    file.unlink()
    assert command(name) == 2
    assert "no file" in capsys.readouterr().out


def test_a_version_that_does_not_exist_is_told(loop_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("nobody", 3) == 2
    assert "nobody version 3: found no such version" in capsys.readouterr().err
