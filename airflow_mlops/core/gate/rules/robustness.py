"""What broken input does to a model: values that go missing, noise, and a column that no longer belongs to its row.

Each is done to the judged rows, and the primary metric on them is compared with the one on the same rows as they are:

- `missing`: in every feature a share of the values is made missing, at random, independently;
- `noise`: normal noise on every numeric feature, in standard deviations of the feature on these rows. A feature of
  whole numbers stays one (noise is rounded), and one of 0 and 1 stays so: a fraction would never arrive there;
- `shuffled`: one feature is permuted over the rows. The drop is its permutation importance (Breiman, 2001; Fisher,
  Rudin and Dominici, 2019): a model that relies on one column fails with that column's source.

References
----------
L. Breiman (2001), Random forests, Machine Learning 45, section 10.
A. Fisher, C. Rudin, F. Dominici (2019), All models are wrong, but many are useful, JMLR 20.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.core.arrays import Array
from airflow_mlops.core.gate.rule import Asked, Rule, Seen
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.metrics import measure as metric
from airflow_mlops.core.pipeline.features import as_features
from airflow_mlops.core.pipeline.predict import predict_prepared
from airflow_mlops.core.pipeline.shuffle import shuffled
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import DROP, RELIANCE, Perturbation
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.text import SHORT, clip_text, format_number, metric_label
from airflow_mlops.spec.problems import ReasonCode

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MAX_ROWS = 10_000
"""Judged rows that are broken, chosen by the seed. More would hardly move a drop: it compares the same rows."""
MAX_SCORED = 400_000
"""Rows that are scored in all, once for each feature; of very many features each is shuffled on fewer rows."""
MIN_ROWS = 2_000


def judge(rule_input: RuleInput) -> RuleOutcome:
    """Break the input in every way, and judge by the bounds that are set.

    A model that cannot predict from the broken rows has a metric and a drop of NaN, which no bound lets pass.
    """
    import numpy as np

    rule, seed = rule_input.spec.gate.robustness, rule_input.spec.training.seed
    whole = _whole(rule_input, np.random.default_rng(seed))
    rng = np.random.default_rng([seed, 1])
    columns = list(whole.inputs.columns)
    mixed = [
        whole.broken("missing", f"{rule.missing * 100:g} % of all values", partial(_with_missing, rule.missing, rng)),
        whole.broken(
            "noise", f"{rule.noise:g} standard deviations on numeric features", partial(_with_noise, rule.noise, rng)
        ),
    ]
    shuffled = [whole.broken("shuffled", str(name), partial(_with_shuffled, name, rng)) for name in columns]
    # what failed first, then the largest drop
    shuffled.sort(key=lambda found: (-math.inf if math.isnan(found.drop) else -found.drop, found.what))
    rules = []
    if rule.max_drop is not None:
        rules.append(_rule(rule_input, DROP, "max_drop", rule.max_drop, mixed))
    if rule.max_reliance is not None:
        rules.append(_rule(rule_input, RELIANCE, "max_reliance", rule.max_reliance, shuffled))
    return RuleOutcome(rules=tuple(rules), evidence={"perturbations": (*mixed, *shuffled)})


@dataclass(frozen=True, kw_only=True, eq=False)
class _Whole:
    """The rows before they are broken; n rows."""

    rule_input: RuleInput
    inputs: pd.DataFrame
    """As the pipeline is given them: numbers and booleans float64, categories text, missing ones NaN."""
    labels: pd.Series[Any]
    weights: Array | None
    metric: float
    """The primary metric on them."""

    def broken(
        self,
        kind: Literal["missing", "noise", "shuffled"],
        what: str,
        change: Callable[[pd.DataFrame], pd.DataFrame],
    ) -> Perturbation:
        """The metric after a change of the rows; NaN when the model cannot predict from them."""
        found = _metric(self.rule_input, change(self.inputs), self.labels, self.weights, f"{kind}: {what}")
        # with a metric on neither, inf - inf is NaN as well
        drop = self.rule_input.sign * (self.metric - found)
        return Perturbation(kind=kind, what=what, metric=found, drop=drop, rows=len(self.inputs))


def _whole(rule_input: RuleInput, rng: Any) -> _Whole:
    import numpy as np

    chosen = np.arange(len(rule_input.rows))
    most = min(MAX_ROWS, max(MIN_ROWS, MAX_SCORED // len(rule_input.candidate.features)))
    if len(chosen) > most:
        chosen = np.sort(rng.choice(len(chosen), most, replace=False))
    inputs = as_features(rule_input.rows.iloc[chosen], rule_input.candidate.features)
    labels = rule_input.labels.iloc[chosen]
    weights = None if rule_input.judged.weights is None else rule_input.judged.weights[chosen]
    value = _metric(rule_input, inputs, labels, weights, "the rows as they are")
    return _Whole(rule_input=rule_input, inputs=inputs, labels=labels, weights=weights, metric=value)


def _metric(
    rule_input: RuleInput, inputs: pd.DataFrame, labels: pd.Series[Any], weights: Array | None, what: str
) -> float:
    """The primary metric of the candidate; NaN when it fails to predict, which the log tells in full."""
    try:
        predicted = predict_prepared(rule_input.pipeline, inputs, rule_input.candidate)
        return rule_input.metric(metric.judge(labels, predicted, weights=weights))
    except Exception:
        # whatever an estimator raises on input that it was not made for: that it fails is what was to be found out
        log.exception("%s could not predict from broken input (%s)", rule_input.spec.training.estimator, what)
        return math.nan


def _with_missing(share: float, rng: Any, inputs: pd.DataFrame) -> pd.DataFrame:
    import numpy as np

    gone = rng.random(inputs.shape) < share
    changed = {}
    for place, name in enumerate(inputs.columns):
        values = inputs[name].to_numpy(copy=True)  # in place: DataFrame.mask guesses new types
        values[gone[:, place]] = math.nan if values.dtype.kind != "M" else np.datetime64("NaT")
        changed[name] = values
    return inputs.assign(**changed)


def _with_noise(size: float, rng: Any, inputs: pd.DataFrame) -> pd.DataFrame:
    import numpy as np

    changed = {}
    for name in inputs.select_dtypes("number").columns:
        values = inputs[name].to_numpy()
        known = values[np.isfinite(values)]
        if not len(known):
            continue
        noisy = values + rng.normal(scale=size * known.std(), size=len(values))
        if (known == np.round(known)).all():
            noisy = np.round(noisy)
            if known.min() >= 0 and known.max() <= 1:
                noisy = np.clip(noisy, 0, 1)
        changed[name] = noisy
    return inputs.assign(**changed)


def _with_shuffled(name: str, rng: Any, inputs: pd.DataFrame) -> pd.DataFrame:
    return shuffled(inputs, [name], rng.permutation(len(inputs)))


def _rule(rule_input: RuleInput, about: str, field: str, bound: float, found: list[Perturbation]) -> RuleResult:
    """The worst of some perturbations against its bound; NaN is worse than any number."""
    worst = max(found, key=lambda one: math.inf if math.isnan(one.drop) else one.drop)
    fine = worst.drop <= bound
    how = f"with {worst.what} missing" if worst.kind == "missing" else f"under noise of {worst.what}"
    if worst.kind == "shuffled":
        how = f"with column {worst.what!r} shuffled"
    name = metric_label(rule_input.metric.name)
    if math.isfinite(worst.drop):
        reason = (
            f"{name} {worst.metric:.4g} {how}, a drop of {worst.drop:.4g} on {worst.rows:,} rows, where "
            f"gate.robustness.{field} allows {bound:g}"
        )
    else:
        reason = (
            f"the model gives no finite {name} {how}, on {worst.rows:,} rows: the task's log tells why; choose an "
            "estimator or features.transformer that can take such rows"
        )
    return RuleResult(
        rule="robustness",
        metric=about,
        verdict=Verdict.ACCEPT if fine else Verdict.REJECT,
        value=worst.drop,
        bound=f"<= {bound:g}",
        rows=worst.rows,
        code=None if fine else ReasonCode.NOT_ROBUST,
        reason=reason,
    )


def _owed(asked: Asked) -> Iterator[str | None]:
    rule = asked.spec.gate.robustness
    if rule.max_drop is not None:
        yield DROP
    if rule.max_reliance is not None:
        yield RELIANCE


def sections(seen: Seen) -> Iterator[Section]:
    """Word how much worse the candidate is on broken rows, the largest drop first."""
    kinds = {"missing": "made missing", "noise": "noise", "shuffled": "shuffled column"}
    found = seen.evaluation.evidence.perturbations
    worst = sorted(found, key=lambda item: -item.drop if math.isfinite(item.drop) else -math.inf)
    yield Section(
        key="perturbations",
        title="Robustness",
        headings=("broken by", "what", seen.metric, "drop", "rows"),
        rows=tuple(
            (
                kinds[item.kind],
                clip_text(item.what, SHORT),
                format_number(item.metric),
                format_number(item.drop),
                f"{item.rows:,}",
            )
            for item in worst
        ),
    )


RULE = Rule(
    name="robustness",
    owed=_owed,
    judge=judge,
    part=True,
    evidence=frozenset({"perturbations"}),
    sections=sections,
    advice={
        ReasonCode.NOT_ROBUST: "See the drops below: the model leans on input that may be missing one day.",
    },
)
