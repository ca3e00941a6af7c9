"""More rows for groups that are small: earlier windows, each predicted by a model that has not seen it.

The rows of earlier holdouts are in the candidate's training part by now: the window rolls on. Pooled as they are, they
would show how the model treats rows that it has learned by heart, which is another thing, and the more so the more it
overfits. So each earlier window is left out once, the same pipeline is fitted on the rest of the training part, and
that model predicts it: cross-validation over windows (Stone, 1974). What is pooled is thus how models of this recipe
treat groups, of which the candidate is one (Bates, Hastie and Tibshirani, 2023); its own part are the rows of the
holdout. Rows within a label delay of a left-out window are not learned from, before it and after it.

References
----------
S. Bates, T. Hastie, R. Tibshirani (2023), Cross-validation: what does it estimate and how well does it do it?, J. Am.
Stat. Assoc.
M. Stone (1974), Cross-validatory choice and assessment of statistical predictions, J. R. Stat. Soc. B 36.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.weights import fit_arguments, row_weights
from airflow_mlops.core.stats.bootstrap import blocks_of, panel_entities

if TYPE_CHECKING:
    import pandas as pd

LEFT = 0.5
"""Share of the training rows that must be left to learn from: a model of much fewer is another one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PooledRows:
    """The judged rows with those of earlier windows, or why there are none."""

    inputs: RuleInput | None
    words: str


@dataclass(frozen=True, kw_only=True, eq=False)
class _LeftOut:
    rows: pd.DataFrame
    labels: pd.Series[Any]
    judged: LabelledPredictions


def pool_windows(inputs: RuleInput) -> PooledRows:
    """Put the rows of earlier windows to those of the holdout.

    Windows are as long as the holdout, backwards from the end of the training part. One is passed over that leaves too
    few rows to learn from, or not every class.
    """
    import pandas as pd

    found = list(_windows(inputs))
    if not found:
        why = "no earlier window leaves half of the training rows, and every class, to learn from; lengthen data.window"
        return PooledRows(inputs=None, words=why)
    own = inputs.judged if inputs.own is None else inputs.own
    rows = pd.concat([inputs.rows, *(one.rows for one in found)])
    parts = [own, *(one.judged for one in found)]
    pooled = replace(
        inputs,
        rows=rows,
        labels=pd.concat([inputs.labels, *(one.labels for one in found)]),
        judged=_joined(parts),
        own=None,
        other=None,
        block=blocks_of(inputs.spec, rows),
        entities=panel_entities(inputs.spec, rows),
    )
    windows = f"{len(found)} earlier window{'s' if len(found) > 1 else ''}"
    words = f"pooled with {windows}, each predicted by a model of the same recipe that has not seen it"
    return PooledRows(inputs=pooled, words=words)


def _joined(parts: list[LabelledPredictions]) -> LabelledPredictions:
    import numpy as np

    first = parts[0]

    def put(name: str) -> Any:
        each = [getattr(part, name) for part in parts]
        return None if each[0] is None else np.concatenate(each)

    return LabelledPredictions(
        first.task, put("y_true"), put("y_pred"), put("probabilities"), put("weights"), first.names
    )


def _windows(inputs: RuleInput) -> Iterator[_LeftOut]:
    import pandas as pd
    from sklearn.base import clone

    spec, candidate = inputs.spec, inputs.candidate
    length, delay = candidate.holdout.end - candidate.holdout.start, spec.data.label_delay
    times = inputs.train[spec.data.time]
    end = candidate.train.end
    while end - length >= candidate.train.start:
        window = Window(start=end - length, end=end)
        end = window.start
        inside = ((times >= window.start) & (times < window.end)).to_numpy()
        rest = ((times < window.start - delay) | (times >= window.end + delay)).to_numpy()
        labels = inputs.train_labels[rest]
        every = candidate.task == "regression" or set(pd.unique(labels)) >= set(candidate.classes)
        if not inside.any() or rest.sum() < LEFT * len(times) or not every:
            continue
        learned, left_out = inputs.train[rest], inputs.train[inside]
        weights, left_weights = row_weights(spec, learned, left_out)
        model = clone(inputs.pipeline)
        model.fit(as_features(learned, candidate.features), labels.to_numpy(), **fit_arguments(weights))
        truth = inputs.train_labels[inside]
        judged = metric.judge(truth, predict(model, left_out, candidate), None, left_weights)
        yield _LeftOut(rows=left_out, labels=truth, judged=judged)
