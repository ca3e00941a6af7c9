"""The model card: what a version is for, what it was made of, how good it is, and who let it serve.

After Mitchell et al., *Model Cards for Model Reporting* (FAT* 2019): its sections model details, intended use, factors
(slices and groups), metrics, evaluation data, training data, quantitative analyses, ethical considerations (fairness)
and caveats (limitations) are all here, with the gate's decision and the lineage beside them. What is not known is said
to be missing: an empty place in a card looks like an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from airflow_mlops.core.records.base import Record, added
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.promotion import Approval, AuditEvent, PromotionRecord
from airflow_mlops.core.records.section import Section, StoredSection
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.records.wording import refit_words
from airflow_mlops.core.text import format_number
from airflow_mlops.reports import sections as card_page
from airflow_mlops.reports.decision.judgement import metrics_of_training, metrics_section
from airflow_mlops.reports.decision.wording import deciding, sentence
from airflow_mlops.reports.model_card.sections import (
    NOT_JUDGED,
    Trace,
    calling_section,
    limitations,
    lineage_sections,
    origin_sections,
    status,
)
from airflow_mlops.spec.model import ModelSpec

LONGEST_SUMMARY = 1500
"""Characters of the short form."""


@dataclass(frozen=True, kw_only=True)
class ModelCard(Record):
    """A version's card; sections hold plain text, which the writers escape."""

    model: str
    """Registered model."""
    version: int | None
    """None: the candidate is not registered."""
    status: str
    """`champion`, `rejected`, ... in words."""
    purpose: str
    owner: str
    risk_tier: str
    as_of: datetime
    answer: str
    """The gate's verdict in one sentence, and why."""
    headline: str
    """The primary metric beside champion and baseline."""
    limitations: tuple[str, ...]
    """The owner's first, then what the evidence says."""
    sections: tuple[StoredSection, ...]
    refitted: str = added("")
    """Of a refitted model, in words what it is and whose numbers these are."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Names and addresses; only http and https become links."""

    @property
    def title(self) -> str:
        """Model and version in words."""
        return f"{self.model} v{self.version}" if self.version is not None else f"{self.model} (not registered)"

    def to_markdown(self) -> str:
        """The whole card, for GitHub and MLflow: tables are GitHub's, all text is escaped."""
        return card_page.markdown(f"Model card: {self.title}", self._top(), self._shown(), self.links)

    def to_html(self) -> str:
        """The whole card as one self-contained page."""
        return card_page.html(f"Model card: {self.title}", self._top(), self._shown(), self.links)

    def _shown(self) -> tuple[Section, ...]:
        return tuple(Section.shown(part) for part in self.sections)

    def summary(self) -> str:
        """The short form for the version's description: Markdown of at most `LONGEST_SUMMARY` characters."""
        return card_page.short(
            f"{self.title}: {self.status}", self._top(), self.limitations, self.links, LONGEST_SUMMARY
        )

    def _top(self) -> dict[str, str]:
        return {
            "Purpose": self.purpose,
            "Status": self.status,
            "Owner": f"{self.owner}; risk tier {self.risk_tier}",
            "As of": f"{self.as_of:%Y-%m-%d %H:%M} UTC",
            "Decision": self.answer,
            "Measured": self.headline,
            **({"Refitted": self.refitted} if self.refitted else {}),
        }


def card(
    *,
    spec: ModelSpec,
    candidate: Candidate,
    snapshot: Snapshot,
    decision: GateDecision | None,
    promotion: PromotionRecord | None,
    approval: Approval | None,
    evidence: Sequence[Section],
    history: Sequence[AuditEvent] = (),
    packages: Mapping[str, str] | None = None,
    links: Mapping[str, str] = MappingProxyType({}),
    commit: str | None = None,
) -> ModelCard:
    """Write the card of a version from its records.

    Parameters
    ----------
    spec
        The model's specification: purpose, owner, risk tier, limitations, and which rules were asked for.
    candidate, snapshot
        What was trained, and on what.
    decision, promotion, approval
        What followed; None where it did not happen (yet), which the card says.
    evidence
        What the gate's rules saw, in sections; none where it has not judged.
    history
        Audit events of the model; the card shows those about this version.
    packages
        Versions by package of the run; None when they were not recorded.
    links
        Names and addresses, such as the MLflow run and the decision's page.
    commit
        Of the code that trained it.

    Returns
    -------
    ModelCard
        A record: the same records always give the same card.
    """
    trace = Trace(
        spec=spec,
        candidate=candidate,
        snapshot=snapshot,
        decision=decision,
        promotion=promotion,
        approval=approval,
        history=history,
        packages=packages,
        commit=commit,
    )
    known_limits = limitations(spec, candidate, snapshot, decision)
    limits = Section(
        title="Limitations",
        sentences=(() if spec.limitations else ("Its owner states no limitation.",)),
        points=known_limits,
    )
    return ModelCard(
        model=spec.registered_model,
        version=trace.version,
        status=status(trace),
        purpose=spec.description or "not described: the specification has no description",
        owner=spec.owner,
        risk_tier=spec.risk_tier,
        as_of=candidate.as_of,
        answer=_answer(decision),
        headline=_headline(decision),
        refitted=_refitted(candidate, decision),
        limitations=known_limits,
        sections=tuple(
            part.stored()
            for part in (
                limits,
                *origin_sections(spec, candidate, snapshot),
                calling_section(spec, candidate),
                *_evaluation(candidate, decision, evidence),
                *lineage_sections(trace),
            )
        ),
        links=dict(links),
    )


def _evaluation(candidate: Candidate, decision: GateDecision | None, evidence: Sequence[Section]) -> Iterator[Section]:
    """Metrics beside champion and baseline, then what the rules saw; before the gate, what the training measured."""
    if decision is None:
        yield metrics_of_training(candidate)
        yield Section(title="Evaluation", sentences=(NOT_JUDGED,))
        return
    yield metrics_section(decision.evaluation, decision.refit_of)
    yield from evidence


def _answer(decision: GateDecision | None) -> str:
    if decision is None:
        return "not judged by the gate yet"
    return " ".join((sentence(decision), *deciding(decision)[:1]))


def _refitted(candidate: Candidate, decision: GateDecision | None) -> str:
    if decision is None or decision.refit_of is None:
        return ""
    version = decision.refit_of.version
    return f"{refit_words(candidate.train_rows, version)}; what is measured here is version {version}"


def _headline(decision: GateDecision | None) -> str:
    if decision is None:
        return "no metric on the holdout: it was not judged"
    found = decision.evaluation
    champion = (found.champion_metrics or {}).get(found.primary)
    against = "no champion" if champion is None else f"champion v{found.champion_version} {format_number(champion)}"
    baseline = format_number(found.baseline_metrics.get(found.primary))
    ours = format_number(found.candidate_metrics.get(found.primary))
    return f"{found.primary} {ours} ({against}, trivial baseline {baseline}) on {found.rows:,} rows"
