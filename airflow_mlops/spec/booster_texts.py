"""Parameters of the boosters that may be texts: the libraries take any other, and some of those are places.

LightGBM reads files under a dozen names (`fs`, `config`, `data`), and opens connections to `machines`; CatBoost writes
where `output_borders` says. They pass on what they do not know, and next year there are more. So what is a word is
listed here, and every other text is refused: a number is no place.
"""

from __future__ import annotations

from typing import Any

_LIGHTGBM = """
app application auc_mu_weights boost boosting boosting_type cat_column cat_feature categorical_column
categorical_feature categorical_features class_weight data_sample_strategy device device_type importance_type
interaction_constraints label_gain loss max_bin_by_feature mc mc_method metric metric_types metrics
monotone_constraining_method monotone_constraint monotone_constraints monotone_constraints_method monotonic_cst
objective objective_type tree tree_learner tree_learner_type tree_type
"""
_XGBOOST = """
aft_loss_distribution booster class_weight device eval_metric feature_selector feature_types grow_policy
importance_type interaction_constraints lambdarank_pair_method monotone_constraints multi_strategy normalize_type
objective predictor process_type sample_type sampling_method tree_method updater
"""
_CATBOOST = """
auto_class_weights boosting_type bootstrap_type cat_features class_names class_weights combinations_ctr
counter_calc_method ctr_description custom_loss custom_metric data_partition dictionaries embedding_features eval_metric
feature_border_type feature_calcers feature_weights final_ctr_computation_mode first_feature_use_penalties
gpu_cat_features_storage grow_policy ignored_features leaf_estimation_backtracking leaf_estimation_method logging_level
loss_function metadata model_shrink_mode monotone_constraints name nan_mode objective od_type penalties_coefficient
per_feature_ctr per_float_feature_quantization per_object_feature_penalties sampling_frequency sampling_unit
score_function simple_ctr task_type text_features text_processing tokenizers used_ram_limit
"""
_WORDS = {
    "lightgbm": frozenset(_LIGHTGBM.split()),
    "xgboost": frozenset(_XGBOOST.split()),
    "catboost": frozenset(_CATBOOST.split()),
}
_NO_PLACES = frozenset({"true", "false", "none", "nan", "balanced", ""})


def may_be_place(path: str, name: str, value: Any) -> bool:
    """Whether a parameter of an estimator is a text that one of the boosters might read as a place.

    >>> may_be_place("lightgbm.LGBMClassifier", "machines", "10.0.0.1:80")
    True
    >>> may_be_place("lightgbm.LGBMClassifier", "objective", "binary"), may_be_place("sklearn.svm.SVC", "kernel", "rbf")
    (False, False)
    """
    words = _WORDS.get(path.partition(".")[0])
    return words is not None and name.lower() not in words and _holds_text(value)


def _holds_text(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_text(held) for pair in value.items() for held in pair)
    if isinstance(value, list | tuple):
        return any(_holds_text(held) for held in value)
    return isinstance(value, str) and not _is_number(value)


def _is_number(text: str) -> bool:
    if text.strip().lower() in _NO_PLACES:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
