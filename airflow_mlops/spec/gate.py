"""What a candidate must show before it may serve."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from airflow_mlops.spec.checks import metric
from airflow_mlops.spec.fields import choice, duration, number, part, parts, text, whole
from airflow_mlops.spec.part import Part
from airflow_mlops.spec.problems import Problem, ReasonCode


class ChampionRule(Part):
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


class AbsoluteRule(Part):
    """A metric's bounds, whoever the champion is."""

    metric: str = text(words="[metric](#metrics)", check=metric, doc="Metric that is bounded.")
    min: float | None = number(default=None, doc="Smallest value that passes.")
    max: float | None = number(default=None, doc="Largest value that passes.")

    def problems_within(self) -> Iterator[Problem]:
        """Some bound, and the two in order."""
        if self.min is None and self.max is None:
            yield Problem(
                code=ReasonCode.SPEC_MISSING_FIELD,
                field="",
                found="neither 'min' nor 'max'",
                allowed="at least one of 'min' and 'max'",
                fix="add the bound that the metric must keep",
            )
        elif self.min is not None and self.max is not None and self.min > self.max:
            yield Problem(
                code=ReasonCode.SPEC_INVALID_VALUE,
                field="min",
                found=f"min {self.min:g} above max {self.max:g}",
                allowed="min not above max",
                fix="exchange or correct them",
            )


class BaselineRule(Part):
    """The gain over a model that ignores its input: class prior, or mean."""

    min_gain: float = number(default=0.0, doc="Lower bound of the gain must be above this.")


class LeakageRule(Part):
    """A single feature that nearly knows the label is a leak until shown otherwise."""

    max_power: float = number(
        default=0.98,
        gt=0.5,
        le=1,
        doc="AUC (classification) or absolute rank correlation (regression) of one feature.",
    )


class GateSpec(Part):
    """Rules that a candidate must pass; what is missing or not finite is a rejection."""

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
    leakage: LeakageRule = part(LeakageRule, default={}, doc="How much a single feature may know.")
    first_model: Literal["beat_baseline", "reject"] = choice(
        "beat_baseline",
        "reject",
        default="beat_baseline",
        doc="With no champion yet: beat_baseline accepts a candidate that passes every other rule; reject never does.",
    )
