"""Judge a candidate against bounds, the trivial baseline and the champion, on rows that neither model has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow_mlops.core import metrics as metric
from airflow_mlops.core import rules
from airflow_mlops.core.baseline import trivial
from airflow_mlops.core.bootstrap import Gain, gain, time_blocks
from airflow_mlops.core.data import Window
from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.fail_closed import failed_closed, missing
from airflow_mlops.core.labels import clean_labels
from airflow_mlops.core.leakage import single_feature_power
from airflow_mlops.core.metrics import Judged
from airflow_mlops.core.model import Candidate, Champion, Evaluation, GateDecision, RuleResult, Verdict
from airflow_mlops.core.predict import Label, Predicted, predict
from airflow_mlops.core.training import rows_within
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode, Refusal

if TYPE_CHECKING:
    import pandas as pd


def evaluate(  # noqa: PLR0917 - two models and the rows, in the order of the comparison
    spec: ModelSpec,
    candidate: Candidate,
    pipeline: Any,
    champion: Champion | None,
    champion_pipeline: Any,
    frame: pd.DataFrame,
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

    Raises
    ------
    DataError
        If columns of the candidate are missing.

    Returns
    -------
    Evaluation
        Every rule with value, bound, verdict and reason.
    """
    classification = candidate.task != "regression"
    train, train_labels = clean_labels(spec, rows_within(frame, spec.data.time, candidate.train), classification)
    bench = _judged_rows(spec, candidate, champion, frame)
    name = bench.name
    ours = predict(pipeline, bench.rows, candidate) if len(bench.rows) else None
    found: list[RuleResult] = [*bench.rules]
    if ours is None or not len(train):
        return _evaluation(bench, found)
    judged = metric.judge(bench.labels, ours)
    metrics = metric.measure(judged)
    constant = metric.judge(bench.labels, trivial(candidate, train_labels, len(bench.rows), name))
    constant_metrics = metric.measure(constant)
    parts = (train, train_labels), (bench.rows, bench.labels)
    powers = single_feature_power(candidate.task, candidate.features, *parts)
    over_constant = _gain(bench, judged, constant)
    found += [
        rules.finite(name, metrics.get(name), len(bench.rows)),
        *(rules.absolute(rule, metrics, len(bench.rows)) for rule in spec.gate.absolute),
        rules.leakage(powers, spec.gate, len(bench.rows)),
        rules.baseline(name, over_constant, _pair(name, judged, constant), spec.gate),
    ]
    if champion is None:
        found.append(rules.first_model(found[-1], spec.gate))
        return _evaluation(bench, found, metrics, None, constant_metrics)
    result, champion_metrics = _against(bench, ours, champion, champion_pipeline)
    found += [rules.as_of_forward(candidate.as_of, champion), *result]
    return _evaluation(bench, found, metrics, champion_metrics, constant_metrics)


def decide(spec: ModelSpec, candidate: Candidate, evaluation: Evaluation, *, now: datetime) -> GateDecision:
    """Turn an evaluation into a decision: any reject rejects, else any inconclusive is inconclusive, else accept.

    A rule that the specification asks for and the evaluation does not hold, or one that accepts on a number that
    is missing or not finite, is a rejection: nothing passes by being absent.

    Raises
    ------
    RecordError
        If the evaluation is of another model or run.
    """
    if (evaluation.model, evaluation.run_id) != (candidate.model, candidate.run_id):
        raise RecordError(_mismatch(candidate, evaluation))
    checked = tuple(failed_closed(rule) for rule in evaluation.rules)
    every = (*checked, *missing(spec, candidate, evaluation, checked))
    verdicts = {rule.verdict for rule in every}
    order = (Verdict.REJECT, Verdict.INCONCLUSIVE, Verdict.ACCEPT)
    verdict = next(v for v in order if v in verdicts)
    return GateDecision(
        model=candidate.model,
        run_id=candidate.run_id,
        loop_run=candidate.loop_run,
        model_uri=candidate.model_uri,
        as_of=candidate.as_of,
        verdict=verdict,
        champion_version=evaluation.champion_version,
        evaluation=replace(evaluation, rules=every),
        reasons=tuple(rule.reason for v in order for rule in sorted(every, key=_weight) if rule.verdict is v),
        decided_at=now,
    )


_TOLD_FIRST = ("champion", "first_model", "as_of", "baseline", "leakage", "absolute", "holdout", "finite")


def _weight(rule: RuleResult) -> int:
    """Order in which a person wants to hear of rules: the comparison with the champion before the row count."""
    return _TOLD_FIRST.index(rule.rule) if rule.rule in _TOLD_FIRST else len(_TOLD_FIRST)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Bench:
    """Who is judged, by what, and on which rows."""

    spec: ModelSpec
    candidate: Candidate
    champion: Champion | None
    name: str
    """The primary metric."""
    rows: pd.DataFrame
    labels: pd.Series[Any]
    block: Any
    window: Window
    comparable: bool
    """Whether the champion has seen none of them."""
    rules: tuple[RuleResult, ...]


