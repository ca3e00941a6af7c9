"""The whole gate: every rule on, 50,000 holdout rows, 40 slices, the stored model served in a fresh interpreter."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from benchmarks.child import enter_loop_home, in_child
from benchmarks.report import Table

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
GOAL_SECONDS = 5.0
MODEL = "bench"


def measure(holdout_rows: int) -> tuple[Table, dict[str, Any]]:
    """Judge a candidate against a champion with every rule, in a process that has its imports."""
    with TemporaryDirectory(prefix="mlops-bench-") as folder:
        found = in_child("gate:judged", folder=folder, holdout_rows=holdout_rows)
    seconds = found["seconds"]
    rows = [(name, f"{value:.2f}", "") for name, value in seconds.items() if name != "whole task"]
    rows.append(("whole gate task", f"{seconds['whole task']:.2f}", f"goal: under {GOAL_SECONDS:.0f} s"))
    table = Table(
        title=f"The gate with every rule: {found['rows']:,} holdout rows, {found['slices']} slices",
        heads=("what", "seconds", ""),
        rows=tuple(rows),
        notes=(
            (
                f"Verdict {found['verdict']}, {found['rules']} rules; decision {found['decision_kb']:.0f} kB, "
                f"page {found['page_kb']:.0f} kB."
            ),
            (
                "Each part again alone; the whole task serves the model in a fresh interpreter beside the rules, and "
                "reads from and writes to MLflow (SQLite, no server)."
            ),
        ),
    )
    return table, found


def judged(folder: str, holdout_rows: int) -> dict[str, Any]:
    """Two months of the loop with the real operators; return what the second month's gate took."""
    root = enter_loop_home(folder)
    from airflow_mlops.spec import ModelSpec

    _orders(root / "data", holdout_rows)
    spec = ModelSpec.model_validate(_specification())
    first = _month(spec, AS_OF - timedelta(days=14), "first")
    assert first["promote"]["promoted"], first["gate"]["reasons"]
    second = _month(spec, AS_OF, "second")
    return _said(spec, second)


def _said(spec: Any, month: dict[str, Any]) -> dict[str, Any]:
    import json

    from airflow_mlops.core.gate import advice_of, sections_of
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.reports.decision.page import render

    decision, candidate = GateDecision.from_json(month["gate"]), Candidate.from_json(month["train"])
    seen = sections_of(spec, candidate, decision)
    evidence = decision.evaluation.evidence
    return {
        "seconds": {**_alone(spec, month), "whole task": month["gate_seconds"]},
        "rows": decision.evaluation.rows,
        "slices": sum(found.judged for found in evidence.slices),
        "rules": len(decision.evaluation.rules),
        "verdict": decision.verdict.value,
        "decision_kb": len(json.dumps(month["gate"])) / 1e3,
        "page_kb": len(render(decision, candidate, advice_of(decision), evidence=seen)) / 1e3,
    }


def _alone(spec: Any, month: dict[str, Any]) -> dict[str, float]:
    """Seconds of each part, one after the other."""
    from airflow_mlops._loop_context import open_records
    from airflow_mlops.config import open_configured_storage
    from airflow_mlops.core.gate.curves import curves
    from airflow_mlops.core.gate.evaluate import with_constant
    from airflow_mlops.core.gate.holdout import HoldoutComparison, judged_rows, score_models
    from airflow_mlops.core.gate.rules import RULES
    from airflow_mlops.core.gate.rules.slices.weakest import weakest
    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.records.snapshot import Snapshot
    from airflow_mlops.core.snapshot import read_snapshot
    from airflow_mlops.stores.serving_check.check import check_serving

    seconds: dict[str, float] = {}

    def timed(name: str, work: Any) -> Any:
        began = time.perf_counter()
        done = work()
        seconds[name] = time.perf_counter() - began
        return done

    snapshot, candidate = Snapshot.from_json(month["snapshot"]), Candidate.from_json(month["train"])
    with open_records(spec) as records:
        frame = timed("read the snapshot", lambda: read_snapshot(snapshot, open_configured_storage()))
        registry, name = records.registry, spec.registered_model
        number = registry.alias(name, "previous") or registry.alias(name, "champion")
        assert number is not None, "no version serves"
        served = registry.version(name, number)
        pipelines = timed(
            "load both models",
            lambda: [records.load_pipeline(one, spec=spec) for one in (candidate, served.candidate)],
        )
        timed("serving, in a fresh interpreter", lambda: check_serving(records, candidate, spec))
    contest = HoldoutComparison(
        spec=spec,
        candidate=candidate,
        pipeline=pipelines[0],
        champion=served,
        champion_pipeline=pipelines[1],
        frame=frame,
        snapshot=snapshot,
    )
    rows = judged_rows(contest)
    sides = timed("predictions and metrics", lambda: score_models(contest, rows))
    inputs = timed("trivial model", lambda: with_constant(sides.inputs))
    for rule in RULES:
        if rule.judge is not None and rule.name != "serving":
            timed(rule.name, lambda rule=rule: rule.judge(inputs))
    timed("curves", lambda: curves(inputs))
    timed("weakest segments", lambda: weakest(inputs))
    return seconds


