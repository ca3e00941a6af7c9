"""What came out of training a version again from its records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from airflow_mlops.core.records.base import Record


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """With what a model was trained."""

    python: str
    system: str
    code: str | None
    """SHA-256 of the code of airflow_mlops; None when it was not recorded."""
    commit: str | None
    """Of the DAG folder."""
    packages: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that was not the same in the second training."""

    what: str
    """`package numpy`, `Python`, `commit of the DAG folder`, `seed`, ..."""
    recorded: str
    now: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Predictions of the same rows by two models, or by one model twice."""

    what: str
    """The two, in words."""
    rows: int
    differing: int
    """Rows with a prediction that is not equal bit for bit."""
    max_difference: float
    """As :func:`airflow_mlops.core.training.golden_batch.difference`; 0 when identical, NaN when they cannot be
    compared."""

    @property
    def identical(self) -> bool:
        """Whether every prediction is the same, bit for bit."""
        return self.differing == 0 and self.max_difference == 0 and self.rows > 0


@dataclass(frozen=True, kw_only=True)
class Reproduction(Record):
    """What came out of training a version again."""

    model: str
    version: int
    run_id: str
    model_uri: str
    snapshot: str
    """Fingerprint of the rows, verified before the training."""
    verdict: Literal["identical", "different", "impossible"]
    comparisons: tuple[Comparison, ...] = ()
    differences: tuple[Difference, ...] = ()
    """Between the first training and this one; also when the model is identical."""
    reasons: tuple[str, ...] = ()
    """Why it was impossible."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the model that was trained now, on the holdout."""
