"""Judge a candidate against bounds, the trivial baseline and the champion, on rows that neither model has seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.gate.changes import changes
from airflow_mlops.core.gate.curves import curves
from airflow_mlops.core.gate.holdout import Comparison, HoldoutRows, ScoredModels, compare, judged_rows
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
    contest = Comparison(
        spec=spec,
        candidate=candidate,
        pipeline=pipeline,
        champion=champion,
        champion_pipeline=champion_pipeline,
        frame=frame,
        snapshot=snapshot,
    )
    rows = judged_rows(contest)
    order = [] if champion is None else [rules.as_of_forward(candidate.as_of, champion)]
    if not len(rows.frame):
        return _evaluation(contest, rows, None, [*rows.rules, *order], {}, {})
    sides = compare(contest, rows)
    if not len(sides.bench.train):
        return _evaluation(contest, rows, None, [*rows.rules, *order], {}, {})
    found, constant_metrics = numbers(contest, sides)
    wider, evidence = _wider(sides.bench, served)
    evidence["curves"] = curves(sides.bench)
    if champion is not None:
        evidence["changes"] = changes(candidate, champion, packages)
    return _evaluation(contest, rows, sides, [*rows.rules, *found, *order, *wider], evidence, constant_metrics)


def numbers(contest: Comparison, sides: ScoredModels) -> tuple[list[RuleResult], dict[str, float]]:
    """The rules that compare numbers: finite, absolute, baseline, champion, first model; and the baseline's metrics."""
    bench, gate = sides.bench, contest.spec.gate
    name, count = bench.metric.name, len(bench.rows)
    mine = sides.candidate_metrics
    why = bench.metric.why_undefined(sides.own)
    found = [bounds.finite(name, mine.get(name), count, why), *bounds.judge(bench).rules]
    if gate.mode == "off":
        return found, {}
    (train_weights,) = row_weights(contest.spec, bench.train)
    ignorant = trivial(contest.candidate, bench.train_labels, count, name, train_weights)
    plain = metric.judge(bench.labels, ignorant, None, bench.judged.weights)
    theirs = metric.measure(plain, contest.spec)
    pair = mine.get(name, math.nan), theirs.get(name, math.nan)
    found += [bounds.absolute(rule, mine, count) for rule in gate.absolute]
    found.append(rules.baseline(name, _gain(bench, sides.own, plain), pair, gate, why))
    if contest.champion is None:
        found.append(rules.first_model(found[-1], gate))
    elif sides.broken is not None:
        found.append(sides.broken)
    elif bench.other is not None:
        values = bench.metric(bench.judged), bench.metric(bench.other)
        over = _gain(bench, bench.judged, bench.other)
        why = None if math.isfinite(over.value) else _why_no_gain(bench, bench.other)
        found.append(rules.champion(name, over, values, gate, contest.champion.version, why))
    return found, theirs


def _why_no_gain(bench: RuleInput, other: LabelledPredictions) -> str | None:
    """Why one of the two models has no metric, in words; None when nothing is known against it."""
    mine, theirs = bench.metric.why_undefined(bench.judged), bench.metric.why_undefined(other)
    return mine if mine is not None or theirs is None else f"of the champion, {theirs}"


def _gain(bench: RuleInput, judged: LabelledPredictions, other: LabelledPredictions) -> Gain:
    rule = bench.spec.gate.champion
    return gain(
        bench.metric,
        judged,
        other,
        bench.block,
        confidence=rule.confidence,
        resamples=rule.resamples,
        seed=bench.spec.training.seed,
    )


def _wider(
    bench: RuleInput, served: ServingReport | Callable[[], ServingReport] | None
) -> tuple[list[RuleResult], dict[str, Any]]:
    """The rules that have a `mode` of their own, unless it is off, and what they saw."""
    found: list[RuleResult] = []
    evidence: dict[str, Any] = {}
    gate = bench.spec.gate
    for name, judge in RULES.items():
        if gate.mode != "off" and getattr(gate, name).mode != "off":
            if name == "serving":  # the last one
                bench = replace(bench, serving=served() if callable(served) else served)
            saw = judge(bench)
            found += saw.rules
            evidence |= saw.evidence
    return found, evidence


def _evaluation(  # noqa: PLR0917 - one private maker of one record
    contest: Comparison,
    rows: HoldoutRows,
    sides: ScoredModels | None,
    found: list[RuleResult],
    evidence: Mapping[str, Any],
    constant_metrics: Mapping[str, float],
) -> Evaluation:
    champion = contest.champion
    return Evaluation(
        model=contest.spec.name,
        run_id=contest.candidate.run_id,
        rows=len(rows.frame),
        window=rows.window,
        primary=metric.primary(contest.spec, contest.candidate.task),
        champion_version=None if champion is None else champion.version,
        candidate_metrics={} if sides is None else dict(sides.candidate_metrics),
        champion_metrics=None if sides is None or sides.champion_metrics is None else dict(sides.champion_metrics),
        baseline_metrics=dict(constant_metrics),
        rules=tuple(found),
        evidence=Evidence(**evidence),
    )
