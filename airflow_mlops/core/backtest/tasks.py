"""The pieces of work of a backtest. Each has a key that says everything its answer depends on, beside the folder's.

Policies and points of a grid ask for the same pieces again and again; by their keys they are done once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from airflow_mlops.core.backtest.cache import digest
from airflow_mlops.core.records.backtest import Answer, Future, Judged, Pointed, Referred, Scored, Trained, Watched
from airflow_mlops.spec.model import ModelSpec

BASE = ""
"""Name of the specification as it is; points of a grid are named after their settings."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """A piece of work. Two are equal when they have the same answer; fields that do not decide it are not compared.

    Steps count from 0. The model trained at a step has the version one above it.
    """

    answer: ClassVar[type[Answer]]
    says: ClassVar[str]

    @property
    def key(self) -> str:
        """Names the answer among all of its kind."""
        return digest([getattr(self, each.name) for each in fields(self) if each.compare])

    @property
    def words(self) -> str:
        """What it is, for the line of progress."""
        return self.says.format(**vars(self))


@dataclass(frozen=True, kw_only=True)
class Train(Need):
    """Snapshot, validation and training of a version."""

    answer = Trained
    says = "training version {version}"
    version: int


@dataclass(frozen=True, kw_only=True)
class Judge(Need):
    """The gate, of one version against another, or against none."""

    answer = Judged
    says = "gate of version {version}"
    version: int
    champion: int | None
    settings: str
    """Of the gate: `gate_settings`."""
    variant: str = field(default=BASE, compare=False)
    """Whose gate it is: any specification with these settings would do."""


@dataclass(frozen=True, kw_only=True)
class Point(Need):
    """Two versions by the point estimate alone."""

    answer = Pointed
    says = "point estimate of version {version}"
    version: int
    champion: int
    settings: str


@dataclass(frozen=True, kw_only=True)
class Refer(Need):
    """The reference profile of a version."""

    answer = Referred
    says = "reference profile of version {version}"
    version: int
    settings: str


@dataclass(frozen=True, kw_only=True)
class Score(Need):
    """The future of a step, scored by a version as the score DAG would."""

    answer = Scored
    says = "scoring with version {version}"
    version: int
    step: int


@dataclass(frozen=True, kw_only=True)
class Watch(Need):
    """Drift and performance of the model that serves, as of a step."""

    answer = Watched
    says = "monitoring version {version}"
    step: int
    served: tuple[tuple[int, int], ...]
    """Step and version of every scored window so far."""
    version: int
    """The version that serves when it is looked at."""
    decision: str
    """Key of the gate's decision on that version."""
    reference: str
    """Key of its reference profile."""
    settings: str
    before: tuple[str, ...] = field(default=(), compare=False)
    """Keys of what was seen earlier, newest first. All else says which these are."""
    variant: str = field(default=BASE, compare=False)


@dataclass(frozen=True, kw_only=True)
class Look(Need):
    """What a version achieves in the future of a step, beside the newest candidate there."""

    answer = Future
    says = "future of version {version}"
    version: int
    step: int
    newest: int
    settings: str


def gate_settings(spec: ModelSpec) -> str:
    """Digest of what a judgement depends on beside the two models and their rows."""
    return digest(_dump(spec, "gate"), spec.training.seed)


def watch_settings(spec: ModelSpec) -> str:
    """Digest of what monitoring depends on beside the models, the score log and the gate's decision."""
    return digest(_dump(spec, "monitoring"), look_settings(spec))


def look_settings(spec: ModelSpec) -> str:
    """Digest of what a comparison of two models' futures depends on."""
    gate = _dump(spec, "gate")
    return digest(gate["champion"], gate["primary"], gate["metrics"], gate["slices"], spec.training.seed)


def _dump(spec: ModelSpec, part: str) -> Any:
    return spec.model_dump(mode="json")[part]
