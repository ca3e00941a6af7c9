"""How the serving model is watched: drift of what it sees and says, and decay of what it achieves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.fields import choice, duration, flag, number, part, plain_mapping, text, texts, whole
from airflow_mlops.spec.types import format_duration
from airflow_mlops.spec.value_checks import LONGEST_CRON, cron

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem

Effect = Literal[
    "psi",
    "jensen_shannon",
    "total_variation",
    "wasserstein",
    "cramers_v",
]
EFFECTS: tuple[str, ...] = get_args(Effect)
"""Effect sizes that `min_effect` may be a bound of."""
REFERENCES = ("training", "previous", "year_before")
"""What a window can be compared with."""
_METHODS = (
    "anderson cramer_von_mises ed es fisher_exact hellinger jensenshannon kl_div ks mannw psi t_test wasserstein z"
)
METHODS = frozenset(_METHODS.split())
"""Evidently's tests that are offered by name. Its `chisquare` and `g_test` are not: on identical data they call drift
17 of 40 and 15 of 30 times. Neither are `TVD` and `empirical_mmd`: they take minutes."""


class DriftSpec(SpecModel):
    """When a difference between a window and the reference is called drift."""

    level: float = number(default=0.05, gt=0, lt=1, doc="False discovery rate over all columns (Benjamini-Hochberg).")
    effect: Effect = choice(
        *EFFECTS, default="psi", doc="Effect size that `min_effect` bounds; the report has them all."
    )
    min_effect: float = number(
        default=0.05,
        gt=0,
        doc="Smallest effect size of a column that matters, after what chance gives is taken off. A mean that moves by "
        "0.3 standard deviations has a PSI of 0.09.",
    )
    min_rows: int = whole(
        default=50,
        ge=20,
        doc="Fewer rows than this is 'unknown', never 'drift' and never 'ok'. The tests hold for any number; in 50 "
        "rows they find a shift of one standard deviation in one of 100 columns.",
    )
    share: float = number(
        default=0.3, gt=0, le=1, doc="Share of the features' importance in drift that makes the model's verdict drift."
    )
    violations: int = whole(
        default=2, ge=1, doc="Windows in drift, the newest among them, that make a signal to retrain ..."
    )
    of: int = whole(default=5, ge=1, le=1000, doc="... out of this many windows.")
    references: tuple[str, ...] = texts(
        default=("training",),
        words="list of `training`, `previous`, `year_before`",
        doc="What a window is compared with; the first one decides, the others are reported.",
    )
    slices: tuple[str, ...] = texts(
        default=(), words="list of columns", doc="Columns whose segments are looked at for where drift comes from."
    )
    report: Literal["on_drift", "always", "never"] = choice(
        "on_drift", "always", "never", default="on_drift", doc="When Evidently's report of a bounded sample is made."
    )
    tests: dict[str, Any] = plain_mapping(
        doc="Columns that are judged by a test of Evidently's on a bounded sample instead: `{temp: ks}`."
    )

    def problems_within(self) -> Iterator[Problem]:
        """Counts that fit, references and tests that exist."""
        if self.violations > self.of:
            yield wrong("violations", f"{self.violations} of {self.of}", f"at most {self.of}", "raise `of`")
        if not self.references:
            yield wrong("references", "none", f"at least one of {', '.join(REFERENCES)}", "write [training]")
        for name in self.references:
            if name not in REFERENCES:
                yield wrong("references", repr(name), f"one of {', '.join(REFERENCES)}", "correct it")
        for column, method in self.tests.items():
            if method not in METHODS:
                yield wrong(f"tests.{column}", repr(method), f"one of {', '.join(sorted(METHODS))}", "correct it")


class PerformanceSpec(SpecModel):
    """When a champion that does worse than its gate promised is called decayed."""

    window: timedelta = duration(default="14d", doc="Event times of a cohort: the newest whose outcomes are known.")
    min_rows: int = whole(default=500, ge=30, doc="Fewer predictions with an outcome than this is 'unknown'.")
    min_coverage: float = number(
        default=0.5, gt=0, le=1, doc="Least share of mature predictions that have an outcome; below it is 'unknown'."
    )
    confidence: float = number(
        default=0.8,
        gt=0.5,
        lt=1,
        doc="Of each bound of the intervals, and of the verdict. Lower than the gate's: what follows a decay is a "
        "training that the gate judges. Where a person is called each time, say 0.95.",
    )
    max_drop: float | None = number(
        default=None,
        gt=0,
        nullable=True,
        doc="Drop of gate.primary from what the gate promised that is decay once it is sure, in the metric's units; "
        "null: a tenth of what the champion gained on the baseline.",
    )
    urgent_drop: float | None = number(
        default=None,
        gt=0,
        nullable=True,
        doc="Drop that is urgent: it does not wait for cooldown nor for a second window; null: half of that gain.",
    )
    violations: int = whole(default=1, ge=1, doc="Decayed windows, the newest among them, that make a signal ...")
    of: int = whole(default=3, ge=1, le=1000, doc="... out of this many windows.")
    estimate: bool = flag(default=True, doc="Whether performance is estimated before outcomes are known.")

    def problems_within(self) -> Iterator[Problem]:
        """Counts and bounds that fit together."""
        if self.violations > self.of:
            yield wrong("violations", f"{self.violations} of {self.of}", f"at most {self.of}", "raise `of`")
        if self.max_drop is not None and self.urgent_drop is not None and self.urgent_drop < self.max_drop:
            yield wrong("urgent_drop", f"{self.urgent_drop:g}", f"at least max_drop, {self.max_drop:g}", "raise it")


class MonitoringSpec(SpecModel):
    """When the serving model is watched, and how."""

    schedule: str | None = text(
        default="@daily",
        nullable=True,
        words="cron expression or preset",
        check=cron,
        max_length=LONGEST_CRON,
        doc="When `<model>.monitor` runs; null: only by hand or backfill.",
    )
    window: timedelta = duration(
        default="7d", doc="The current window: this long before as-of, and longer where it would hold too few rows."
    )
    longest_window: timedelta = duration(
        default="60d",
        doc="It is at most this long; how long is needed, the rows say that the champion was trained on.",
    )
    drift: DriftSpec = part(DriftSpec, default={}, doc="What is called drift.")
    performance: PerformanceSpec = part(PerformanceSpec, default={}, doc="What is called decay.")

    def problems_within(self) -> Iterator[Problem]:
        """A longest window that is none."""
        if self.longest_window < self.window and "longest_window" in self.changed_fields():
            found = f"{format_duration(self.longest_window)}, with a window of {format_duration(self.window)}"
            yield wrong("longest_window", found, f"at least {format_duration(self.window)}", "lengthen it")
