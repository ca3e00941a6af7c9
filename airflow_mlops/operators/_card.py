"""Write the model card of a registered version."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_mlops.core.records.candidate import Candidate
    from airflow_mlops.core.records.decision import GateDecision
    from airflow_mlops.core.records.promotion import Approval, PromotionRecord
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.stores.mlflow.store import MLflowStore

MARKDOWN, PAGE = "model_card.md", "model_card.html"


def version_links(records: MLflowStore, model: str, run_id: str, version: int) -> dict[str, str]:
    """Return the addresses that a card names."""
    return {
        "MLflow run": records.run_url(run_id),
        "Report": records.artifact_url(run_id, "gate/decision.html"),
        "Model version": records.version_url(model, version),
    }


def write_card(
    records: MLflowStore,
    spec: ModelSpec,
    candidate: Candidate,
    decision: GateDecision,
    promotion: PromotionRecord,
    *,
    approval: Approval | None,
    links: Mapping[str, str],
) -> str:
    """Write `model_card.md` and `model_card.html` into the version's run, and a summary into the registry.

    Everything else that the card tells is read from the run.

    Parameters
    ----------
    approval
        A person's answer to this decision, if there is one.
    links
        Addresses by name; empty ones are left out.

    Returns
    -------
    str
        Address of the page.
    """
    from airflow_mlops.core.gate import sections_of
    from airflow_mlops.reports.model_card.card import card

    run_id, model = candidate.run_id, spec.registered_model
    origin = records.lineage.circumstances_of(run_id)
    made = card(
        spec=spec,
        candidate=candidate,
        snapshot=records.lineage.snapshot_of(run_id),
        decision=decision,
        promotion=promotion,
        approval=approval,
        evidence=sections_of(spec, candidate, decision),
        history=records.trail.events(model),
        packages=origin.packages,
        links={name: url for name, url in links.items() if url},
        commit=origin.commit,
    )
    records.artifacts.write_text(run_id, MARKDOWN, made.to_markdown())
    records.artifacts.write_text(run_id, PAGE, made.to_html())
    records.registry.describe_version(model, promotion.version, made.summary())
    return records.artifact_url(run_id, PAGE)
