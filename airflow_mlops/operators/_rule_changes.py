"""What a candidate is judged by that the version before it was not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore

_LOOKED_AT = 20
"""So many versions are looked for one of another run that still exists."""


def rule_changes(
    records: MLflowStore, spec: ModelSpec, candidate: Candidate
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what of gate, risk tier and approval has changed with this candidate, and since the last approval before.

    The rules that the version before was judged by stand in its decision, which is sealed; of older ones in the
    specification that it was trained by. What cannot be read is a change too: else whoever takes it away could loosen
    the rules unseen.

    Raises
    ------
    StoreUnavailableError
        If MLflow does not answer.
    """
    from airflow_mlops.core.errors import RecordError
    from airflow_mlops.core.promotion import earlier_changes, versions_judged
    from airflow_mlops.core.records.attempt import judged_run
    from airflow_mlops.spec.governing_rules import changed_rules, governing_rules

    events = records.trail.events(spec.registered_model)
    earlier = earlier_changes(events, candidate)
    for version in versions_judged(events)[:_LOOKED_AT]:
        try:
            before = records.registry.version(spec.registered_model, version).candidate
        except RecordError:  # it was deleted, or its record was; the version before it may tell
            continue
        if judged_run(before.loop_run) == judged_run(candidate.loop_run):
            continue
        try:
            return changed_rules(_rules_of(records, before.run_id), governing_rules(spec)), earlier
        except RecordError as refusal:
            return (f"the rules of version {version} cannot be read any more: {refusal.problems[0].found}",), earlier
    return (), earlier


def _rules_of(records: MLflowStore, run_id: str) -> Mapping[str, Any]:
    from airflow_mlops.spec.governing_rules import governing_rules

    decision = records.decisions.find_decision(run_id)
    if decision is not None and decision.judged_by is not None:
        return decision.judged_by
    return governing_rules(records.lineage.spec_of(run_id))
