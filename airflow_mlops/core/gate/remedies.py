"""What may help a first model that was refused: which few settings there are to change, and what points to which.

A refusal is right and still no end: of a model that ranks well and is too sure of itself, calibration makes a useful
one; one that has learned its own rows by heart needs fewer parameters; a gain that is there and not sure needs more
rows. Each of these can be seen in the rows that the gate has judged:

- *calibrate*: the calibration slope (Cox, 1958) is surely above 0, so that the probabilities rank, and surely below 1,
  so that they are too far from the middle;
- *metric*: by a metric of rankings the constant is surely beaten. Of rare events average precision says more than the
  area under the ROC curve (Saito and Rehmsmeier, 2015). Of a regression, absolute errors where the squared ones hang on
  a few rows: they are worth fewer equal ones (Kish, 1965, section 11.7) than `gate.min_rows`. The estimator is then to
  learn by absolute errors, too, where it can;
- *simplify*: on the newest of its training rows it surely gains more than on the judged ones. The difference is the
  optimism of its own rows (Efron, 1983), and fewer parameters have less of it;
- *holdout*: the observed gain is above the bound, and so many rows would show it
  (:mod:`airflow_mlops.core.stats.power`);
- *window*: fewer than twenty events for each feature (Ogundimu, Altman and Collins, 2016).

Nothing is promised: these are the first things to try, and :func:`airflow_mlops.core.backtest.advise` tries them.

References
----------
D. R. Cox (1958), Two further applications of a model for binary regression, Biometrika 45.
B. Efron (1983), Estimating the error rate of a prediction rule, J. Am. Stat. Assoc. 78.
L. Kish (1965), Survey sampling.
E. O. Ogundimu, D. G. Altman, G. S. Collins (2016), Adequate sample size for developing prediction models is not simply
related to events per variable, J. Clin. Epidemiol. 76.
T. Saito, M. Rehmsmeier (2015), The precision-recall plot is more informative than the ROC plot when evaluating binary
classifiers on imbalanced datasets, PLoS ONE 10.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.gate.rules.champion import estimate_gain_over
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.metrics.baseline import trivial
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.pipeline.simpler import LearnedFrom, absolute_loss, simpler_parameters
from airflow_mlops.core.records.candidate import Candidate, Task
from airflow_mlops.core.records.decision import Remedy, RuleResult, Verdict
from airflow_mlops.core.rows.weights import row_weights
from airflow_mlops.core.stats.bootstrap import MIN_BLOCKS, Gain, blocks_of, panel_entities
from airflow_mlops.core.stats.calibration_slope import calibration_slope
from airflow_mlops.core.text import format_number, metric_label
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.types import format_duration

TITLES = {
    "calibrate": "calibrated probabilities",
    "simplify": "a simpler estimator",
    "metric": "another metric",
    "holdout": "a longer holdout",
    "window": "a longer window",
}
"""Every remedy there is, and its name for a person; in the order in which the evidence is asked."""
SURE = 1.96
"""Standard errors that a slope lies off."""
EVENTS_PER_FEATURE = 20
MOST_TIMES = 4
"""A holdout is made at most so many times as long."""
OWN_ROWS = 20_000
"""Newest training rows that are predicted, to see what the model has learned by heart."""
RARE = 0.05
"""Share of the rarest class below which it is called rare: King and Zeng (2001) have corrections for 5 % and fewer."""
_RANKINGS = frozenset({"average_precision", "roc_auc"})
_ROBUST = frozenset({"mae", "median_absolute_error"})
_TRAINED = frozenset({"baseline", "absolute", "calibration"})
"""Rules whose refusal may be due to how the model was trained."""


def learned_from(labels: Any, task: Task) -> LearnedFrom:
    """Count rows and events of training labels, shape (n,)."""
    counts = None if task == "regression" else labels.value_counts()
    return LearnedFrom(rows=len(labels), events=len(labels) if counts is None or not len(counts) else int(counts.min()))


def applicable_settings(
    spec: ModelSpec, candidate: Candidate, of: LearnedFrom, *, longer: int = 2
) -> Mapping[str, Mapping[str, Any]]:
    """Return what each remedy would write into the specification, by dotted path, of those that change something.

    Parameters
    ----------
    candidate
        What was trained by the specification: its task, and whether it is calibrated already.
    of
        What it learned from.
    longer
        How many times as long the holdout is to be. The window grows with it, so that as much is learned from.
    """
    data, training, gate = spec.data, spec.training, spec.gate
    searched = frozenset() if training.search is None else training.search.parameters.keys()
    simpler = simpler_parameters(training.estimator, training.parameters, of)
    longer_window = data.window + (longer - 1) * gate.holdout
    found: dict[str, Mapping[str, Any]] = {
        "calibrate": {"training.calibration": "always"} if _may_be_calibrated(spec, candidate) else {},
        "simplify": {f"training.parameters.{name}": to for name, to in simpler.items() if name not in searched},
        "metric": _by_other_metric(spec, candidate.task),
        "holdout": {
            "gate.holdout": format_duration(longer * gate.holdout),
            "data.window": format_duration(longer_window),
        },
        "window": {"data.window": format_duration(2 * data.window)},
    }
    return {name: settings for name, settings in found.items() if settings}


def _by_other_metric(spec: ModelSpec, task: Task) -> Mapping[str, Any]:
    """Judge by the other metric; a regression also learns by it, where the specification leaves that open."""
    name = other_metric(metric.primary(spec, task), task)
    taught = absolute_loss(spec.training.estimator) if name in _ROBUST else {}
    learns = {f"training.parameters.{key}": to for key, to in taught.items() if key not in spec.training.parameters}
    return {"gate.primary": name, **learns}


def other_metric(primary: str, task: Task) -> str:
    """Return the metric that sees another side: rankings beside probabilities, absolute errors beside squares.

    >>> other_metric("log_loss", "binary"), other_metric("rmse", "regression")
    ('average_precision', 'mae')
    """
    if task == "regression":
        return "rmse" if primary in _ROBUST else "mae"
    return "log_loss" if primary in _RANKINGS else "average_precision"


def settings_for_rare(of: LearnedFrom) -> Mapping[str, Any]:
    """Return what a new specification says where the label is rare; nothing where it is not.

    Probabilities are calibrated from the start, and average precision is held beside log loss: a ranking that is worse
    than chance is refused, however well the mean probability fits.

    Parameters
    ----------
    of
        The labels that there are: of a classification.

    References
    ----------
    G. King, L. Zeng (2001), Logistic regression in rare events data, Political Analysis 9.

    Examples
    --------
    >>> settings_for_rare(LearnedFrom(rows=20_000, events=100))
    {'training.calibration': 'always', 'gate.absolute': [{'metric': 'average_precision', 'min': 0.005}]}
    >>> settings_for_rare(LearnedFrom(rows=20_000, events=9_000))
    {}
    """
    share = of.events / of.rows if of.rows else 1.0
    if share >= RARE:
        return {}
    # The average precision of a ranking by chance is the share of the positives.
    beside = {"metric": "average_precision", "min": float(f"{share:.2g}")}
    return {"training.calibration": "always", "gate.absolute": [beside]}


def find_remedies(inputs: RuleInput, found: Sequence[RuleResult]) -> tuple[Remedy, ...]:
    """Return the remedies that the evidence points to, where no champion serves and the candidate was refused.

    Parameters
    ----------
    inputs
        The judged rows, and what candidate and constant say of them.
    found
        Every result of the gate.
    """
    refused = {one.rule: one for one in reversed(found) if one.verdict is not Verdict.ACCEPT}
    if inputs.champion is not None or inputs.constant is None or not inputs.judged.finite:
        return ()
    if not refused.keys() & _TRAINED:
        return ()
    of = learned_from(inputs.train_labels, inputs.candidate.task)
    settings = applicable_settings(inputs.spec, inputs.candidate, of, longer=_times_longer(refused))
    seen = _seen(inputs, refused, of)
    return tuple(
        Remedy(name=name, title=TITLES[name], because=because, settings=settings[name])  # type: ignore[arg-type]
        for name, because in seen
        if name in settings
    )


def with_remedies(found: Sequence[RuleResult], remedies: Sequence[Remedy], model: str) -> list[RuleResult]:
    """Let the refusal of a first model name what it points to: its reason stands first, wherever reasons are told.

    What it points to stands at the beginning, because the history prints only that.
    """
    refused = any(one.rule == "baseline" and one.verdict is not Verdict.ACCEPT for one in found)
    if not (remedies or refused):
        return list(found)
    return [_pointing(one, _pointed(remedies, model)) if one.rule == "first_model" else one for one in found]


def _pointing(first: RuleResult, pointed: str) -> RuleResult:
    if first.verdict is Verdict.ACCEPT:
        return first
    asked, _, seen = first.reason.rpartition(": ")
    return replace(first, reason=f"{seen}; {pointed}; {asked}")


def _pointed(remedies: Sequence[Remedy], model: str) -> str:
    tries = f"`airflow mlops advise {model}` tries"
    if not remedies:
        return (
            "nothing in the evidence points to a remedy, and the columns may hold nothing about the label;"
            f" {tries} what there is"
        )
    first, last = remedies[0], remedies[-1].title
    titles = f"{', '.join(one.title for one in remedies[:-1])} or {last}" if len(remedies) > 1 else last
    return f"the evidence points to {titles} ({first.title}: {first.because}); {tries} them on history"


def _may_be_calibrated(spec: ModelSpec, candidate: Candidate) -> bool:
    """Whether calibration would change anything: of a classifier whose probabilities are not calibrated yet."""
    done = "calibration" in candidate.parameters or spec.training.calibration == "always"
    return candidate.task != "regression" and not done


def _times_longer(refused: Mapping[str, RuleResult]) -> int:
    """How many times as long a holdout would show the observed gain; 2 where that is not known."""
    over = refused.get("baseline")
    if over is None or over.rows_needed is None or not over.rows:
        return 2
    return max(2, min(MOST_TIMES, math.ceil(over.rows_needed / over.rows)))


def _seen(inputs: RuleInput, refused: Mapping[str, RuleResult], of: LearnedFrom) -> Iterator[tuple[str, str]]:
    """Yield what points to which remedy, in words."""
    yield from _overconfident(inputs, refused.get("calibration"))
    over = refused.get("baseline")
    if over is not None:
        yield from _learned_by_heart(inputs, over)
        yield from _beaten_otherwise(inputs)
        yield from _not_sure(over)
    features = len(inputs.candidate.features)
    if features and of.events < EVENTS_PER_FEATURE * features:
        what = "rows" if inputs.candidate.task == "regression" else "rows of the rarest class"
        yield "window", f"it learned from {of.events:,} {what}, for {features} features"


def _overconfident(inputs: RuleInput, calibration: RuleResult | None) -> Iterator[tuple[str, str]]:
    import numpy as np

    judged = inputs.judged if inputs.own is None else inputs.own
    if judged.probabilities is None:
        return
    if calibration is not None:
        yield "calibrate", calibration.reason
        return
    binary = judged.task == "binary"
    wanted = slice(1, 2) if binary else slice(None)
    came = judged.y_true[:, None] == np.arange(judged.known.shape[1])[None, :]
    slope, error = calibration_slope(judged.known[:, wanted].ravel(), came[:, wanted].ravel())
    low, high = slope - SURE * error, slope + SURE * error
    if math.isfinite(error) and low > 0 and high < 1:
        interval = f"{format_number(slope)} ({format_number(low)} to {format_number(high)})"
        sure = f"the probabilities rank, and are too sure of themselves: calibration slope {interval}"
        yield "calibrate", f"{sure}, where 1 means what it says"


def _learned_by_heart(inputs: RuleInput, over: RuleResult) -> Iterator[tuple[str, str]]:
    own = _gain_on_own_rows(inputs)
    seen = over.value if over.value is not None and math.isfinite(over.value) else -math.inf
    if own is not None and math.isfinite(own.lower) and own.lower > max(0.0, seen):
        gains = (
            f"{format_number(own.value)} in {metric_label(inputs.metric.name)}, on others {format_number(over.value)}"
        )
        yield "simplify", f"on the rows that it learned from its gain over the constant is {gains}"


def _gain_on_own_rows(inputs: RuleInput) -> Gain | None:
    """Gain over the constant on the newest training rows; None where there are none to speak of."""
    rows = inputs.train.iloc[-OWN_ROWS:]
    if len(rows) < MIN_BLOCKS:
        return None
    labels = inputs.train_labels.iloc[-OWN_ROWS:]
    (weights,) = row_weights(inputs.spec, rows)
    said = metric.judge(labels, predict(inputs.pipeline, rows, inputs.candidate), None, weights)
    name = inputs.metric.name
    ignorant = trivial(inputs.candidate, labels, len(rows), name, weights)
    own = replace(
        inputs, rows=rows, block=blocks_of(inputs.spec, rows), entities=panel_entities(inputs.spec, rows), judged=said
    )
    return estimate_gain_over(own, said, metric.judge(labels, ignorant, None, weights))


def _beaten_otherwise(inputs: RuleInput) -> Iterator[tuple[str, str]]:
    """By another metric the constant is surely beaten, or would be if a few rows did not decide."""
    judged = inputs.judged if inputs.own is None else inputs.own
    name = other_metric(inputs.metric.name, inputs.candidate.task)
    if inputs.candidate.task == "regression":
        if name in _ROBUST:
            yield from _few_rows_decide(inputs, name)
        return
    if name not in inputs.candidate_metrics:  # one of probabilities, and there are none
        return
    other = metric.METRICS[name]
    (weights,) = row_weights(inputs.spec, inputs.train)
    ignorant = trivial(inputs.candidate, inputs.train_labels, len(inputs.rows), name, weights)
    constant = metric.judge(inputs.labels, ignorant, None, judged.weights)
    gain = estimate_gain_over(replace(inputs, metric=other), judged, constant)
    if math.isfinite(gain.lower) and gain.lower > 0:
        values = f"{format_number(other(judged))} against the constant's {format_number(other(constant))}"
        yield "metric", f"by {metric_label(name)} the constant is surely beaten: {values}"


def _few_rows_decide(inputs: RuleInput, name: str) -> Iterator[tuple[str, str]]:
    import numpy as np

    if inputs.constant is None:
        return
    off = (inputs.constant.y_true - inputs.constant.y_pred) ** 2
    squares = off if inputs.judged.weights is None else off * inputs.judged.weights
    worth = float(squares.sum() ** 2 / np.square(squares).sum()) if squares.any() else math.inf
    if worth < inputs.spec.gate.min_rows:
        rows = f"{len(off):,} rows weigh as {worth:,.0f} equal ones"
        yield "metric", f"in squared errors {rows}, so that a few large labels decide; {metric_label(name)} hears all"


def _not_sure(over: RuleResult) -> Iterator[tuple[str, str]]:
    """More judged rows would show what is there."""
    if over.rows_needed is not None:
        needed = f"about {over.rows_needed:,} rows, and there are {over.rows:,}"
        yield "holdout", f"the observed gain of {format_number(over.value)} would be sure on {needed}"
    elif over.verdict is Verdict.INCONCLUSIVE:
        yield "holdout", over.reason
