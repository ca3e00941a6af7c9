"""The gate's rules beyond the comparison of two numbers: slices, fairness, calibration, leakage, serving and others."""

from __future__ import annotations

from typing import Any, Literal

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.fields import choice, flag, number, plain_mapping, text, texts, whole
from airflow_mlops.spec.value_checks import import_path

Mode = Literal["enforce", "dry_run", "off"]


def mode(what: str = "The rule") -> Any:
    """Whether a rule counts, is only recorded, or is not evaluated."""
    doc = f"{what} counts (enforce), is only recorded (dry_run), or is not evaluated (off)."
    return choice("enforce", "dry_run", "off", default="enforce", doc=doc)


class CustomMetric(SpecModel):
    """A metric of the team's own: rules name it by its import path, wherever they name a metric."""

    path: str = text(
        words="import path",
        check=import_path,
        doc="A function (y_true, y_pred, sample_weight=None) -> number or array.",
    )
    kind: Literal["classification", "regression"] = choice("classification", "regression", doc="The task it is for.")
    greater_is_better: bool = flag(default=False, doc="The metric's direction.")
    needs: Literal["labels", "probabilities"] = choice(
        "labels",
        "probabilities",
        default="labels",
        doc="What y_pred is: labels (or a regression's values), or probabilities, shape (n, classes).",
    )
    per_row: bool = flag(
        default=False,
        doc="The function gives one number for each row, of which the metric is the weighted mean: much faster.",
    )


class SliceRule(SpecModel):
    """No part of the rows may be sacrificed for the whole."""

    mode: Mode = mode()
    columns: tuple[str, ...] = texts(
        default=(), words="list of columns", doc="Columns whose values are judged one by one; none: no such rule."
    )
    bins: int = whole(default=4, ge=2, le=50, doc="Quantile bins that a numeric column is cut into.")
    required: dict[str, Any] = plain_mapping(
        doc="Values, by column, that must be among the rows: `{origin: [EWR, JFK]}`; a missing one is a rejection."
    )
    min_rows: int = whole(default=200, ge=20, doc="Smaller slices are listed, but not judged.")
    max_drop: float | None = number(
        default=0.0,
        ge=0,
        nullable=True,
        doc="Largest allowed drop of the primary metric against the champion, in any slice; null: not judged.",
    )
    max_gap: float | None = number(
        default=None, ge=0, doc="Largest allowed drop against the whole holdout, in any slice; null: not judged."
    )
    weakest: int = whole(default=5, ge=0, le=50, doc="How many of the weakest segments are searched for and listed.")


class FairnessRule(SpecModel):
    """Differences between the groups of protected attributes."""

    mode: Mode = mode()
    columns: tuple[str, ...] = texts(
        default=(), words="list of columns", doc="Protected attributes; they need not be features. None: no such rule."
    )
    max_demographic_parity_difference: float | None = number(
        default=0.1, gt=0, le=1, nullable=True, doc="Largest difference of selection rates; null: reported only."
    )
    max_equalized_odds_difference: float | None = number(
        default=0.1,
        gt=0,
        le=1,
        nullable=True,
        doc="Largest difference of true or false positive rates; null: reported only.",
    )
    max_metric_difference: float | None = number(
        default=None, gt=0, doc="Largest difference of the primary metric between groups; null: reported only."
    )
    min_rows: int = whole(default=100, ge=20, doc="Smaller groups are listed, but not judged.")


class CalibrationRule(SpecModel):
    """Whether probabilities mean what they say."""

    mode: Mode = mode()
    bins: int = whole(default=10, ge=2, le=100, doc="Bins of equal numbers of rows.")
    max_error: float | None = number(
        default=None, gt=0, le=1, doc="Largest expected calibration error; null: reported only."
    )


class ConvergenceRule(SpecModel):
    """Whether the optimiser ended because it was done."""

    mode: Mode = mode()


class RobustnessRule(SpecModel):
    """How much the primary metric suffers from broken input."""

    mode: Mode = mode()
    missing: float = number(default=0.1, gt=0, le=1, doc="Share of the values that are made missing, in every feature.")
    noise: float = number(
        default=0.1, gt=0, doc="Noise added to numeric features, in standard deviations of the feature."
    )
    max_drop: float | None = number(
        default=None, gt=0, doc="Largest allowed drop under missing values or noise; null: reported only."
    )
    max_reliance: float | None = number(
        default=None, gt=0, doc="Largest allowed drop when one column is shuffled; null: reported only."
    )


class LeakageRule(SpecModel):
    """A feature that nearly knows the label is a leak until shown otherwise."""

    mode: Mode = mode()
    max_power: float = number(
        default=0.98,
        gt=0.5,
        le=1,
        doc="AUC (classification) or absolute rank correlation (regression) of one feature.",
    )
    max_overlap: float = number(
        default=0.01, ge=0, le=1, doc="Largest share of holdout rows that are also training rows, by key or by content."
    )
    known_with_label: bool = flag(
        default=True, doc="Whether a feature that is missing exactly where the label is missing counts as a leak."
    )
    reviewed: tuple[str, ...] = texts(
        default=(), words="list of columns", doc="Features that somebody checked to be known before the event."
    )


class ServingRule(SpecModel):
    """The stored model, loaded in a fresh interpreter, must predict the same, and fast enough."""

    mode: Mode = mode()
    environment: Literal["current", "fresh"] = choice(
        "current",
        "fresh",
        default="current",
        doc="current: this worker's packages; fresh: a new environment from the model's own requirements (slow).",
    )
    tolerance: float = number(default=1e-9, ge=0, doc="Largest difference between two predictions of the same row.")
    max_load_seconds: float | None = number(default=None, gt=0, doc="Longest time to load; null: reported only.")
    max_row_ms: float | None = number(default=None, gt=0, doc="Largest p99 of one row alone; null: reported only.")
    max_batch_ms: float | None = number(default=None, gt=0, doc="Largest p99 of the golden batch; null: reported only.")
    max_size_mb: float | None = number(default=None, gt=0, doc="Largest stored model; null: reported only.")
