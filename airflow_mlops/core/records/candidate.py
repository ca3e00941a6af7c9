"""A trained version that was not yet judged, and the version that serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.snapshot import Window

MAX_WARNINGS = 20


MAX_TEXT = 400
"""Warnings, and characters of each, that are recorded: a search warns once for each of its fits."""


Task = Literal["binary", "multiclass", "regression"]
Label = str | int | float | bool
"""A class label, as a plain Python value."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A feature column and how the pipeline treats it."""

    name: str
    role: Literal["numeric", "categorical", "time"]
    """`time`: a date or time, of which the pipeline makes numbers, or which a transformer is given. It moves by itself,
    so its distribution is not compared."""


@dataclass(frozen=True, kw_only=True)
class RefitOf:
    """The judged candidate whose recipe a refitted one repeats, on the rows that it was judged on too."""

    run_id: str
    """Its MLflow run."""
    model_uri: str
    """Its model: what it says of the holdout is evidence, for it has not seen it."""
    train: Window
    """What it learned from."""
    train_rows: int


@dataclass(frozen=True, kw_only=True)
class Candidate(Record):
    """A trained model that is not judged yet, and everything that made it.

    Format 2 added `convergence`; of a candidate written before, it is empty.
    """

    FORMAT: ClassVar[int] = 2

    model: str
    loop_run: str
    """`<dag_id>/<run_id>`: the idempotency key of everything that this loop run writes."""
    run_id: str
    """MLflow run."""
    model_uri: str
    """`models:/m-...`: exactly this model is judged and promoted."""
    task: Task
    as_of: datetime
    train: Window
    holdout: Window
    """Event times of the two parts. `holdout.start - train.end` is the label delay: labels of the training part were
    known when the holdout began. What was refitted has learned from the holdout too, on which another was judged."""
    train_rows: int
    holdout_rows: int
    snapshot_uri: str
    snapshot_fingerprint: str
    spec_fingerprint: str
    features: tuple[Feature, ...]
    classes: tuple[str | int | float | bool, ...] = ()
    """Class labels in the order of `predict_proba`'s columns; empty for regression."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The estimator's parameters after any search."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """On the holdout rows; of what was refitted none, for it has seen them."""
    convergence: Mapping[str, Any] = field(default_factory=dict)
    """`warnings` (list of text), `iterations` and `limit` (numbers, where the estimator tells them)."""
    seed: int
    positive: str | int | float | bool | None = added(None)
    """Of two classes, the one that metrics and `probability` are about. None: no two classes, or trained before it was
    recorded, when it was the last of `classes`."""
    changed: datetime | None = added(None)
    """Since when what was learned before was known not to hold; None: nothing was known to have changed."""
    refit_of: RefitOf | None = added(None)
    """What was judged, where this is trained again on all rows by the same recipe."""
    model_digest: str = added("")
    """SHA-256 of the stored model's files, hexadecimal; empty: trained before it was recorded."""
    requirements: str | None = added(None)
    """SHA-256 of the run's `requirements.lock`: the packages that serving needs, with the hashes of their files. None:
    not recorded, because `gate.serving.environment` was not `fresh`."""

    @property
    def judged_train(self) -> Window:
        """What the model had learned from that was judged: this one, or the one that it repeats."""
        return self.train if self.refit_of is None else self.refit_of.train

    @property
    def judged_uri(self) -> str:
        """The model that was judged: this one, or the one that it repeats."""
        return self.model_uri if self.refit_of is None else self.refit_of.model_uri


def compared_features(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """Features whose distribution means something: all but dates and times, which move by themselves."""
    return tuple(feature for feature in features if feature.role != "time")


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The version that serves, as the registry tells it."""

    model: str
    version: int
    run_id: str
    model_uri: str
    candidate: Candidate
    """What was recorded when it was trained."""
