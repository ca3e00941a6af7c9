"""What several parts say together: contradictions between them, and the fingerprint of the trained model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_mlops.spec.errors import wrong
from airflow_mlops.spec.metrics import METRICS
from airflow_mlops.spec.types import format_duration

if TYPE_CHECKING:
    from airflow_mlops.spec.data import DataSpec, FeatureSpec
    from airflow_mlops.spec.gate import GateSpec
    from airflow_mlops.spec.model import ModelSpec
    from airflow_mlops.spec.problems import Problem
    from airflow_mlops.spec.training import TrainingSpec


def problems_between(parts: Mapping[str, Any]) -> Iterator[Problem]:
    """Run every check whose parts are at hand; of a wrong specification, only the right parts are given."""
    for names, check in _CHECKS:
        if all(name in parts for name in names):
            yield from check(*(parts[name] for name in names))


PREDICTED = ("prediction", "probability", "model_version", "model_run_id", "loop_run", "latency_ms", "error")
"""Columns of a scored window, which are written beside its key and its event time."""


def _roles(data: DataSpec) -> Iterator[Problem]:
    if data.label == data.time:
        yield wrong("data.label", f"{data.label!r}, which is data.time", "a column of its own", "name another")
    for field, name in (("data.time", data.time), *(("data.key", name) for name in data.key)):
        if name in PREDICTED or name.startswith("probability_"):
            yield wrong(
                field,
                f"{name!r}, a column that predictions carry beside key and time",
                f"names beside {', '.join(PREDICTED)} and probability_...",
                "rename the column in the source's query or files",
            )
    if data.label in data.key:
        yield wrong("data.key", f"the label {data.label!r}", "columns known before the label", "remove it")
    yield from _twice("data.key", data.key)
    if data.labels is not None and data.labels.key and len(data.labels.key) != len(data.key):
        yield wrong(
            "data.labels.key",
            f"{len(data.labels.key)} columns, and {len(data.key)} in data.key",
            "as many columns as data.key has, in its order",
            "name the column of the labels that holds each column of the key",
        )


def _features(data: DataSpec, features: FeatureSpec) -> Iterator[Problem]:
    excluded, numeric = frozenset(features.exclude), frozenset(features.numeric)
    yield from _twice("features.exclude", features.exclude)
    # A transformer may be given any column but the label: what it makes of times and keys is its team's business.
    roles = (("label", {data.label}), ("time", {data.time}), ("key", set(data.key)))
    for kind in ("numeric", "categorical"):
        names: tuple[str, ...] = getattr(features, kind)
        yield from _twice(f"features.{kind}", names)
        for role, taken in roles if features.transformer is None else roles[:1]:
            for name in (name for name in dict.fromkeys(names) if name in taken):
                yield wrong(
                    f"features.{kind}",
                    f"{name!r}, which is data.{role}",
                    "columns that are neither label, event time nor key",
                    f"remove {name!r} from features.{kind}"
                    + (f", or write features.calendar: {{{name}: [hour, weekday]}}" if role == "time" else ""),
                )
        for name in (name for name in names if name in excluded):
            yield wrong(
                f"features.{kind}", f"{name!r}, also in features.exclude", "one of the two", "remove one of them"
            )
    for name in (name for name in features.categorical if name in numeric):
        yield wrong(
            "features.categorical", f"{name!r}, also in features.numeric", "one of the two", "remove one of them"
        )


def _calendar(data: DataSpec, features: FeatureSpec) -> Iterator[Problem]:
    for name, parts in features.calendar.items():
        field = f"features.calendar.{name}"
        yield from _twice(field, parts)
        if name == data.label:
            yield wrong(field, f"{name!r}, the label", "columns known before the label", "remove it")
        if name in features.exclude:
            yield wrong(field, f"{name!r}, also in features.exclude", "one of the two", "remove one of them")
        if features.transformer is None and name in features.numeric + features.categorical:
            yield wrong(
                field, f"{name!r}, also listed as a feature", "one of the two", "take it out of the list: it is a date"
            )
        if name == data.time and "age_days" in parts:
            yield wrong(
                field, "age_days of the event time itself, which is 0", "another date's age_days", "remove age_days"
            )


def _positive(data: DataSpec, gate: GateSpec) -> Iterator[Problem]:
    """A positive class means nothing to a regression."""
    kinds = {name: known.kind for name, known in METRICS.items()} | {own.path: own.kind for own in gate.metrics}
    if data.positive is not None and kinds.get(gate.primary or "") == "regression":
        yield wrong(
            "data.positive",
            f"{data.positive!r}, and gate.primary {gate.primary!r} is of a regression",
            "a positive class for classification only",
            "remove data.positive, or name a metric of classes",
        )


def _twice(field: str, names: tuple[str, ...]) -> Iterator[Problem]:
    if len(set(names)) == len(names):
        return
    for name, times in sorted((name, times) for name, times in Counter(names).items() if times > 1):
        yield wrong(
            code="spec_duplicate",
            field=field,
            found=f"{name!r} {times} times",
            allowed="each column once",
            fix="remove the repetition",
        )


def _windows(data: DataSpec, gate: GateSpec) -> Iterator[Problem]:
    # Twice: labels of the training part must be known when the holdout begins, and those of the holdout at as-of.
    held = gate.holdout + 2 * data.label_delay
    if held >= data.window:
        yield wrong(
            "data.window",
            f"{format_duration(data.window)}, with gate.holdout {format_duration(gate.holdout)} and "
            f"data.label_delay {format_duration(data.label_delay)}",
            f"longer than {format_duration(held)}, so that rows to train on are left",
            "lengthen data.window or shorten gate.holdout",
        )


def _blocks(gate: GateSpec) -> Iterator[Problem]:
    block = gate.champion.block
    if block is not None and 2 * block > gate.holdout:
        yield wrong(
            "gate.champion.block",
            f"{format_duration(block)} with gate.holdout {format_duration(gate.holdout)}",
            "at most half of the holdout, or null: one block cannot be resampled",
            "shorten the block or lengthen the holdout",
        )


_SHOWN = 40
"""Names of metrics that are shown."""


def _kinds(gate: GateSpec, training: TrainingSpec) -> Iterator[Problem]:
    """Every metric named exists, and all are of one kind."""
    kinds = {name: known.kind for name, known in METRICS.items()}
    kinds |= {own.path: own.kind for own in gate.metrics}
    yield from _twice("gate.metrics", tuple(own.path for own in gate.metrics))
    named = [(f"gate.absolute.{index}.metric", rule.metric) for index, rule in enumerate(gate.absolute)]
    if gate.primary is not None:
        named.insert(0, ("gate.primary", gate.primary))
    if training.search is not None and training.search.metric is not None:
        named.append(("training.search.metric", training.search.metric))
    yield from (_unknown_metric(field, metric) for field, metric in named if metric not in kinds)
    known = [(field, metric) for field, metric in named if metric in kinds]
    first = kinds[known[0][1]] if known else ""
    allowed = ", ".join(islice((name for name, kind in kinds.items() if kind == first), _SHOWN))
    for field, metric in known[1:]:
        if kinds[metric] != first:
            yield wrong(
                field,
                f"{metric!r}, a {kinds[metric]} metric, beside {known[0][1]!r}",
                f"{first} metrics only: one of {allowed}",
                "use metrics of one kind",
            )


def _unknown_metric(field: str, metric: str) -> Problem:
    return wrong(
        code="metric_unknown",
        field=field,
        found=f"{metric!r}, which gate.metrics does not declare",
        allowed="a registered metric, or one of gate.metrics",
        fix=f"declare it: gate.metrics: [{{path: {metric}, kind: ..., greater_is_better: ...}}]",
    )


def _judged_columns(data: DataSpec, gate: GateSpec, features: FeatureSpec) -> Iterator[Problem]:
    """Columns that the gate cuts the rows by are attributes, not the label."""
    for field in ("slices", "fairness"):
        columns: tuple[str, ...] = getattr(gate, field).columns
        yield from _twice(f"gate.{field}.columns", columns)
        if data.label in columns:
            yield wrong(
                f"gate.{field}.columns", f"{data.label!r}, the label", "columns known before the label", "remove it"
            )
    sliced = frozenset(gate.slices.columns)
    for name in gate.slices.required:
        if name not in sliced:
            yield wrong(
                "gate.slices.required",
                f"{name!r}, not in gate.slices.columns",
                "columns that are sliced",
                "add it there",
            )
    taken = (data.label, data.time, *data.key, *features.numeric, *features.categorical)
    if data.weight is not None and data.weight in taken:
        yield wrong("data.weight", f"{data.weight!r}, which has another role", "a column of its own", "name one")


def _tiers(gate: GateSpec, risk_tier: str) -> Iterator[Problem]:
    if risk_tier == "high" and gate.mode == "off":
        yield wrong(
            "gate.mode",
            "off, for a model of risk_tier high",
            "enforce or dry_run",
            "leave it out, or lower risk_tier if little depends on the model",
        )


_CHECKS: tuple[tuple[tuple[str, ...], Callable[..., Iterator[Problem]]], ...] = (
    (("data",), _roles),
    (("data", "features"), _features),
    (("data", "features"), _calendar),
    (("data", "gate"), _positive),
    (("data", "gate"), _windows),
    (("gate",), _blocks),
    (("gate", "training"), _kinds),
    (("data", "gate", "features"), _judged_columns),
    (("gate", "risk_tier"), _tiers),
)


_SAID_LATER: tuple[tuple[str, str, Any], ...] = (
    ("training", "calibration", "auto"),
    ("training", "early_stopping", None),
    ("training", "refit", False),
    ("data", "positive", None),
    ("data", "labels", None),
    ("features", "calendar", {}),
    ("features", "time_zone", "UTC"),
)
"""Fields that came when versions had been trained, with their defaults: who does not name them says what was said."""


def fingerprint(spec: ModelSpec) -> str:
    """Return the SHA-256 that :attr:`ModelSpec.fingerprint` documents."""
    import hashlib
    import json

    whole = spec.model_dump(mode="json")
    for source in (part["source"] for part in (whole["data"], whole["data"]["labels"]) if part):
        query = source.get("query")
        if query is not None and is_sql_file(query):
            source["query"] = query.replace("\\", "/").rpartition("/")[2]
    said = {name: whole[name] for name in ("name", "data", "features", "training")}
    for part, name, default in _SAID_LATER:
        if said[part][name] == default:
            del said[part][name]
    _leave_out_unsaid(spec, said["data"])
    said["holdout"] = whole["gate"]["holdout"]
    if spec.training.search is not None and spec.training.search.metric is None:
        said["chosen_by"] = spec.gate.primary
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


_SAID_SINCE = (
    "quote",
    "escape",
    "decimal",
    "thousands",
    "null_values",
    "types",
    "time_zone",
    "time_unit",
    "time_format",
)
"""Fields of sources that specifications of before do not have: left out of the fingerprint at their defaults."""


def _leave_out_unsaid(spec: ModelSpec, data: dict[str, Any]) -> None:
    named = spec.data.source.changed_fields()
    for name in _SAID_SINCE:
        if name not in named:
            data["source"].pop(name, None)
    if data["duplicates"] == "refuse":
        del data["duplicates"]


def is_sql_file(query: str) -> bool:
    """Whether a query is the path of a .sql file, not SQL text."""
    return query.endswith(".sql") and "\n" not in query
