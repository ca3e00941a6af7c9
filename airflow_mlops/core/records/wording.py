"""Values of records as a person reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from airflow_mlops.core.records.decision import Evaluation, RuleResult, Verdict
from airflow_mlops.core.records.evidence import Disparity, Interval, SliceResult
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.text import format_number, metric_label
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


def comparison_words(evaluation: Evaluation) -> str | None:
    """Say by which comparison a candidate was accepted: history, status, card and page all show this sentence.

    With a champion it is that with the champion; of a first model, that with the constant prediction. None where no
    such comparison accepted: the gate was off, or it did not accept.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> rule = RuleResult(rule="champion", metric="log_loss", verdict=Verdict.ACCEPT, value=0.019, lower=0.0042,
    ...     upper=0.03, bound="lower bound > 0 (superiority)", rows=8120, code=None, reason="", confidence=0.95)
    >>> window = Window(start=datetime(2013, 3, 1, tzinfo=UTC), end=datetime(2013, 3, 13, tzinfo=UTC))
    >>> print(comparison_words(Evaluation(model="m", run_id="r", rows=8120, window=window, primary="log_loss",
    ...     champion_version=6, candidate_metrics={"log_loss": 0.412}, champion_metrics={"log_loss": 0.431},
    ...     baseline_metrics={}, rules=(rule,))))  # doctest: +NORMALIZE_WHITESPACE
    log loss 0.4120 against champion v6's 0.4310 on 8,120 rows of 12 days: better by 0.0190, at least 0.0042 with 95 %
    confidence
    """
    first = evaluation.champion_version is None
    found = next((rule for rule in evaluation.rules if rule.rule == ("baseline" if first else "champion")), None)
    if found is None or found.verdict is not Verdict.ACCEPT or found.value is None or found.lower is None:
        return None
    ours = _of(evaluation.candidate_metrics, found.metric)
    if first:
        theirs = f"the constant prediction's {_of(evaluation.baseline_metrics, found.metric)}"
    else:
        theirs = f"champion v{evaluation.champion_version}'s {_of(evaluation.champion_metrics or {}, found.metric)}"
    where = f"on {found.rows:,} rows of {_span(evaluation.window.end - evaluation.window.start)}"
    said = f"{metric_label(found.metric)} {ours} against {theirs} {where}: {_gained(found.value, found)}"
    return f"{said}; no champion served before" if first else said


def refit_words(rows: int, version: int) -> str:
    """Say of a refitted model what it is, and where its evidence comes from.

    >>> refit_words(52618, 7)
    'refitted on all 52,618 rows, judged as version 7'
    """
    return f"refitted on all {rows:,} rows, judged as version {version}"


def _gained(value: float, rule: RuleResult) -> str:
    lower = math.nan if rule.lower is None else rule.lower
    sure = "by the lower bound" if rule.confidence is None else f"with {100 * rule.confidence:g} % confidence"
    least = f"at least {format_number(lower)}" if lower >= 0 else f"at most {format_number(-lower)} worse"
    return f"{'better' if value >= 0 else 'worse'} by {format_number(abs(value))}, {least} {sure}"


def _of(metrics: Mapping[str, float], name: str) -> str:
    return format_number(metrics.get(name))


def _span(length: timedelta) -> str:
    """Say how long a window is, in its days; in hours below two days.

    >>> _span(timedelta(days=12, microseconds=1)), _span(timedelta(hours=6))
    ('12 days', '6 hours')
    """
    days, hours = round(length / timedelta(days=1)), max(1, round(length / timedelta(hours=1)))
    return f"{days} days" if days > 1 else f"{hours} hour{'' if hours == 1 else 's'}"
