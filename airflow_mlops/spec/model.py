"""The whole specification of one model's loop."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import CoreSchema, core_schema

from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.data import DataSpec, FeatureSpec
from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.fields import (
    choice,
    duration,
    instant,
    part,
    parts,
    shorthand,
    text,
    texts,
    whole,
)
from airflow_mlops.spec.gate import GateSpec
from airflow_mlops.spec.monitoring import MonitoringSpec
from airflow_mlops.spec.promotion import NotificationSpec, PromotionSpec
from airflow_mlops.spec.retraining import RetrainingSpec
from airflow_mlops.spec.training import TrainingSpec
from airflow_mlops.spec.validation import Expectation
from airflow_mlops.spec.value_checks import (
    LONGEST_CRON,
    comes_between,
    connection,
    cron,
    experiment,
    model_name,
    timezone,
)

if TYPE_CHECKING:
    from airflow_mlops.spec.problems import Problem


class ScheduleSpec(SpecModel):
    """When `<model>.train` runs by itself; a cron expression alone stands for ``{cron: ...}``."""

    cron: str | None = text(
        default=None,
        words="cron expression or preset",
        check=cron,
        max_length=LONGEST_CRON,
        doc="Five fields, or @hourly, @daily, @weekly, @monthly, @quarterly, @yearly; null: only by hand, by backfill "
        "(monthly) or by a retraining event.",
    )
    start: datetime | None = instant(
        default=None, doc="First instant of the schedule, and of backfills; without a zone it is read in `timezone`."
    )
    end: datetime | None = instant(
        default=None,
        doc="Last instant of the schedule: runs by hand, by backfill or by a retraining event come after it too. "
        "Without a zone it is read in `timezone`.",
    )
    timezone: str = text(
        default="UTC", words="IANA time zone", check=timezone, doc="Zone that cron expressions are read in."
    )

    @classmethod
    def _shorthands(cls, schema: CoreSchema) -> CoreSchema:
        return shorthand(schema, _cron_alone, core_schema.str_schema())

    def problems_within(self) -> Iterator[Problem]:
        """Read times without a zone in `timezone`, and look whether start is before end."""
        if self.start is not None and self.start.tzinfo is None:
            self.__dict__["start"] = _in_zone(self.start, self.timezone)
        if self.end is not None and self.end.tzinfo is None:
            self.__dict__["end"] = _in_zone(self.end, self.timezone)
        if self.start is not None and self.end is not None and self.start >= self.end:
            yield wrong(
                field="end",
                found=f"{self.end.isoformat()}, not after start {self.start.isoformat()}",
                allowed="an end after the start",
                fix="exchange or correct them",
            )
        elif self.cron and not comes_between(self.cron, self._local(self.start), self._local(self.end)):
            yield wrong(
                field="cron",
                found=f"{self.cron!r}, which never comes between start and end",
                allowed="a schedule with an instant between them",
                fix="correct one of the three",
            )

    def _local(self, moment: datetime | None) -> datetime | None:
        """Return an instant as the clock in `timezone` shows it, which is what a cron expression is read by."""
        if moment is None:
            return None
        from zoneinfo import ZoneInfo

        return moment.astimezone(UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)).replace(tzinfo=None)


def _cron_alone(value: Any) -> Any:
    return {"cron": value} if isinstance(value, str) else value


def _in_zone(moment: datetime, zone: str) -> datetime:
    from zoneinfo import ZoneInfo

    return moment.replace(tzinfo=ZoneInfo(zone))


class ScoringSpec(SpecModel):
    """Batch scoring with the champion."""

    schedule: str | None = text(
        default="@daily",
        nullable=True,
        words="cron expression or preset",
        check=cron,
        max_length=LONGEST_CRON,
        doc="When `<model>.score` runs; null: only by hand or backfill.",
    )
    window: timedelta = duration(default="1d", doc="Rows scored by a run: this long before as-of.")
    chunk_rows: int = whole(default=50_000, ge=1, doc="Rows in memory at a time.")
    invalid: Literal["missing", "leave_out"] = choice(
        "missing",
        "leave_out",
        default="missing",
        doc="Infinite numbers, and texts that are no number or time where one is meant: missing to the model, or their "
        "rows left out. The manifest counts and names them.",
    )


class ExecutionSpec(SpecModel):
    """How Airflow runs the tasks."""

    retries: int = whole(default=2, ge=0, le=100, doc="How often a failed task is tried again.")
    retry_delay: timedelta = duration(default="30s", positive=False, doc="First delay; it doubles with each retry.")
    timeout: timedelta = duration(default="1h", doc="Longest time that one task may take.")
    pool: str | None = text(default=None, max_length=250, doc="Airflow pool of the tasks.")


class TrackingSpec(SpecModel):
    """Where runs, models and decisions are recorded."""

    conn_id: str = text(default="mlflow_default", check=connection, doc="Airflow connection of type mlflow.")
    experiment: str | None = text(
        default=None,
        max_length=400,
        check=experiment,
        doc="MLflow experiment; the model's name when left out. No other specification's.",
    )


class ModelSpec(SpecModel):
    """One model's loop: data, features, training, gate, promotion, monitoring, retraining, schedule.

    Examples
    --------
    >>> spec = ModelSpec.model_validate({
    ...     "name": "flight_delay", "owner": "ops-analytics",
    ...     "data": {"source": {"path": "flights/"}, "time": "departure", "key": "flight_id", "label": "late"},
    ...     "training": {"estimator": "sklearn.ensemble.HistGradientBoostingClassifier"}})
    >>> spec.gate.holdout.days, spec.schedule.cron
    (14, None)
    """

    name: str = text(
        words="name",
        check=model_name,
        doc="Lower-case letters, digits and _: DAG ids and the registered model carry it.",
    )
    owner: str = text(max_length=200, doc="Team or person who answers for the model.")
    description: str = text(
        default="", min_length=0, max_length=10_000, doc="What the model is for; shown on the DAGs' pages."
    )
    risk_tier: Literal["low", "medium", "high"] = choice(
        "low", "medium", "high", default="medium", doc="How much depends on the model; a tag of its DAGs."
    )
    limitations: tuple[str, ...] = texts(
        default=(), words="list of texts", doc="What the model must not be used for, and where it is weak; in its card."
    )
    retired: str | None = text(
        default=None, doc="Why the model is retired: it is not trained any more, and its train DAG has no schedule."
    )
    schedule: ScheduleSpec = part(ScheduleSpec, default={}, doc="When `<model>.train` runs by itself.")
    data: DataSpec = part(DataSpec, doc="The rows.")
    features: FeatureSpec = part(FeatureSpec, default={}, doc="Which columns the model may see.")
    validation: tuple[Expectation, ...] = parts(Expectation, doc="What the rows must be like.")
    training: TrainingSpec = part(TrainingSpec, doc="How a candidate is trained.")
    gate: GateSpec = part(GateSpec, default={}, doc="What a candidate must show before it may serve.")
    promotion: PromotionSpec = part(PromotionSpec, default={}, doc="Where an accepted candidate goes.")
    notifications: tuple[NotificationSpec, ...] = parts(NotificationSpec, doc="Who is told of what.")
    scoring: ScoringSpec = part(ScoringSpec, default={}, doc="Batch scoring with the champion.")
    monitoring: MonitoringSpec = part(MonitoringSpec, default={}, doc="How the serving model is watched.")
    retraining: RetrainingSpec = part(
        RetrainingSpec, default={}, doc="What calls for a retraining, and what holds it back."
    )
    execution: ExecutionSpec = part(ExecutionSpec, default={}, doc="How Airflow runs the tasks.")
    tracking: TrackingSpec = part(TrackingSpec, default={}, doc="Where runs, models and decisions are recorded.")

    def problems_within(self) -> Iterator[Problem]:
        """What is wrong between the parts, and secrets anywhere in them."""
        from airflow_mlops.spec.credentials import problems_of_credentials
        from airflow_mlops.spec.cross_checks import problems_between

        return chain(problems_between(self.__dict__), problems_of_credentials(self))

    @property
    def registered_model(self) -> str:
        """Name in MLflow's registry."""
        return self.promotion.registered_model or self.name

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment that holds the loop runs."""
        return self.tracking.experiment or self.name

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of what the specification says about the model that a training gives.

        It covers `name`, `data`, `features`, `training` and `gate.holdout`, and `gate.primary` where a search
        chooses by it; of a query in a .sql file, the file's name without its folder (the rows that it gave are in
        the snapshot's fingerprint). Owner, schedule, expectations, the gate's other rules, promotion, scoring,
        monitoring, retraining, execution and tracking do not change a trained model, and do not change this.
        """
        from airflow_mlops.spec.cross_checks import fingerprint

        return fingerprint(self)
