"""Run the operators one after the other, as the scheduler would, against real stores: a loop without a scheduler."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from airflow.sdk.exceptions import AirflowSkipException

from airflow_mlops.operators import (
    ApproveOperator,
    DataValidationOperator,
    EvaluateGateOperator,
    PromoteOperator,
    SnapshotOperator,
    TrainOperator,
)
from airflow_mlops.spec import ModelSpec

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
_numbers = count()


def rows(number: int = 3000, seed: int = 1, days: int = 60) -> pd.DataFrame:
    """Orders that are late when `load` is high: 3,000 rows over the 60 days before AS_OF."""
    random = np.random.default_rng(seed)
    load = random.normal(size=number)
    late = (load + 0.8 * random.normal(size=number)) > 0.5
    return pd.DataFrame(
        {
            "order_id": [f"o{i:06d}" for i in range(number)],
            "ordered_at": pd.date_range(
                AS_OF - timedelta(days=days - 1), AS_OF - timedelta(hours=1), periods=number, unit="us"
            ),
            "load": load,
            "distance": random.gamma(2.0, 10.0, size=number),
            "city": random.choice(["Rome", "Oslo", "Bern"], size=number),
            "late": late.astype("int64"),
        }
    )


def specification(path: str, **changes: Any) -> dict[str, Any]:
    """A specification of the orders, as plain data, with whole parts changed."""
    return {
        "name": "orders",
        "owner": "tests",
        "data": {"source": {"path": path}, "time": "ordered_at", "key": "order_id", "label": "late", "window": "60d"},
        "features": {"numeric": ["load", "distance"], "categorical": ["city"]},
        "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
        # Serving in a fresh interpreter takes seconds for each loop; the tests of that rule turn it on.
        "gate": {"holdout": "14d", "min_rows": 100, "serving": {"mode": "off"}},
        "execution": {"retries": 0},
        **changes,
    }


@dataclass
class Run:
    """One loop run: what each stage returned."""

    run_id: str
    reports: dict[str, Any] = field(default_factory=dict)
    skipped: str = ""


def context_of(run_id: str, as_of: datetime = AS_OF, *, dag_id: str = "orders.train", **params: Any) -> dict[str, Any]:
    pushed: dict[str, Any] = {}

    def push(key: str, value: Any) -> None:
        pushed[key] = value

    ti = SimpleNamespace(
        id="018f0000-0000-7000-8000-000000000000",
        dag_id=dag_id,
        run_id=run_id,
        task_id="t",
        try_number=1,
        map_index=-1,
        bundle_instance=None,
        pushed=pushed,
        xcom_push=push,
    )
    return {
        "ti": ti,
        "task_instance": ti,
        "dag_run": SimpleNamespace(run_type="manual", run_after=as_of, data_interval_end=None),
        "params": params,
        "outlet_events": defaultdict(lambda: SimpleNamespace(extra=None)),
    }


def run_loop(spec: ModelSpec | Path | str, as_of: datetime = AS_OF, *, run_id: str = "", **params: Any) -> Run:
    """Snapshot, validate, train, judge, promote; raises what the first failing task raises."""
    run = judge_loop(spec, as_of, run_id=run_id, **params)
    promote_run(spec, run, context_of(run.run_id, as_of, **params))
    return run


def judge_loop(spec: ModelSpec | Path | str, as_of: datetime = AS_OF, *, run_id: str = "", **params: Any) -> Run:
    """Snapshot, validate, train, judge."""
    run = Run(run_id or f"run-{next(_numbers)}")
    context = context_of(run.run_id, as_of, **params)
    seen = run.reports
    seen["snapshot"] = SnapshotOperator(task_id="snapshot", spec=spec).execute(context)
    seen["validate"] = DataValidationOperator(task_id="validate", spec=spec, snapshot=seen["snapshot"]).execute(context)
    seen["train"] = TrainOperator(task_id="train", spec=spec, snapshot=seen["snapshot"]).execute(context)
    seen["gate"] = EvaluateGateOperator(
        task_id="gate", spec=spec, snapshot=seen["snapshot"], candidate=seen["train"]
    ).execute(context)
    return run


def promote_run(spec: ModelSpec | Path | str, run: Run, context: dict[str, Any], **given: Any) -> PromoteOperator:
    """Promote what :func:`judge_loop` judged; a skip is kept as the run's `skipped`. Returns the operator."""
    seen = run.reports
    given = {"snapshot": seen["snapshot"], "candidate": seen["train"], "decision": seen["gate"], **given}
    promote = PromoteOperator(task_id="promote", spec=spec, **given)
    try:
        seen["promote"] = promote.execute(context)
    except AirflowSkipException as skip:
        seen["promote"], run.skipped = context["ti"].pushed["return_value"], str(skip)
    return promote


class Desk:
    """Stands where a task's supervisor is, and keeps the form that a task puts to a person."""

    def __init__(self) -> None:
        self.form: Any = None

    def send(self, msg: Any) -> None:
        self.form = msg


def ask(spec: ModelSpec, run: Run, context: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Run the approve task until it parks or returns; give back the form, or the report, and its parked arguments."""
    from airflow.sdk.exceptions import TaskAwaitingInput
    from airflow.sdk.execution_time import task_runner

    desk, seen = Desk(), run.reports
    before = getattr(task_runner, "SUPERVISOR_COMMS", None)
    task_runner.SUPERVISOR_COMMS = desk  # type: ignore[assignment]
    try:
        report = ApproveOperator(task_id="approve", spec=spec, candidate=seen["train"], decision=seen["gate"]).execute(
            context
        )
    except TaskAwaitingInput as parked:
        return desk.form, dict(parked.kwargs or {}, timeout=parked.timeout)
    finally:
        if before is None:
            del task_runner.SUPERVISOR_COMMS
        else:
            task_runner.SUPERVISOR_COMMS = before
    assert desk.form is None
    return report, {}


def answer(
    spec: ModelSpec,
    run: Run,
    context: dict[str, Any],
    option: str,
    *,
    by: str | None = "ada",
    note: str | None = None,
    decision: str = "",
    **event: Any,
) -> dict[str, Any]:
    """Resume the approve task in a new operator, as a new process would, with Airflow's event; no `by`: the sweep."""
    seen = run.reports
    approve = ApproveOperator(task_id="approve", spec=spec, candidate=seen["train"], decision=seen["gate"])
    user = {"id": by, "name": by} if by else None
    said = {"chosen_options": [option], "params_input": {"note": note}, "responded_at": datetime.now(UTC)}
    seen["approve"] = approve.execute_complete(
        context,
        {**said, "responded_by_user": user, "timedout": by is None, **event},
        **({"decision": decision} if decision else {}),
    )
    return dict(seen["approve"])


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Put a file where a folder has to be: nothing can be written below it, not even by root."""
    kept = folder.with_name(folder.name + ".kept")
    if folder.exists():
        folder.rename(kept)
    folder.write_text("not a folder")
    try:
        yield
    finally:
        folder.unlink()
        if kept.exists():
            kept.rename(folder)
