"""What a candidate must show before it may serve."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.fields import choice, duration, number, part, parts, text, whole
from airflow_mlops.spec.gate_rules import (
    CalibrationRule,
    ConvergenceRule,
    CustomMetric,
    FairnessRule,
    LeakageRule,
    Mode,
    RobustnessRule,
    ServingRule,
    SliceRule,
    mode,
)
from airflow_mlops.spec.value_checks import metric

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem


class ChampionRule(SpecModel):
    """The comparison with the model that serves, on rows that neither was trained on."""

    hypothesis: Literal["superiority", "noninferiority"] = choice(
        "superiority",
        "noninferiority",
        default="superiority",
        doc="superiority: lower bound > margin; noninferiority: lower bound > -margin.",
    )
    margin: float = number(default=0.0, ge=0, doc="In units of the primary metric.")
    confidence: float = number(default=0.95, gt=0.5, lt=1, doc="One-sided level of the interval's lower bound.")
    resamples: int = whole(default=2000, ge=200, le=100_000, doc="Bootstrap resamples of the holdout rows.")
    block: timedelta | None = duration(
        default="1d", nullable=True, doc="Rows of one block of time are resampled together; null: row by row."
    )
    entity: str | None = text(
        default=None,
        words="column",
        doc="Rows with one value of this column (a customer, a plane) are resampled together, not by time.",
    )

    def problems_within(self) -> Iterator[Problem]:
        """One way to resample."""
        if self.entity is not None and self.block is not None and "block" in self.changed_fields():
            yield wrong(
                field="entity",
                found=f"entity {self.entity!r} beside a block of time",
                allowed="rows resampled by entity or by block of time, not both",
                fix="remove one of them",
            )


class AbsoluteRule(SpecModel):
    """A metric's bounds, whoever the champion is."""

    metric: str = text(words="[metric](#metrics)", check=metric, doc="Metric that is bounded.")
    min: float | None = number(default=None, doc="Smallest value that passes.")
    max: float | None = number(default=None, doc="Largest value that passes.")

    def problems_within(self) -> Iterator[Problem]:
        """Some bound, and the two in order."""
        if self.min is None and self.max is None:
            yield wrong(
                code="spec_missing_field",
                field="",
                found="neither 'min' nor 'max'",
                allowed="at least one of 'min' and 'max'",
                fix="add the bound that the metric must keep",
            )
        elif self.min is not None and self.max is not None and self.min > self.max:
            yield wrong(
                field="min",
                found=f"min {self.min:g} above max {self.max:g}",
                allowed="min not above max",
                fix="exchange or correct them",
            )


class BaselineRule(SpecModel):
    """The gain over a model that ignores its input: class prior, or mean."""

    min_gain: float = number(default=0.0, doc="Lower bound of the gain must be above this.")


class GateSpec(SpecModel):
    """Rules that a candidate must pass; what is missing or not finite is a rejection."""

    mode: Mode = mode("Every rule that is not about the champion's order in time")
    primary: str | None = text(
        default=None,
        words="[metric](#metrics)",
        check=metric,
        doc="log_loss for classification, rmse for regression, when left out.",
    )
    holdout: timedelta = duration(default="14d", doc="The newest part of the window: judged on, not trained on.")
    min_rows: int = whole(default=200, ge=20, doc="Fewest holdout rows to decide on.")
    champion: ChampionRule = part(ChampionRule, default={}, doc="The comparison with the champion.")
    absolute: tuple[AbsoluteRule, ...] = parts(AbsoluteRule, doc="Bounds of metrics.")
    baseline: BaselineRule = part(BaselineRule, default={}, doc="The comparison with a trivial model.")
    metrics: tuple[CustomMetric, ...] = parts(CustomMetric, doc="Metrics of the team's own.")
    slices: SliceRule = part(SliceRule, default={}, doc="Parts of the rows, judged one by one.")
    fairness: FairnessRule = part(FairnessRule, default={}, doc="Differences between protected groups.")
    calibration: CalibrationRule = part(CalibrationRule, default={}, doc="Whether probabilities mean what they say.")
    convergence: ConvergenceRule = part(ConvergenceRule, default={}, doc="Whether training ended by itself.")
    robustness: RobustnessRule = part(RobustnessRule, default={}, doc="What broken input does to the predictions.")
    leakage: LeakageRule = part(LeakageRule, default={}, doc="What features and rows may know of the label.")
    serving: ServingRule = part(ServingRule, default={}, doc="The stored model, as it will be served.")
    first_model: Literal["beat_baseline", "reject"] = choice(
        "beat_baseline",
        "reject",
        default="beat_baseline",
        doc="With no champion yet: beat_baseline accepts a candidate that passes every other rule; reject never does.",
    )

    def problems_within(self) -> Iterator[Problem]:
        """Bounds of one metric in several entries, that no value keeps."""
        for name in dict.fromkeys(rule.metric for rule in self.absolute):
            mine = [rule for rule in self.absolute if rule.metric == name]
            low = max((rule.min for rule in mine if rule.min is not None), default=None)
            high = min((rule.max for rule in mine if rule.max is not None), default=None)
            if len(mine) > 1 and low is not None and high is not None and low > high:
                yield wrong(
                    field="absolute",
                    found=f"{name} at least {low:g} in one entry, and at most {high:g} in another",
                    allowed="bounds that some value keeps",
                    fix="correct one of them, and write both bounds of a metric in one entry",
                )
