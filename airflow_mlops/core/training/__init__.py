"""The third stage: fit a candidate, and what is frozen with it."""

from __future__ import annotations

from airflow_mlops.core.training.candidate import candidate_from, champion_of
from airflow_mlops.core.training.fit import Fitted, fit, split_frame
from airflow_mlops.core.training.golden_batch import Golden, GoldenBatch, largest_difference, make_golden, read_golden
from airflow_mlops.core.training.reference_profile import reference_profile
from airflow_mlops.core.training.refit import refit, refitted_profile
from airflow_mlops.core.training.reproduce import (
    circumstance_differences,
    compare_predictions,
    conclude_reproduction,
    impossible_reproduction,
    read_environment,
    reproduction_text,
    training_differences,
)

__all__ = [
    "Fitted",
    "Golden",
    "GoldenBatch",
    "candidate_from",
    "champion_of",
    "circumstance_differences",
    "compare_predictions",
    "conclude_reproduction",
    "fit",
    "impossible_reproduction",
    "largest_difference",
    "make_golden",
    "read_environment",
    "read_golden",
    "reference_profile",
    "refit",
    "refitted_profile",
    "reproduction_text",
    "split_frame",
    "training_differences",
]
