"""Judge a candidate against bounds, the trivial baseline and the champion, on rows that neither model has seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.gate.changes import changes
from airflow_mlops.core.gate.curves import curves
from airflow_mlops.core.gate.holdout import (
    HoldoutComparison,
    HoldoutRows,
    ScoredModels,
    judged_rows,
    judging_spec,
    score_models,
)
from airflow_mlops.core.gate.remedies import find_remedies, with_remedies
from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.gate.rules import RULES
from airflow_mlops.core.gate.rules import champion as rules
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.metrics.baseline import trivial
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.decision import Evaluation, RuleResult
from airflow_mlops.core.records.evidence import Evidence, ServingReport
from airflow_mlops.core.rows.weights import row_weights
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
        spec=judging_spec(spec, candidate),
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
    inputs = with_constant(replace(scored.inputs, serving=served))
    found, evidence = run_rules(inputs)
    evidence["curves"] = curves(inputs)
    if champion is not None:
        evidence["changes"] = changes(candidate, champion, packages)
    every = [*rows.rules, *order, *found]
    helps = find_remedies(inputs, every)
    told = with_remedies(every, helps, spec.name)
    return replace(_evaluation(comparison, rows, scored, told, evidence, inputs.constant_metrics), remedies=helps)


def with_constant(inputs: RuleInput) -> RuleInput:
    """Let the trivial model predict the judged rows too, unless nothing is to be compared with it."""
    if inputs.spec.gate.mode == "off":
        return inputs
    (weights,) = row_weights(inputs.spec, inputs.train)
    ignorant = trivial(inputs.candidate, inputs.train_labels, len(inputs.rows), inputs.metric.name, weights)
    constant = metric.judge(inputs.labels, ignorant, None, inputs.judged.weights)
    return replace(inputs, constant=constant, constant_metrics=metric.measure(constant, inputs.spec))


def run_rules(inputs: RuleInput) -> tuple[list[RuleResult], dict[str, Any]]:
    """Evaluate every registered rule that the specification asks for, in order; return results and evidence."""
    found: list[RuleResult] = []
    evidence: dict[str, Any] = {}
    for rule in RULES:
        if rule.judge is None or not rule.runs(inputs.spec):
            continue
        outcome = rule.judge(inputs)
        found += outcome.rules
        evidence |= outcome.evidence
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
        candidate_metrics={} if scored is None else dict(scored.inputs.candidate_metrics),
        champion_metrics=None if scored is None or scored.champion_metrics is None else dict(scored.champion_metrics),
        baseline_metrics=dict(constant_metrics),
        rules=tuple(found),
        evidence=Evidence(**evidence),
        positive=comparison.candidate.positive,
    )


def unserved_spec(spec: ModelSpec) -> ModelSpec:
    """Return the specification whose gate can be asked of a model that is not stored, and is asked for nothing in vain.

    The rule on the serving model is off. So is the one on broken input where no bound is set: then it only reports,
    and no decision depends on it.
    """
    gate, robustness = spec.gate, spec.gate.robustness
    changes: dict[str, Any] = {"serving": gate.serving.model_copy(update={"mode": "off"})}
    if robustness.max_drop is None and robustness.max_reliance is None:
        changes["robustness"] = robustness.model_copy(update={"mode": "off"})
    return spec.model_copy(update={"gate": gate.model_copy(update=changes)})
