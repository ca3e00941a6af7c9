"""A model that says the same of every row has learned nothing, whatever its metrics are on these rows."""

from __future__ import annotations

from airflow_mlops.core.bench import Bench, Found
from airflow_mlops.core.metrics.labelled import Judged
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.spec.problems import ReasonCode

METRIC = "distinct_predictions"
"""What the rule's result is about."""


def judge(bench: Bench) -> Found:
    """Refuse a candidate whose predictions on the judged rows are all equal; always evaluated.

    Of a classifier the probabilities count, when it gives any: on a rare event every predicted label may well be the
    same.
    """
    rows = len(bench.judged.truth)
    distinct = _distinct(bench.judged)
    fine = distinct > 1
    reason = f"the predictions of {rows:,} rows are {'not all equal' if fine else 'all equal'}"
    if not fine:
        reason += ": look whether the features hold values, and what training.parameters make of them"
    return Found(
        rules=(
            RuleResult(
                rule="finite",
                metric=METRIC,
                verdict=Verdict.ACCEPT if fine else Verdict.REJECT,
                value=float(distinct),
                bound=">= 2",
                rows=rows,
                code=None if fine else ReasonCode.PREDICTIONS_CONSTANT,
                reason=reason,
            ),
        )
    )


def _distinct(judged: Judged) -> int:
    """Number of different predictions; missing ones are equal to each other."""
    import numpy as np

    said = judged.predicted if judged.probabilities is None else judged.probabilities
    if said.ndim == 1 or said.shape[1] <= 2:  # noqa: PLR2004 - one of two probabilities tells the other
        return len(np.unique(said if said.ndim == 1 else said[:, -1]))
    rows, order = said, np.lexsort(said.T)
    same = (rows[order][1:] == rows[order][:-1]) | (np.isnan(rows[order][1:]) & np.isnan(rows[order][:-1]))
    return int(len(rows) > 0) + int((~same.all(axis=1)).sum())