def _month(spec: Any, as_of: datetime, run_id: str) -> dict[str, Any]:
    from airflow.sdk.exceptions import AirflowSkipException

    from airflow_mlops.operators import EvaluateGateOperator, PromoteOperator, SnapshotOperator, TrainOperator

    context = _context(run_id, as_of)
    done: dict[str, Any] = {"snapshot": SnapshotOperator(task_id="snapshot", spec=spec).execute(context)}
    done["train"] = TrainOperator(task_id="train", spec=spec, snapshot=done["snapshot"]).execute(context)
    gate = EvaluateGateOperator(task_id="gate", spec=spec, snapshot=done["snapshot"], candidate=done["train"])
    began = time.perf_counter()
    done["gate"] = gate.execute(context)
    done["gate_seconds"] = time.perf_counter() - began
    promote = PromoteOperator(task_id="promote", spec=spec, candidate=done["train"], decision=done["gate"])
    try:
        done["promote"] = promote.execute(context)
    except AirflowSkipException:
        done["promote"] = context["ti"].pushed["return_value"]
    return done


def _context(run_id: str, as_of: datetime) -> dict[str, Any]:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id=f"{MODEL}.train",
        run_id=run_id,
        task_id="bench",
        try_number=1,
        map_index=-1,
        bundle_instance=None,
        pushed=pushed,
        xcom_push=lambda key, value: pushed.update({key: value}),
    )
    return {
        "ti": ti,
        "dag_run": SimpleNamespace(run_type="manual", run_after=as_of, data_interval_end=None),
        "params": {},
        "outlet_events": defaultdict(lambda: SimpleNamespace(extra=None)),
    }


def _specification() -> dict[str, Any]:
    return {
        "name": MODEL,
        "owner": "bench",
        "data": {"source": {"path": "data"}, "time": "at", "key": "id", "label": "late", "window": "42d"},
        "features": {"numeric": [f"x{i}" for i in range(12)], "categorical": ["region", "shop", "kind", "channel"]},
        "training": {
            "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
            "parameters": {"max_iter": 60, "learning_rate": 0.1, "max_leaf_nodes": 15},
        },
        "gate": {
            "holdout": "14d",
            "absolute": [{"metric": "roc_auc", "min": 0.5}],
            "slices": {"columns": ["region", "shop"], "max_drop": 0.01, "max_gap": 0.5},
            "fairness": {"columns": ["group"], "max_metric_difference": 0.5},
            "calibration": {"max_error": 0.2},
            "robustness": {"max_drop": 0.5, "max_reliance": 0.9},
            "serving": {"max_row_ms": 1000, "max_batch_ms": 1000, "max_load_seconds": 60, "max_size_mb": 100},
        },
    }


def _orders(folder: Path, holdout_rows: int) -> None:
    """56 days of orders: the 14 days of a holdout have `holdout_rows`, 20 regions and 20 shops are the slices."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    rows = holdout_rows * 4
    numbers = {f"x{i}": random.normal(size=rows) for i in range(12)}
    words = {
        "region": np.array([f"r{i:02d}" for i in range(20)])[random.integers(20, size=rows)],
        "shop": np.array([f"s{i:02d}" for i in range(20)])[random.integers(20, size=rows)],
        "kind": np.array(["a", "b", "c"])[random.integers(3, size=rows)],
        "channel": np.array(["web", "app", "desk", "phone"])[random.integers(4, size=rows)],
        "group": np.array(["g1", "g2", "g3"])[random.integers(3, size=rows)],
    }
    drift = np.linspace(-1, 1, rows)  # the world changes, so that the newer model is the better one
    score = numbers["x0"] + drift * numbers["x1"] + 0.5 * numbers["x2"] * (words["kind"] == "a")
    late = (score + random.normal(size=rows) > 0.7).astype("int64")
    frame = pd.DataFrame(
        {
            "id": np.arange(rows),
            "at": pd.date_range(AS_OF - timedelta(days=56), AS_OF, periods=rows + 1, unit="us")[:-1],
            **numbers,
            **words,
            "late": late,
        }
    )
    folder.mkdir()
    frame.to_parquet(folder / "orders.parquet")
