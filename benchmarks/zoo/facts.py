"""What a backtest of one stream tells, as plain facts: what the referee judges by, kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Step:
    """The specification's own policy at one step, and what came of it until the next."""

    day: float
    """After the first one; so are all days here."""
    action: str
    rule: str
    """Of the controller: `decay`, `none`, `watch`, ..."""
    reason: str
    retrained: bool
    promoted: bool
    rows: int
    loss: float | None
    fresh: float | None
    """What the policy that promotes every step's model unseen lost in the same step."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What monitoring saw of the model that served."""

    day: float
    drift: str
    performance: str
    estimate: str | None = None
    faults: tuple[str, ...] = ()
    """`cause:column` of what looks like a fault of the pipeline."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One stream's backtest."""

    name: str
    metric: str = ""
    steps: tuple[Step, ...] = ()
    looks: tuple[Look, ...] = ()
    losses: Mapping[str, float | None] = field(default_factory=dict)
    """Mean loss by policy, weighted by rows."""
    oracle: float | None = None
    """Mean loss of the one that knows the truth."""
    first_gate: str | None = None
    """Why the gate refused the first model; None where it did not."""
    scheduled: int = 0
    """Candidates that were judged at every step, and how many of them were accepted."""
    accepted: int = 0
    seconds: float = 0.0
    """Of one core, for the backtest and what the referee asked for beside it."""
    crash: str | None = None
    """What ended the backtest."""

    def to_text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Facts:
        """Read what `to_text` wrote."""
        raw: dict[str, Any] = json.loads(text)
        steps = tuple(Step(**step) for step in raw.pop("steps"))
        looks = tuple(Look(**{**look, "faults": tuple(look["faults"])}) for look in raw.pop("looks"))
        return cls(steps=steps, looks=looks, **raw)
