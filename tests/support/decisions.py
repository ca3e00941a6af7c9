"""A decision with every kind of evidence, made by hand: for the tests of what is shown of it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from airflow_mlops.core.records.candidate import Candidate, Feature
from airflow_mlops.core.records.decision import Evaluation, GateDecision, RuleResult, Verdict
from airflow_mlops.core.records.evidence import (
    Change,
    ClassRows,
    Curve,
    Disparity,
    Evidence,
    Group,
    Interval,
    Leak,
    Perturbation,
    Reliability,
    ReliabilityBin,
    Segment,
    ServingReport,
    SliceResult,
)
from airflow_mlops.core.records.snapshot import Snapshot, Window
from airflow_mlops.spec.problems import Problem, ReasonCode
from tests.support.builders import make_rule_result

WHO: tuple[Literal["candidate", "champion"], ...] = ("candidate", "champion")
CURVES: tuple[Literal["roc", "precision_recall", "residuals"], ...] = ("roc", "precision_recall", "residuals")
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
HOLDOUT = Window(start=AS_OF - timedelta(days=14), end=AS_OF)
TRAIN = Window(start=AS_OF - timedelta(days=60), end=AS_OF - timedelta(days=15))


def rule(name: str = "champion", verdict: Verdict = Verdict.ACCEPT, **changes: Any) -> RuleResult:
    told = {"value": 0.0312, "lower": 0.011, "upper": 0.052, "rows": 12345, "reason": f"{name}: {verdict}"}
    return make_rule_result(name, verdict, **{**told, **changes})


def candidate(**changes: Any) -> Candidate:
    values: dict[str, Any] = {
        "model": "orders", "loop_run": "orders.train/run-1", "run_id": "abc123", "model_uri": "models:/m-1",
        "task": "binary", "as_of": AS_OF, "train": TRAIN, "holdout": HOLDOUT, "train_rows": 54321,
        "holdout_rows": 12345, "snapshot_uri": "file:///s", "snapshot_fingerprint": "f" * 64,
        "spec_fingerprint": "s" * 64, "features": (Feature(name="amount", role="numeric"),), "seed": 42,
        "classes": (False, True), "parameters": {"max_iter": 200},
    }  # fmt: skip
    return Candidate(**{**values, **changes})


def snapshot(**changes: Any) -> Snapshot:
    issue = Problem(
        code=ReasonCode.LABELS_MISSING, field="data.label", found="812 rows without a label", allowed="-",
        fix="they are left out",
    )  # fmt: skip
    values: dict[str, Any] = {
        "model": "orders", "fingerprint": "f" * 64, "uri": "file:///s", "as_of": AS_OF, "rows": 66666, "columns": (),
        "window": Window(start=TRAIN.start, end=AS_OF), "source": "table orders of connection warehouse",
        "source_columns": (), "query": "q", "time": "t", "key": ("id",), "label": "paid", "extracted_at": AS_OF,
        "known_issues": (issue,), "unlabelled": 812,
    }  # fmt: skip
    return Snapshot(**{**values, **changes})


def decision(verdict: Verdict, *rules: RuleResult, **changes: Any) -> GateDecision:
    values: dict[str, Any] = {
        "model": "orders", "run_id": "abc123", "rows": 12345, "window": HOLDOUT, "primary": "log_loss",
        "champion_version": 3, "candidate_metrics": {"log_loss": 0.4123, "roc_auc": 0.7},
        "champion_metrics": {"log_loss": 0.4435, "roc_auc": 0.69}, "baseline_metrics": {"log_loss": 0.6},
        "rules": rules, "evidence": Evidence(),
    }  # fmt: skip
    evaluation = Evaluation(**{**values, **{k: v for k, v in changes.items() if k in values}})
    return GateDecision(
        model=evaluation.model, run_id="abc123", loop_run="orders.train/run-1", model_uri="models:/m-1", as_of=AS_OF,
        verdict=verdict, champion_version=evaluation.champion_version, evaluation=evaluation,
        reasons=changes.get("reasons", tuple(r.reason for r in rules)), decided_at=AS_OF,
        mode=changes.get("mode", "enforce"), would=changes.get("would"),
    )  # fmt: skip


def slice_result(value: str, worse: float = 0.0, **changes: Any) -> SliceResult:
    values: dict[str, Any] = {
        "column": "shop", "rows": 900, "judged": True, "candidate": 0.41, "champion": 0.41 - worse, "drop_p": 0.4,
        "drop": Interval(value=worse, lower=worse - 0.01, upper=worse + 0.01), "gap": None, "gap_p": None,
    }  # fmt: skip
    return SliceResult(value=value, **{**values, **changes})


def serving(**changes: Any) -> ServingReport:
    values: dict[str, Any] = {
        "model_uri": "models:/m-1", "environment": "current", "rows": 50, "max_difference": 0.0, "load_seconds": 1.5,
        "row_ms": (6.25, 11.5), "batch_ms": (7.5, 14.5), "size_bytes": 1_250_000, "python": "3.11.9",
    }  # fmt: skip
    return ServingReport(**{**values, **changes})


def evidence(word: str = "", number: float | None = None) -> Evidence:
    """Every kind of evidence; with a word in every text, and a number in place of every number."""

    def n(value: float) -> float:
        return value if number is None else number

    def span(value: float) -> Interval:
        return Interval(value=n(value), lower=n(value - 0.01), upper=n(value + 0.01))

    bins = tuple(ReliabilityBin(predicted=n(p / 10), observed=span(p / 10), rows=1234) for p in range(1, 10))
    steps = tuple(n(step / 100) for step in range(101))
    return Evidence(
        slices=(
            slice_result(f"north{word}", candidate=n(0.41), champion=n(0.36), drop=span(0.05), drop_p=n(0.0004)),
            slice_result(f"south{word}", gap=span(0.01), gap_p=n(0.8)),
            slice_result(f"tiny{word}", rows=7, judged=False, drop=None, drop_p=None),
        ),
        segments=(Segment(words=f"amount > 1,200{word}", rows=412, share=n(0.069), metric=n(0.613), whole=n(0.43)),),
        groups=(
            Group(column="region", value=f"west{word}", rows=3061, judged=True, metrics={"selection_rate": n(0.347)}),
            Group(column="region", value=f"few{word}", rows=59, judged=False, metrics={"selection_rate": math.nan}),
        ),
        disparities=(
            Disparity(
                column=f"region{word}", measure="demographic_parity_difference", difference=span(0.116), bound=0.1,
                rows=12345,
            ),
        ),
        reliability=tuple(Reliability(who=w, event=f"paid{word}", error=span(0.0145), bins=bins) for w in WHO),
        curves=tuple(
            Curve(name=name, who=w, of=f"paid{word}", x=steps, y=steps) for name in CURVES for w in WHO
        ),
        perturbations=(
            Perturbation(kind="missing", what=f"10 %{word}", metric=n(0.45), drop=n(0.021), rows=12345),
            Perturbation(kind="noise", what=f"0.1 sd{word}", metric=n(0.43), drop=n(0.003), rows=12345),
            Perturbation(kind="shuffled", what=f"amount{word}", metric=n(0.49), drop=n(0.061), rows=12345),
        ),
        leaks=(
            Leak(kind="power", what=f"at{word}", value=n(0.991), bound=0.98, leaking=True, words=f"knows it{word}"),
        ),
        serving=serving(max_difference=n(0.0), load_seconds=n(1.5), python=f"3.11.9{word}"),
        changes=(Change(what=f"training.parameters.max_iter{word}", candidate=f"200{word}", champion=f"100{word}"),),
        classes=(ClassRows(label=f"paid{word}", train=40, judged=12, positive=True),),
        convergence={"warnings": [f"did not converge{word}"], "iterations": 100, "limit": n(100.0)},
    )  # fmt: skip
