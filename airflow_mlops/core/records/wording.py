"""Values of records as a person reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import Disparity, Interval, SliceResult
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.text import format_number
from airflow_mlops.spec.metrics import METRICS

STOP = "Do not override:"
"""How advice on a decision begins that a person must not pass over: it is told first, and no override is offered."""
LEVEL = 0.05
"""A slice is called worse when its corrected p-value is at most this."""


def format_interval(found: Interval | None) -> str:
    """A value with its confidence interval.

    >>> format_interval(Interval(value=0.02, lower=0.01, upper=0.03)), format_interval(None)
    ('0.0200 (0.0100 to 0.0300)', 'none')
    """
    if found is None:
        return "none"
    if math.isnan(found.lower) and math.isnan(found.upper):
        return f"{format_number(found.value)} (no interval)"
    return f"{format_number(found.value)} ({format_number(found.lower)} to {format_number(found.upper)})"


def format_p(value: float | None) -> str:
    """A p-value: what is smaller than 0.001 says no more.

    >>> format_p(0.0412), format_p(1e-9), format_p(None)
    ('0.041', '< 0.001', 'none')
    """
    if value is None or not math.isfinite(value):
        return format_number(value)
    return "< 0.001" if value < 0.001 else f"{value:.3f}"  # noqa: PLR2004 - see above


def bound_of(words: str) -> float | None:
    """The number of a bound in words; None when it has none.

    >>> bound_of("lower bound > -0.01 (noninferiority)"), bound_of("gate.first_model = reject")
    (-0.01, None)
    """
    found = re.search(r"[<>]=?\s*(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)", words)
    return float(found.group(1)) if found else None


def slice_tone(result: SliceResult, rules: Iterable[RuleResult]) -> str:
    """How a slice stands: `bad` where it is surely worse than allowed, `good` where it is surely not worse.

    Only a column whose rule did not pass has bad slices: a report never says more than the rule.
    """
    if not result.judged:
        return "plain"
    failed = [r.bound.partition(" ")[0] for r in rules if _is_failed(r, result.column)]
    ps = {"drop": result.drop_p, "gap": result.gap_p}
    if any((p := ps.get(kind)) is not None and p <= LEVEL for kind in failed):
        return "bad"
    drop = result.drop
    return "good" if drop is not None and drop.upper <= 0 else "plain"


def _is_failed(rule: RuleResult, column: str) -> bool:
    return rule.rule == "slices" and rule.metric == column and rule.verdict is Verdict.REJECT


def difference_tone(item: Disparity) -> str:
    """How a difference stands: `bad` surely above its bound, `unsure` above it, `good` within it."""
    if item.bound is None:
        return "plain"
    if item.difference.value <= item.bound:
        return "good"
    return "unsure" if item.difference.lower <= item.bound else "bad"


def format_window(window: Window) -> str:
    """A window of event time: minutes are enough for a person."""
    return f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M %Z}"


def format_settings(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings by dotted path as lines of a specification, one for each of its parts.

    >>> format_settings({"gate.primary": "mae", "training.parameters.C": 0.01, "training.calibration": "always"})
    ('gate: {primary: mae}', 'training: {parameters: {C: 0.01}, calibration: always}')
    """
    parts: dict[str, Any] = {}
    for path, value in settings.items():
        *parents, last = path.split(".")
        here = parts
        for name in parents:
            here = here.setdefault(name, {})
        here[last] = value
    return tuple(f"{name}: {_flow(value)}" for name, value in parts.items())


def _flow(value: Any) -> str:
    """A value as YAML writes it in one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_flow(one)}' for name, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def greater_is_better(metric: str) -> bool | None:
    """The direction of a metric; None for one that only the specification knows."""
    known = METRICS.get(metric)
    return None if known is None else known.greater_is_better


def metric_direction(metric: str) -> str:
    """The same in words."""
    return {True: "higher is better", False: "lower is better", None: ""}[greater_is_better(metric)]
