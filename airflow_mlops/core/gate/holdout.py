"""Set up the rows on which candidate and champion are compared, and let both predict them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.gate.rules import champion as rules
from airflow_mlops.core.gate.rules.holdout import champion_unseen, holdout_size, one_label
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.pipeline.predict import Predicted, predict
from airflow_mlops.core.records.candidate import Candidate, Champion, Label
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.snapshot import Snapshot, Window
from airflow_mlops.core.rows.labels import clean_labels
from airflow_mlops.core.rows.weights import row_weights
from airflow_mlops.core.rows.windows import rows_within
from airflow_mlops.core.stats.bootstrap import blocks_of, panel_entities
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Refusal

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False)
class HoldoutComparison:
    """Who is judged and by what: the arguments of an evaluation."""

    spec: ModelSpec
    candidate: Candidate
    pipeline: Any
    champion: Champion | None
    champion_pipeline: Any
    """None when the champion's model could not be read."""
    frame: pd.DataFrame
    """Every row of the candidate's snapshot."""
    snapshot: Snapshot


FEWEST_BLOCKS = 12
"""Blocks that a holdout which a change has shortened is cut into."""


def judging_spec(spec: ModelSpec, candidate: Candidate) -> ModelSpec:
    """Return the specification with blocks that fit into a holdout which begins at a change.

    Such a holdout may be a few days long, and blocks of a day would leave nothing to resample. Shorter ones take rows
    of one day for more independent than they are, so that a gain may look surer than it is; that something changed is
    sure already, by the blocks of the champion's whole service.
    """
    rule = spec.gate.champion
    if candidate.changed is None or rule.entity is not None or rule.block is None:
        return spec
    longest = (candidate.holdout.end - candidate.holdout.start) / FEWEST_BLOCKS
    if rule.block <= longest:
        return spec
    shorter = rule.model_copy(update={"block": longest})
    return spec.model_copy(update={"gate": spec.gate.model_copy(update={"champion": shorter})})


@dataclass(frozen=True, kw_only=True, eq=False)
class HoldoutRows:
    """The rows that are judged on, before any model has seen them."""

    frame: pd.DataFrame
    labels: pd.Series[Any]
    window: Window
    comparable: bool
    """Whether there is a champion, and it was trained on none of them."""
    rules: tuple[RuleResult, ...]


def judged_rows(comparison: HoldoutComparison) -> HoldoutRows:
    """The labelled holdout rows, less what the champion was trained on where enough are left."""
    spec, candidate, champion = comparison.spec, comparison.candidate, comparison.champion
    window = candidate.holdout
    frame, labels = labelled(comparison, window)
    found = [holdout_size(len(frame), spec.gate)]
    comparable = champion is not None
    if champion is not None and champion.candidate.train.end > window.start:
        new = (frame[spec.data.time] >= champion.candidate.train.end).to_numpy()
        found.append(champion_unseen(int(new.sum()), spec.gate, champion))
        comparable = found[-1].verdict is Verdict.ACCEPT
        if comparable:
            window = Window(start=champion.candidate.train.end, end=window.end)
            frame, labels = frame[new], labels[new]
    if labels.nunique() == 1:  # training looks too, but at the whole holdout
        found.append(one_label(len(labels), spec.data.label))
    return HoldoutRows(frame=frame, labels=labels, window=window, comparable=comparable, rules=tuple(found))


def labelled(comparison: HoldoutComparison, window: Window) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Rows of a window that have a label, sorted by event time, and their labels."""
    spec = comparison.spec
    return clean_labels(
        spec, rows_within(comparison.frame, spec.data.time, window), comparison.candidate.task != "regression"
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredModels:
    """Both models on the same rows."""

    inputs: RuleInput
    champion_metrics: Mapping[str, float] | None


def score_models(comparison: HoldoutComparison, rows: HoldoutRows) -> ScoredModels:
    """Let both models predict the rows."""
    spec, candidate, champion = comparison.spec, comparison.candidate, comparison.champion
    (weights,) = row_weights(spec, rows.frame)
    ours = predict(comparison.pipeline, rows.frame, candidate)
    theirs = champion_predictions(comparison, rows.frame) if rows.comparable else None
    broken = None
    classes: tuple[Label, ...] = ours.classes
    name = metric.primary(spec, candidate.task)
    if isinstance(theirs, str) and champion is not None:
        broken = rules.champion_unreadable(name, champion.version, len(rows.frame), theirs)
    other, champion_metrics = None, None
    known = metric.metrics_of(spec)
    if isinstance(theirs, Predicted) and champion is not None:
        # The gain is judged by the classes of both; each model's own metrics by its own.
        classes += tuple(label for label in champion.candidate.classes if label not in classes)
        other = metric.judge(rows.labels, theirs, classes, weights)
        champion_metrics = metric.measure(metric.judge(rows.labels, theirs, None, weights), spec)
    train, train_labels = labelled(comparison, candidate.train)
    inputs = RuleInput(
        spec=spec,
        candidate=candidate,
        pipeline=comparison.pipeline,
        champion=champion,
        snapshot=comparison.snapshot,
        metric=known[name],
        window=rows.window,
        rows=rows.frame,
        labels=rows.labels,
        block=blocks_of(spec, rows.frame),
        entities=panel_entities(spec, rows.frame),
        judged=metric.judge(rows.labels, ours, classes, weights),
        other=other,
        train=train,
        train_labels=train_labels,
        serving=None,
    )
    own = metric.judge(rows.labels, ours, None, weights)
    mine = metric.measure(own, spec)
    inputs = replace(inputs, own=own, candidate_metrics=mine, champion_refused=broken)
    return ScoredModels(inputs=inputs, champion_metrics=champion_metrics)


def champion_predictions(comparison: HoldoutComparison, frame: pd.DataFrame) -> Predicted | str | None:
    """What the champion says of the rows, or why it says nothing."""
    champion = comparison.champion
    if champion is None:
        return None
    stranger = _another_question(comparison.candidate, champion.candidate)
    if stranger is not None:
        return stranger
    if comparison.champion_pipeline is None:
        return "its stored model could not be read"
    try:
        return predict(comparison.champion_pipeline, frame, champion.candidate)
    except Refusal as refusal:
        return "; ".join(f"{problem.field}: {problem.found}" for problem in refusal.problems)
    except Exception as error:  # noqa: BLE001 - whatever an old model raises is a rejection with its reason
        return f"{type(error).__name__} while it predicted"


def _another_question(candidate: Candidate, champion: Candidate) -> str | None:
    """Why the champion answers another question than the candidate; None when it does not.

    Judged all the same, a champion that knows none of the classes is wrong in every row, and any candidate better.
    """
    if (champion.task == "regression") != (candidate.task == "regression"):
        return f"it is a model for {champion.task}, the candidate one for {candidate.task}"
    if candidate.task == "regression" or _classes(champion) & _classes(candidate):
        return None
    return (
        f"none of its {len(champion.classes)} classes ({_kinds(champion)}) is one of the candidate's"
        f" {len(candidate.classes)} ({_kinds(candidate)}): the label has changed since"
    )


def _classes(model: Candidate) -> set[tuple[bool, Label]]:
    """Class labels as data tell them apart: to Python, 1 and True are the same."""
    return {(isinstance(label, bool), label) for label in model.classes}


def _kinds(model: Candidate) -> str:
    return " and ".join(sorted({type(label).__name__ for label in model.classes}))
