"""Records and specifications with plain defaults: a test names only what it is about.

Everything is of a model `m` with key `id`, time `t` and label `y`, as of AS_OF; whatever is not given follows from what
is: a candidate's windows from its as-of, its loop run and model's address from its run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.decision import Evaluation, GateDecision, RuleResult, Verdict
from airflow_mlops.core.records.snapshot import Snapshot, Window
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import ReasonCode

AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
LOGISTIC = "sklearn.linear_model.LogisticRegression"


def make_spec(estimator: str = LOGISTIC, *, data: dict[str, Any] | None = None, **parts: Any) -> ModelSpec:
    """Return a specification; `data` changes fields of that part, everything else is a whole part."""
    rows = {"source": {"path": "x/"}, "time": "t", "key": "id", "label": "y", **(data or {})}
    plain = {"name": "m", "owner": "o", "data": rows, "training": {"estimator": estimator}}
    return ModelSpec.model_validate({**plain, **parts})


def make_candidate(as_of: datetime = AS_OF, **changes: Any) -> Candidate:
    """Return a candidate of 60 days, of which the last 14 are the holdout."""
    model, run_id = changes.get("model", "m"), changes.get("run_id", "r")
    cut = as_of - timedelta(days=14)
    values: dict[str, Any] = {
        "model": model, "loop_run": f"{model}.train/{run_id}", "run_id": run_id, "model_uri": f"models:/m-{run_id}",
        "task": "binary", "train": Window(start=as_of - timedelta(days=60), end=cut),
        "holdout": Window(start=cut, end=as_of), "train_rows": 1000, "holdout_rows": 100, "snapshot_uri": "file:///s",
        "snapshot_fingerprint": "f", "spec_fingerprint": "s", "features": (), "seed": 42,
    }  # fmt: skip
    return Candidate(as_of=as_of, **{**values, **changes})


def make_champion(candidate: Candidate | None = None, version: int = 3) -> Champion:
    """Return the version that serves a candidate."""
    served = candidate or make_candidate()
    return Champion(
        model=served.model, version=version, run_id=served.run_id, model_uri=served.model_uri, candidate=served
    )


def make_snapshot(as_of: datetime = AS_OF, **changes: Any) -> Snapshot:
    """Return a snapshot of 60 days; the source has its columns and no others."""
    values: dict[str, Any] = {
        "model": "m", "fingerprint": "f", "uri": "u", "window": Window(start=as_of - timedelta(days=60), end=as_of),
        "rows": 1000, "columns": (), "source": "s", "source_columns": changes.get("columns", ()), "query": "q",
        "time": "t", "key": ("id",), "label": "y", "extracted_at": as_of,
    }  # fmt: skip
    return Snapshot(as_of=as_of, **{**values, **changes})


def make_rule_result(rule: str = "champion", verdict: Verdict = Verdict.ACCEPT, **changes: Any) -> RuleResult:
    """Return the result of a gate rule that has a number."""
    values: dict[str, Any] = {
        "metric": "log_loss", "value": 0.02, "bound": "lower bound > 0", "rows": 700, "code": None, "reason": rule,
    }  # fmt: skip
    return RuleResult(rule=rule, verdict=verdict, **{**values, **changes})


def make_evaluation(candidate: Candidate, **changes: Any) -> Evaluation:
    """Return the evaluation of a candidate on its holdout, without rules and without a champion."""
    values: dict[str, Any] = {
        "model": candidate.model, "run_id": candidate.run_id, "rows": candidate.holdout_rows,
        "window": candidate.holdout, "primary": "log_loss", "champion_version": None,
        "candidate_metrics": dict(candidate.metrics), "champion_metrics": None, "baseline_metrics": {}, "rules": (),
    }  # fmt: skip
    return Evaluation(**{**values, **changes})


def make_decision(candidate: Candidate, verdict: Verdict = Verdict.ACCEPT, **evaluation: Any) -> GateDecision:
    """Return a decision about a candidate; what is given beside the verdict is its evaluation's.

    Without rules it has one that gives the verdict: a decision that does not follow from its rules is refused.
    """
    code = None if verdict is Verdict.ACCEPT else ReasonCode.METRIC_OUT_OF_BOUNDS
    given = {"rules": (make_rule_result("because", verdict, code=code),)}
    evaluated = make_evaluation(candidate, **{**given, **evaluation})
    return GateDecision(
        model=candidate.model, run_id=candidate.run_id, loop_run=candidate.loop_run, model_uri=candidate.model_uri,
        as_of=candidate.as_of, verdict=verdict, champion_version=evaluated.champion_version, evaluation=evaluated,
        reasons=("because",), decided_at=candidate.as_of,
    )  # fmt: skip
