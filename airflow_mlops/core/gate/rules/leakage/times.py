"""Dates and times among the features, as numbers that leakage can be looked for in."""

from __future__ import annotations

from dataclasses import replace

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.records.candidate import Feature


def times_as_days(inputs: RuleInput) -> RuleInput:
    """Return the inputs with every date or time but the event's own as the days from it to the event.

    Whatever a pipeline makes of a date, what it knows of the label lies in how far it is from the event: the day on
    which a case was closed, say.
    """
    features = inputs.candidate.features
    times = [feature.name for feature in features if feature.role == "time"]
    if not times:
        return inputs
    from airflow_mlops_steps.source_types import as_times

    event = inputs.spec.data.time
    dates = [name for name in times if name != event]
    parts = []
    for frame in (inputs.train, inputs.rows):
        moments = as_times(frame[event])
        days = {name: (moments - as_times(frame[name])).dt.total_seconds() / 86_400 for name in dates}
        parts.append(frame.assign(**days))
    others = tuple(feature for feature in features if feature.role != "time")
    numeric = tuple(Feature(name=name, role="numeric") for name in dates)
    candidate = replace(inputs.candidate, features=(*numeric, *others))
    return replace(inputs, candidate=candidate, train=parts[0], rows=parts[1])
