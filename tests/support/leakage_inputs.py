"""A bench for the leakage rule from rows alone: older part, newer part, and what a snapshot says of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.gate.rules.leakage.judge import judge
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.records.candidate import Feature, Task
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import Leak
from airflow_mlops.core.records.snapshot import Column, Window
from tests.support.builders import AS_OF, make_candidate, make_snapshot, make_spec

ESTIMATORS = {
    "binary": "sklearn.linear_model.LogisticRegression",
    "multiclass": "sklearn.linear_model.LogisticRegression",
    "regression": "sklearn.linear_model.Ridge",
}


def bench_of(
    frame: pd.DataFrame, task: Task = "binary", share: float = 0.7, rule: dict[str, Any] | None = None, **changes: Any
) -> RuleInput:
    """Rows with a label `y` and features beside it; `id` and `t` are made where they are missing."""
    import numpy as np

    rows = frame.copy()
    if "t" not in rows:
        rows.insert(0, "t", pd.Timestamp(AS_OF - timedelta(days=60)) + pd.to_timedelta(np.arange(len(rows)), unit="m"))
    if "id" not in rows:
        rows.insert(0, "id", np.arange(len(rows)))
    cut = int(len(rows) * share)
    numeric = rows.dtypes.map(pd.api.types.is_numeric_dtype)
    names = [name for name in rows.columns if name not in {"id", "t", "y"} and rows[name].dtype.kind != "M"]
    spec = make_spec(ESTIMATORS[task], data={"label_delay": "1d"}, gate={"leakage": rule or {}})
    window = Window(start=AS_OF - timedelta(days=20), end=AS_OF)
    before = Window(start=AS_OF - timedelta(days=60), end=AS_OF - timedelta(days=21))
    candidate = make_candidate(
        AS_OF, task=task, train=before, holdout=window, train_rows=cut, holdout_rows=len(rows) - cut,
        features=tuple(Feature(name=name, role="numeric" if numeric[name] else "categorical") for name in names),
    )  # fmt: skip
    columns = tuple(Column(name=str(name), type="x") for name in rows.columns)
    snapshot = make_snapshot(AS_OF, rows=len(rows), columns=columns, source_columns=())
    truth = rows["y"].iloc[cut:].to_numpy()
    bench = RuleInput(
        spec=spec, candidate=candidate, pipeline=None, champion=None, snapshot=snapshot,
        metric=metric.METRICS["rmse" if task == "regression" else "log_loss"], window=window, rows=rows.iloc[cut:],
        labels=rows["y"].iloc[cut:], block=None, judged=LabelledPredictions(task, truth, truth, None), other=None,
        train=rows.iloc[:cut], train_labels=rows["y"].iloc[:cut], serving=None,
    )  # fmt: skip
    return replace(bench, **changes)


def found(bench: RuleInput) -> tuple[dict[str, RuleResult], list[Leak]]:
    """Results by metric, and what counts: leaks, and questions."""
    said = judge(bench)
    results = {result.metric: result for result in said.rules}
    leaks = [leak for leak in said.evidence["leaks"] if leak.leaking or leak.asked]
    verdicts = {result.verdict for result in results.values()}
    assert any(leak.leaking for leak in leaks) <= (Verdict.REJECT in verdicts)
    assert any(leak.asked for leak in leaks) <= (verdicts > {Verdict.ACCEPT})
    assert not any(leak.leaking and leak.asked for leak in leaks)
    return results, leaks
