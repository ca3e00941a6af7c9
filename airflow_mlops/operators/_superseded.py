"""Mark what a later attempt of the same loop run has superseded: in its MLflow run, on its page and on its card."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_mlops.core.records.candidate import Champion
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.core.records.promotion import PromotionRecord
    from airflow_mlops.operators._base import LoopOperator
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore


def mark_superseded(
    operator: LoopOperator, records: MLflowStore, spec: ModelSpec, made: Iterable[PromotionRecord]
) -> None:
    """Say of each version that an attempt superseded which one did, wherever somebody reads about it.

    The audit trail and the registry's tags say so already. Done again, it changes nothing.

    Parameters
    ----------
    made
        What became of the attempt: of its version, and of that of its refit.
    """
    from airflow_mlops.core.errors import RecordError

    for record in made:
        records.runs.mark_superseded(record.run_id, None)
    for number in sorted({number for record in made for number in record.supersedes}):
        try:
            _mark(records, spec.registered_model, records.registry.version(spec.registered_model, number))
        except RecordError as gone:
            operator.log.warning(
                "version %s is superseded, and its run cannot be told so: only registry and audit trail say it: %s",
                number,
                gone,
            )


def _mark(records: MLflowStore, model: str, old: Champion) -> None:
    from airflow_mlops.core.gate import advice_of, sections_of
    from airflow_mlops.core.promotion import approval_of
    from airflow_mlops.core.records.attempt import SUPERSEDED_BY
    from airflow_mlops.operators._card import version_links, write_card
    from airflow_mlops.operators._evaluate import DECISION_PAGE
    from airflow_mlops.reports.decision.page import render
    from airflow_mlops.stores.mlflow.errors import conflict

    by = int((records.registry.version_tags(model, old.version) or {})[SUPERSEDED_BY])
    if not records.runs.is_live(old.run_id):
        raise conflict(
            f"MLflow run {old.run_id} is deleted", "a run that nobody deletes", "restore it, if it is missed"
        )
    decision, spec = records.decisions.decision(old.run_id), records.lineage.spec_of(old.run_id)
    record = replace(_promotion_of(records, old, decision), superseded_by=by)
    records.runs.mark_superseded(old.run_id, by)
    records.decisions.record_promotion(old.run_id, record)
    evidence = sections_of(spec, old.candidate, decision)
    page = render(decision, old.candidate, advice_of(decision), evidence=evidence, superseded_by=by)
    records.artifacts.write_text(old.run_id, DECISION_PAGE, page)
    approval = approval_of(records.decisions.approval(old.run_id), decision)
    links = version_links(records, model, old.run_id, old.version)
    write_card(records, spec, old.candidate, decision, record, approval=approval, links=links)


def _promotion_of(records: MLflowStore, old: Champion, decision: GateDecision) -> PromotionRecord:
    """Return what became of a version; of one that was still waiting for a person, that it does not serve."""
    from airflow_mlops.core.records.promotion import PromotionRecord

    standing = records.decisions.find_promotion(old.run_id)
    if standing is not None:
        return standing
    return PromotionRecord(
        model=old.model,
        version=old.version,
        run_id=old.run_id,
        promoted=False,
        champion_version=decision.champion_version,
        previous_version=None,
        as_of=old.candidate.as_of,
        verdict=decision.verdict,
        reasons=decision.reasons,
    )
