"""What a candidate must show before it may serve."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.fields import choice, duration, flag, number, part, parts, plain_mapping, text, texts, whole
from airflow_mlops.spec.value_checks import import_path, metric

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem


Mode = Literal["enforce", "dry_run", "off"]


def mode(what: str = "The rule") -> Any:
    """Whether a rule counts, is only recorded, or is not evaluated."""
    doc = f"{what} counts (enforce), is only recorded (dry_run), or is not evaluated (off)."
    return choice("enforce", "dry_run", "off", default="enforce", doc=doc)


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
    panel: bool = flag(
        default=True,
        doc="Where the key holds the event time: whether what the rest of it names (a machine, a shop) is resampled as "
        "a whole, too, and the wider interval counts. false: by time alone, for the same ones come again, and what "
        "they differ by lasts.",
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
    min_rows: int | None = whole(
        default=None,
        ge=20,
        doc="Smaller groups are listed, but not judged; null: as many rows as the bound can be decided with, by the "
        "rate that all groups have in common and `gate.champion.confidence`.",
    )
    undecided: Literal["wait", "pool", "record"] = choice(
        "wait",
        "pool",
        "record",
        default="wait",
        doc="Where rows are too few to decide: wait for more (inconclusive); pool earlier windows of the training part,"
        " each predicted by a model of the same recipe that has not seen it; or record only, and go on.",
    )


class CalibrationRule(SpecModel):
    """Whether probabilities mean what they say."""

    mode: Mode = mode()
    bins: int = whole(default=10, ge=2, le=100, doc="Bins of equal numbers of rows.")
    max_error: float | None = number(
        default=None, gt=0, le=1, doc="Largest expected calibration error; null: reported only."
    )


class ClassesRule(SpecModel):
    """Whether every class was learned that the judged rows have."""

    mode: Mode = mode()
    min_rows: int = whole(default=10, ge=1, doc="Training rows of a class, below which it was not learned.")
    max_share: float = number(
        default=0.01,
        ge=0,
        le=1,
        doc="Largest share of judged rows of such classes; of two classes, neither may be one.",
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
    """A feature that leaves nothing of the label open is a leak; one that nearly does is asked about, once."""

    mode: Mode = mode()
    max_power: float = number(
        default=0.98,
        gt=0.5,
        le=1,
        doc="AUC (classification) or absolute rank correlation (regression) of one feature, above which it is asked "
        "whether the feature is known before the event.",
    )
    max_overlap: float = number(
        default=0.01, ge=0, le=1, doc="Largest share of holdout rows that are also training rows, by key or by content."
    )
    known_with_label: bool = flag(
        default=True, doc="Whether a feature that is missing exactly where the label is missing counts as a leak."
    )
    reviewed: tuple[str, ...] = texts(
        default=(),
        words="list of columns",
        doc="Features that somebody checked to be known before the event: the answer to the rule's question.",
    )


class ServingRule(SpecModel):
    """The stored model, loaded in a fresh interpreter, must predict the same, and fast enough."""

    mode: Mode = mode()
    environment: Literal["current", "fresh"] = choice(
        "current",
        "fresh",
        default="current",
        doc="current: this worker's packages; fresh: a new environment of what the training recorded, by hash (slow).",
    )
    tolerance: float = number(default=1e-9, ge=0, doc="Largest difference between two predictions of the same row.")
    max_load_seconds: float | None = number(default=None, gt=0, doc="Longest time to load; null: reported only.")
    max_row_ms: float | None = number(default=None, gt=0, doc="Largest p99 of one row alone; null: reported only.")
    max_batch_ms: float | None = number(default=None, gt=0, doc="Largest p99 of the golden batch; null: reported only.")
    max_size_mb: float | None = number(default=None, gt=0, doc="Largest stored model; null: reported only.")


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
    classes: ClassesRule = part(ClassesRule, default={}, doc="Whether every class had rows to learn from.")
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
        by_metric: dict[str, list[AbsoluteRule]] = {}
        for rule in self.absolute:
            by_metric.setdefault(rule.metric, []).append(rule)
        for name, mine in by_metric.items():
            low = max((rule.min for rule in mine if rule.min is not None), default=None)
            high = min((rule.max for rule in mine if rule.max is not None), default=None)
            if len(mine) > 1 and low is not None and high is not None and low > high:
                yield wrong(
                    field="absolute",
                    found=f"{name} at least {low:g} in one entry, and at most {high:g} in another",
                    allowed="bounds that some value keeps",
                    fix="correct one of them, and write both bounds of a metric in one entry",
                )
