"""Candidates recorded on a real MLflow server, and the codes of a refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_mlops.core.profiles.build import build_profile
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.support.loop_parts import AS_OF, fitted_of, snapshot_of, spec_of


def inputs_of(fingerprint: str = "a" * 64) -> str:
    return f"{fingerprint}/{spec_of().fingerprint}"


def record(store: MLflowStore, name: str, loop: str = "r1", *, days: int = 0, **fields: Any) -> Candidate:
    snapshot = replace(snapshot_of(), as_of=AS_OF + timedelta(days=days))
    loop_run = f"{name}.train/{loop}"
    run_id = store.runs.open_run(name, loop_run, model="toy", inputs=inputs_of(), tags={"mlops.try_number": "1"})
    fitted = replace(fitted_of(), **fields)
    profile = build_profile("toy", fitted.train_frame, fitted.features, fitted.train)
    return store.candidates.record_candidate(
        run_id, fitted, snapshot, spec_of(), loop_run=loop_run, provenance={"mlops.dag_id": "d"}, profile=profile
    )


def codes(error: pytest.ExceptionInfo[Any]) -> set[ReasonCode]:
    return {problem.code for problem in error.value.problems}
