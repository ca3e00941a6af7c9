"""The sixth stage: predictions of the champion, and the log of them."""

from __future__ import annotations

from airflow_mlops.core.scoring.score import predictions_folder, score, scoring_window
from airflow_mlops.core.scoring.score_log import rows_ahead, scored_batches

__all__ = ["predictions_folder", "rows_ahead", "score", "scored_batches", "scoring_window"]
