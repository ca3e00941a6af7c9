"""Judge a candidate against bounds, the trivial baseline and the champion, on rows that neither model has seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.gate.changes import changes
from airflow_mlops.core.gate.curves import curves
from airflow_mlops.core.gate.holdout import HoldoutComparison, HoldoutRows, ScoredModels, judged_rows, score_models
from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.gate.rules import RULES, bounds
from airflow_mlops.core.gate.rules import champion as rules
from airflow_mlops.core.metrics import registry as metric
from airflow_mlops.core.metrics.baseline import trivial
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.decision import Evaluation, RuleResult
from airflow_mlops.core.records.evidence import Evidence, ServingReport
from airflow_mlops.core.rows.weights import row_weights
from airflow_mlops.core.stats.bootstrap import Gain, gain
from airflow_mlops.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlops.core.records.snapshot import Snapshot


def evaluate(  # noqa: PLR0917 - two models and the rows, in the order of the comparison
    spec: ModelSpec,
    candidate: Candidate,
    pipeline: Any,
    champion: Champion | None,
    champion_pipeline: Any,
    frame: pd.DataFrame,
    *,
    snapshot: Snapshot,
    served: ServingReport | Callable[[], ServingReport] | None = None,
    packages: tuple[Mapping[str, str], Mapping[str, str]] | None = None,
) -> Evaluation:
    """Score candidate, champion and baseline on identical rows, and hold every rule against the numbers.

    Parameters
    ----------
    spec
        The model's specification.
    candidate, pipeline
        The record and the model that was trained under it.
    champion, champion_pipeline
        What serves now, and its model: None for a champion whose model could not be read, which is a rejection.
    frame
        All rows of the candidate's snapshot. The training part gives the baseline its constant, and leakage its
        category means; the holdout, less what the champion was trained on, is judged on.
    snapshot
        The manifest of those rows.
    served
        What a fresh interpreter saw of the stored candidate; a function is asked for it last, because it takes about
        as long as everything else. None is a rejection where the rule is on.
    packages
        Versions by package of candidate and champion, to say what changed.

    Raises
    ------
    DataError
        If columns of the candidate are missing.

    Returns
    -------
    Evaluation
        Every rule with value, bound, verdict and reason, and the evidence.
    """
    comparison = HoldoutComparison(
        spec=spec,
        candidate=candidate,
        pipeline=pipeline,
        champion=champion,
        champion_pipeline=champion_pipeline,
        frame=frame,
        snapshot=snapshot,
    )
    rows = judged_rows(comparison)
    order = [] if champion is None else [rules.as_of_forward(candidate.as_of, champion)]
    if not len(rows.frame):
        return _evaluation(comparison, rows, None, [*rows.rules, *order], {}, {})
    scored = score_models(comparison, rows)
    if not len(scored.inputs.train):
        return _evaluation(comparison, rows, None, [*rows.rules, *order], {}, {})
    found, constant_metrics = numbers(comparison, scored)
    wider, evidence = _wider(scored.inputs, served)
    evidence["curves"] = curves(scored.inputs)
    if champion is not None:
        evidence["changes"] = changes(candidate, champion, packages)
    return _evaluation(comparison, rows, scored, [*rows.rules, *found, *order, *wider], evidence, constant_metrics)


def numbers(comparison: HoldoutComparison, scored: ScoredModels) -> tuple[list[RuleResult], dict[str, float]]:
    """The rules that compare numbers: finite, absolute, baseline, champion, first model; and the baseline's metrics."""
    inputs, gate = scored.inputs, comparison.spec.gate
    name, count = inputs.metric.name, len(inputs.rows)
    mine = scored.candidate_metrics
    why = inputs.metric.why_undefined(scored.own)
    found = [bounds.finite(name, mine.get(name), count, why), *bounds.judge(inputs).rules]
    if gate.mode == "off":
        return found, {}
    (train_weights,) = row_weights(comparison.spec, inputs.train)
    ignorant = trivial(comparison.candidate, inputs.train_labels, count, name, train_weights)
    plain = metric.judge(inputs.labels, ignorant, None, inputs.judged.weights)
    theirs = metric.measure(plain, comparison.spec)
    pair = mine.get(name, math.nan), theirs.get(name, math.nan)
    found += [bounds.absolute(rule, mine, count) for rule in gate.absolute]
    found.append(rules.baseline(name, _gain(inputs, scored.own, plain), pair, gate, why))
    if comparison.champion is None:
        found.append(rules.first_model(found[-1], gate))
    elif scored.broken is not None:
        found.append(scored.broken)
    elif inputs.other is not None:
        values = inputs.metric(inputs.judged), inputs.metric(inputs.other)
        over = _gain(inputs, inputs.judged, inputs.other)
        why = None if math.isfinite(over.value) else _why_no_gain(inputs, inputs.other)
        found.append(rules.champion(name, over, values, gate, comparison.champion.version, why))
    return found, theirs


def _why_no_gain(inputs: RuleInput, other: LabelledPredictions) -> str | None:
    """Why one of the two models has no metric, in words; None when nothing is known against it."""
    mine, theirs = inputs.metric.why_undefined(inputs.judged), inputs.metric.why_undefined(other)
    return mine if mine is not None or theirs is None else f"of the champion, {theirs}"


def _gain(inputs: RuleInput, judged: LabelledPredictions, other: LabelledPredictions) -> Gain:
    rule = inputs.spec.gate.champion
    return gain(
        inputs.metric,
        judged,
        other,
        inputs.block,
        confidence=rule.confidence,
        resamples=rule.resamples,
        seed=inputs.spec.training.seed,
    )


def _wider(
    inputs: RuleInput, served: ServingReport | Callable[[], ServingReport] | None
) -> tuple[list[RuleResult], dict[str, Any]]:
    """The rules that have a `mode` of their own, unless it is off, and what they saw."""
    found: list[RuleResult] = []
    evidence: dict[str, Any] = {}
    gate = inputs.spec.gate
    for name, judge in RULES.items():
        if gate.mode != "off" and getattr(gate, name).mode != "off":
            if name == "serving":  # the last one
                inputs = replace(inputs, serving=served() if callable(served) else served)
            saw = judge(inputs)
            found += saw.rules
            evidence |= saw.evidence
    return found, evidence


def _evaluation(  # noqa: PLR0917 - one private maker of one record
    comparison: HoldoutComparison,
    rows: HoldoutRows,
    scored: ScoredModels | None,
    found: list[RuleResult],
    evidence: Mapping[str, Any],
    constant_metrics: Mapping[str, float],
) -> Evaluation:
    champion = comparison.champion
    return Evaluation(
        model=comparison.spec.name,
        run_id=comparison.candidate.run_id,
        rows=len(rows.frame),
        window=rows.window,
        primary=metric.primary(comparison.spec, comparison.candidate.task),
        champion_version=None if champion is None else champion.version,
        candidate_metrics={} if scored is None else dict(scored.candidate_metrics),
        champion_metrics=None if scored is None or scored.champion_metrics is None else dict(scored.champion_metrics),
        baseline_metrics=dict(constant_metrics),
        rules=tuple(found),
        evidence=Evidence(**evidence),
    )
