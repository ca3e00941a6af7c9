"""The fourth stage: judge a candidate, and decide."""

from __future__ import annotations

from airflow_mlops.core.gate.decide import advice_of, decide
from airflow_mlops.core.gate.derive import require_consistent, require_derived
from airflow_mlops.core.gate.evaluate import evaluate, unserved_spec
from airflow_mlops.core.gate.holdout import HoldoutComparison, judged_rows, score_models
from airflow_mlops.core.gate.refit import decide_refit
from airflow_mlops.core.gate.remedies import TITLES as REMEDIES
from airflow_mlops.core.gate.remedies import applicable_settings, learned_from, settings_for_rare
from airflow_mlops.core.gate.rules.serving import require_serving
from airflow_mlops.core.gate.sections import sections_of

__all__ = [
    "REMEDIES",
    "HoldoutComparison",
    "advice_of",
    "applicable_settings",
    "decide",
    "decide_refit",
    "evaluate",
    "judged_rows",
    "learned_from",
    "require_consistent",
    "require_derived",
    "require_serving",
    "score_models",
    "sections_of",
    "settings_for_rare",
    "unserved_spec",
]