def _judged_rows(spec: ModelSpec, candidate: Candidate, champion: Champion | None, frame: pd.DataFrame) -> _Bench:
    time, classification = spec.data.time, candidate.task != "regression"
    window = candidate.holdout
    rows, labels = clean_labels(spec, rows_within(frame, time, window), classification)
    found = [rules.holdout_size(len(rows), spec.gate)]
    comparable = champion is not None
    if champion is not None and champion.candidate.train.end > window.start:
        new = (rows[time] >= champion.candidate.train.end).to_numpy()
        found.append(rules.champion_unseen(int(new.sum()), spec.gate, champion))
        comparable = found[-1].verdict is Verdict.ACCEPT
        if comparable:
            rows, labels = rows[new], labels[new]
            window = Window(start=champion.candidate.train.end, end=window.end)
    blocks = time_blocks(rows[time], spec.gate.champion.block)
    return _Bench(
        spec=spec,
        candidate=candidate,
        champion=champion,
        name=metric.primary(spec, candidate.task),
        rows=rows,
        labels=labels,
        block=blocks,
        window=window,
        comparable=comparable,
        rules=tuple(found),
    )


def _against(
    bench: _Bench, ours: Predicted, champion: Champion, pipeline: Any
) -> tuple[list[RuleResult], dict[str, float] | None]:
    """Rule and metrics of the comparison with the champion; no rule when their rows overlap, as `holdout` says."""
    if not bench.comparable:
        return [], None
    candidate, name = bench.candidate, bench.name
    theirs = _champion_predictions(champion, pipeline, bench)
    if (champion.candidate.task == "regression") != (candidate.task == "regression"):
        theirs = f"it is a model for {champion.candidate.task}, the candidate one for {candidate.task}"
    if isinstance(theirs, str):
        return [rules.champion_unreadable(name, champion.version, len(bench.rows), theirs)], None
    classes = _union(candidate.classes, champion.candidate.classes)
    judged, other = (metric.judge(bench.labels, predicted, classes) for predicted in (ours, theirs))
    result = rules.champion(
        name, _gain(bench, judged, other), _pair(name, judged, other), bench.spec.gate, champion.version
    )
    return [result], metric.measure(metric.judge(bench.labels, theirs))


def _champion_predictions(champion: Champion, pipeline: Any, bench: _Bench) -> Predicted | str:
    if pipeline is None:
        return "its stored model could not be read"
    try:
        return predict(pipeline, bench.rows, champion.candidate)
    except Refusal as refusal:
        return "; ".join(f"{problem.field}: {problem.found}" for problem in refusal.problems)
    except Exception as error:  # noqa: BLE001 - whatever an old model raises is a rejection with its reason
        return f"{type(error).__name__} while it predicted"


def _union(first: tuple[Label, ...], second: tuple[Label, ...]) -> tuple[Label, ...]:
    return first + tuple(label for label in second if label not in first)


def _gain(bench: _Bench, judged: Judged, other: Judged) -> Gain:
    rule = bench.spec.gate.champion
    return gain(
        metric.METRICS[bench.name],
        judged,
        other,
        bench.block,
        confidence=rule.confidence,
        resamples=rule.resamples,
        seed=bench.spec.training.seed,
    )


def _pair(name: str, judged: Judged, other: Judged) -> tuple[float, float]:
    return metric.METRICS[name](judged), metric.METRICS[name](other)


def _evaluation(
    bench: _Bench,
    found: list[RuleResult],
    metrics: Mapping[str, float] = MappingProxyType({}),
    champion_metrics: Mapping[str, float] | None = None,
    constant_metrics: Mapping[str, float] = MappingProxyType({}),
) -> Evaluation:
    return Evaluation(
        model=bench.spec.name,
        run_id=bench.candidate.run_id,
        rows=len(bench.rows),
        window=bench.window,
        primary=bench.name,
        champion_version=None if bench.champion is None else bench.champion.version,
        candidate_metrics=dict(metrics),
        champion_metrics=champion_metrics,
        baseline_metrics=dict(constant_metrics),
        rules=tuple(found),
    )


def _mismatch(candidate: Candidate, evaluation: Evaluation) -> Problem:
    return Problem(
        code=ReasonCode.DECISION_MISMATCH,
        field="evaluation.run_id",
        found=f"an evaluation of {evaluation.model} run {evaluation.run_id}",
        allowed=f"one of {candidate.model} run {candidate.run_id}",
        fix="evaluate this candidate again",
    )
