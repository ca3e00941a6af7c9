"""Small real uses of what the pages of docs/extending add: run in a copy of the repository in which it was added.

Here none of it exists; so each is named by the words of a specification, and not imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from airflow.sdk import DAG
from pyarrow import feather

from airflow_mlops import operators, provider
from airflow_mlops.core.gate.decide import advice_of, decide
from airflow_mlops.core.gate.evaluate import evaluate
from airflow_mlops.core.gate.sections import sections_of
from airflow_mlops.core.monitoring.drift.compare import compare
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.retraining import MonitoringInput
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.training.fit import fit
from airflow_mlops.spec.data import FileSource
from airflow_mlops.spec.monitoring import DriftSpec
from airflow_mlops.stores.open_source import open_source
from tests.support import compared_windows as windows
from tests.support import decisions
from tests.support import retraining_decisions as retraining
from tests.support import validated_rows as validated
from tests.support.core_loop import LOGISTIC, SERVED, Loop
from tests.support.loop import AS_OF
from tests.support.retrain_cases import DAY, NOW, performance


def judged(gate: dict[str, Any], estimator: str, kind: str) -> tuple[GateDecision, np.ndarray]:
    """Train and judge a first model; return the decision, and the errors of its predictions on the judged rows."""
    loop = Loop()
    spec, frame = loop.spec(estimator, gate=gate), loop.frame(4000, kind=kind)
    snapshot = loop.snapshot(spec, frame)
    fitted = fit(spec, snapshot, frame)
    candidate = loop.candidate(fitted)
    found = evaluate(spec, candidate, fitted.pipeline, None, None, frame, snapshot=snapshot, served=SERVED)
    values = predict(fitted.pipeline, fitted.holdout_frame, candidate).values
    errors = np.asarray(fitted.holdout_labels, dtype=float) - np.asarray(values, dtype=float)
    return decide(spec, candidate, found, now=loop.as_of), errors


def metric() -> None:
    """The gate decides by it, and its value is the formula's; each model has that of its kind."""
    decision, errors = judged({"primary": "log_cosh"}, "sklearn.linear_model.Ridge", "regression")
    assert decision.verdict is Verdict.ACCEPT, decision.reasons
    assert decision.evaluation.primary == "log_cosh"
    assert np.isclose(decision.evaluation.candidate_metrics["log_cosh"], np.log(np.cosh(errors)).mean())
    values = judged({"primary": "jaccard"}, LOGISTIC, "binary")[0].evaluation.candidate_metrics
    assert np.isclose(values["jaccard"], values["f1"] / (2 - values["f1"]))


def gate_rule() -> None:
    """It rejects a candidate that an otherwise equal specification accepts, advises, and shows what it saw."""
    verdicts = {most: judged({"size": {"max_features": most}}, LOGISTIC, "binary")[0] for most in (2, 3)}
    assert [found.verdict for found in verdicts.values()] == [Verdict.REJECT, Verdict.ACCEPT]
    assert "gate.size.max_features allows 2" in verdicts[2].reasons[0]
    assert advice_of(verdicts[2]) == ("Take out features that the model does not need, or raise the bound.",)
    spec = Loop().spec(LOGISTIC, gate={"size": {"max_features": 2}})
    found = {part.key: part for part in sections_of(spec, decisions.candidate(), verdicts[2])}
    assert found["size"].facts == {"numeric features": "2", "categorical": "1"}


def effect_size() -> None:
    """A column that drifts does so by it, and the report has its value."""
    rng = np.random.default_rng(3)
    before = windows.reference(windows.normal(rng, 20_000))
    now = windows.window(before, windows.normal(rng, 5000, shift=1.0, shifted=1))
    report = compare(before, now, DriftSpec(effect="hellinger"), champion_version=1, as_of=windows.AS_OF)
    assert [column.column for column in report.columns if column.verdict == "drift"] == ["x0"]
    (drifted,) = (column for column in report.columns if column.column == "x0")
    assert 0.2 < drifted.hellinger < 0.5  # type: ignore[attr-defined]  # of two normals: sqrt(1 - exp(-1/8)) = 0.34
    assert "Hellinger distance" in drifted.reason


def retraining_rule() -> None:
    """Decay retrains within the week, and waits for the Monday after."""
    days = [NOW + day * DAY for day in range(7)]
    decided = {
        at.isoweekday(): retraining.decide(MonitoringInput(performance=performance(at=at)), as_of=at, on_weekends=False)
        for at in days
    }
    assert len(decided) == 7
    assert {day for day, one in decided.items() if one.action == "retrain"} == {1, 2, 3, 4, 5}
    assert {decided[day].rule for day in (6, 7)} == {"weekend"}


def expectation() -> None:
    """A specification asks for it; rows with a constant column break it, and others do not."""
    asked = {"validation": [{"expect": "not_constant", "columns": ["distance", "carrier"]}]}
    assert validated.check(validated.frame(), **asked).passed
    report = validated.check(validated.frame(carrier="UA"), **asked)
    broken = [check for check in report.checks if not check.passed]
    assert [(check.expectation, check.column, check.unexpected) for check in broken] == [
        ("not_constant", "carrier", validated.ROWS)
    ]


def store() -> None:
    """A specification names such a file, and its rows of a window come out."""
    source = FileSource(path="orders.arrow")
    with TemporaryDirectory() as folder:
        at = [AS_OF + timedelta(hours=hours) for hours in range(4)]
        feather.write_feather(pa.table({"at": at, "x": [1.0, 2.0, 3.0, 4.0]}), f"{folder}/orders.arrow")
        opened = open_source(source, data_root=folder)
        batches = list(opened.read(Window(start=at[1], end=at[3]), "at", ["x"]))
    assert [value for batch in batches for value in batch.column("x").to_pylist()] == [2.0, 3.0]
    assert FileSource(path="orders", format="arrow").format == "arrow"


def operator() -> None:
    """Airflow is told of its module, and a DAG file has it by its name."""
    (listed,) = provider.get_provider_info()["operators"]
    assert "airflow_mlops.operators.source" in listed["python-modules"]
    with DAG("d", schedule=None) as dag:
        operators.SourceColumnsOperator(task_id="columns", spec="dags/models/flight_delay.yaml")
    assert dag.task_ids == ["columns"]


def command() -> None:
    """Airflow's own program runs it."""
    words = [sys.executable, "-m", "airflow", "mlops", "metrics", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    rows = {row["metric"]: row for row in json.loads(done.stdout[done.stdout.index("[\n") :])}
    assert rows["log_loss"] == {"metric": "log_loss", "task": "classification", "better": "less"}
