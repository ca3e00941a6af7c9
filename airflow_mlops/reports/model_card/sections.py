"""What a model card says of limits, origin, decision, approval and lineage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import Evaluation, GateDecision, Verdict
from airflow_mlops.core.records.promotion import Approval, AuditEvent, PromotionRecord
from airflow_mlops.core.records.section import Section
from airflow_mlops.core.records.snapshot import Snapshot
from airflow_mlops.core.records.wording import format_interval, format_window, slice_tone
from airflow_mlops.core.text import format_number, format_percent, spell_out
from airflow_mlops.reports.decision.judgement import changes_sections, rules_section
from airflow_mlops.reports.decision.wording import ignored, sorted_rules
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.types import format_duration

NOT_JUDGED = "The gate has not judged this candidate."


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The records that lead from a run to a version; None and empty where there is none."""

    spec: ModelSpec
    candidate: Candidate
    snapshot: Snapshot
    decision: GateDecision | None
    promotion: PromotionRecord | None
    approval: Approval | None
    history: Sequence[AuditEvent]
    packages: Mapping[str, str] | None
    commit: str | None

    @property
    def version(self) -> int | None:
        """The registered version, if there is one."""
        return None if self.promotion is None else self.promotion.version


def status(trace: Trace) -> str:
    """Where the version stands, by its last event; by the promotion's record where there is none yet."""
    version = trace.version
    retired = f"; the model is retired: {trace.spec.retired}" if trace.spec.retired else ""
    moves = [event for event in sorted(trace.history, key=lambda event: event.number) if event.kind in _MOVES]
    if version is not None and moves and any(event.version == version for event in moves):
        last = moves[-1]
        if last.version == version:
            return f"champion since {last.at:%Y-%m-%d %H:%M} UTC{retired}"
        return f"was champion, until v{last.version} took its place on {last.at:%Y-%m-%d %H:%M} UTC{retired}"
    return _status_of_records(trace.decision, trace.promotion) + retired


_MOVES = {"promoted", "rolled_back", "moved_by_hand"}


def _status_of_records(decision: GateDecision | None, promotion: PromotionRecord | None) -> str:
    if promotion is not None and promotion.promoted:
        return "champion"
    if promotion is not None and promotion.superseded_by is not None:
        before = _status_of_records(decision, replace(promotion, superseded_by=None))
        return f"superseded by v{promotion.superseded_by}: the same run was judged anew; before: {before}"
    if promotion is not None and promotion.refitted_as is not None:
        return f"accepted, and refitted on all rows as v{promotion.refitted_as}, which serves by its evidence"
    if promotion is not None and promotion.declined:
        return "accepted by the gate, declined by a person"
    if decision is None:
        return "candidate, not judged yet"
    words = {Verdict.ACCEPT: "accepted", Verdict.REJECT: "rejected", Verdict.INCONCLUSIVE: "inconclusive"}
    return f"{words[decision.verdict]}, {'not promoted' if promotion is not None else 'promotion has not followed yet'}"


def limitations(
    spec: ModelSpec, candidate: Candidate, snapshot: Snapshot, decision: GateDecision | None
) -> tuple[str, ...]:
    """The owner's limitations, then what follows from the records."""
    found = [*spec.limitations, f"It knows nothing of events after {candidate.train.end:%Y-%m-%d %H:%M %Z}."]
    if snapshot.known_issues:
        found.append(f"Its rows have known quality issues: {len(snapshot.known_issues)}, listed under training data.")
    if candidate.refit_of is not None:
        found.append("It was not judged itself: its evidence is of the same recipe, trained without the newest rows.")
    if decision is None:
        return (*found, "Nothing is known of its quality: the gate has not judged it.")
    if decision.overridden:
        found.append(f"{decision.overridden} The specification's file says otherwise.")
    if decision.other_rules:
        found.append(decision.other_rules)
    return (*found, *_from_rules(decision), *_from_evidence(decision.evaluation))


def _from_rules(decision: GateDecision) -> Iterator[str]:
    if decision.mode == "off":
        yield "The gate was off: no rule but two was evaluated."
    if ignored(decision):
        yield "It was accepted although rules failed, because they did not count."
    for rule in sorted_rules(decision.evaluation.rules):
        if rule.verdict is Verdict.INCONCLUSIVE:
            yield f"Not shown ({spell_out(rule.rule)}): {rule.reason}"
        elif rule.verdict is Verdict.REJECT:
            counts = "" if rule.enforced else ", recorded only"
            yield f"Failed ({spell_out(rule.rule)}{counts}): {rule.reason}"


def _from_evidence(evaluation: Evaluation) -> Iterator[str]:
    found, metric = evaluation.evidence, evaluation.primary
    for segment in found.segments[:3]:
        yield (
            f"Weak where {segment.words}: {metric} {format_number(segment.metric)}, on all rows "
            f"{format_number(segment.whole)} "
            f"({segment.rows:,} rows, {format_percent(segment.share)})."
        )
    worse = [f"{item.column} = {item.value}" for item in found.slices if slice_tone(item, evaluation.rules) == "bad"]
    if worse:
        yield f"Worse than allowed in {_some(worse)}."
    few = [f"{item.column} = {item.value} ({item.rows:,} rows)" for item in found.slices if not item.judged]
    if few:
        yield f"Too few rows to judge these slices: {_some(few)}."
    small = [f"{item.column} = {item.value} ({item.rows:,} rows)" for item in found.groups if not item.judged]
    if small:
        yield f"Too few rows to judge these groups: {_some(small)}."
    for item in found.reliability:
        if item.who == "candidate":
            yield f"Its probabilities are off by {format_interval(item.error)} on average ({item.event})."


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""  # noqa: PLR2004 - a sentence, not a table
    return ", ".join(names[:5]) + more


def _parts(candidate: Candidate) -> str:
    judged, held = candidate.refit_of, f"{candidate.holdout_rows:,} held out"
    if judged is None:
        return f"{candidate.train_rows:,} to train, {held}"
    return f"{candidate.train_rows:,} to train; what was judged learned from {judged.train_rows:,}, with {held}"


def origin_sections(spec: ModelSpec, candidate: Candidate, snapshot: Snapshot) -> Iterator[Section]:
    """Training data, features, estimator."""
    delay = spec.data.label_delay
    yield Section(
        title="Training data",
        sentences=() if snapshot.known_issues else ("No quality issue was known when the rows were taken.",),
        points=tuple(f"{issue.found}: {issue.fix}" for issue in snapshot.known_issues),
        facts={
            "source": snapshot.source,
            "window": format_window(snapshot.window),
            "rows": f"{snapshot.rows:,}: {_parts(candidate)}",
            "trained on": format_window(candidate.train),
            ("held out" if candidate.refit_of is None else "judged on"): format_window(candidate.holdout),
            "label": f"{snapshot.label}, known {format_duration(delay) if delay > timedelta() else 'at once'}"
            + (" after the event" if delay > timedelta() else ""),
            "without a label": f"{snapshot.unlabelled:,} rows, left out",
            "snapshot": snapshot.uri,
            "fingerprint": snapshot.fingerprint,
        },
    )
    yield Section(
        title="Features",
        sentences=() if candidate.features else ("No feature was recorded.",),
        headings=("feature", "used as"),
        rows=tuple((feature.name, feature.role) for feature in candidate.features),
    )
    classes = ", ".join(
        f"{label} (positive)" if label == candidate.positive else str(label) for label in candidate.classes
    )
    yield Section(
        title="Estimator",
        sentences=() if candidate.parameters else ("No parameter was recorded: the estimator's defaults.",),
        facts={"estimator": spec.training.estimator, "task": candidate.task, "seed": str(candidate.seed)}
        | ({"classes": classes} if classes else {}),
        headings=("parameter", "value"),
        rows=tuple((name, str(value)) for name, value in sorted(candidate.parameters.items())),
    )


def calling_section(spec: ModelSpec, candidate: Candidate) -> Section:
    """How the version is called outside of the loop, in the words of MLflow."""
    columns = [feature.name for feature in candidate.features]
    shown = ", ".join(columns[:40]) + (f" and {len(columns) - 40} more" if len(columns) > 40 else "")  # noqa: PLR2004
    model = f"models:/{spec.registered_model}@champion"
    facts = {
        "prediction": f'mlflow.pyfunc.load_model("{model}").predict(frame)',
        "columns of the frame": f"{shown}; others are left out",
        "types": "as the source has them: integers, numbers, true and false, texts, dates, decimals, missing values; a "
        "text where a number is meant is refused",
        "packages": "those of the model's requirements.txt; our own steps, airflow_mlops_steps, are stored with it",
    }
    if len(candidate.classes) == 2:  # noqa: PLR2004
        positive = candidate.classes[-1] if candidate.positive is None else candidate.positive
        place = candidate.classes.index(positive)
        facts["probability"] = (
            f'mlflow.sklearn.load_model("{model}").predict_proba(frame)[:, {place}] is that of {str(positive)!r}'
        )
    return Section(title="How to call it", facts=facts)


def lineage_sections(trace: Trace) -> Iterator[Section]:
    """Decision, approval, lineage, packages and audit events."""
    yield _decision(trace.decision)
    if trace.decision is not None:
        yield from changes_sections(trace.decision)
    yield _approval(trace.spec, trace.approval)
    yield _lineage(trace)
    yield Section(
        title="Packages",
        sentences=() if trace.packages else ("The packages of the run were not recorded.",),
        headings=("package", "version"),
        rows=tuple(sorted((trace.packages or {}).items())),
    )
    yield _events(trace.history, trace.version)


def _decision(decision: GateDecision | None) -> Section:
    if decision is None:
        return Section(title="Decision", sentences=(NOT_JUDGED,))
    said = [f"{decision.verdict.value.capitalize()}, decided at {decision.decided_at:%Y-%m-%d %H:%M:%S} UTC."]
    if decision.mode != "enforce":
        would = (decision.would or decision.verdict).value
        said.append(f"gate.mode was {decision.mode}: had every rule counted, the verdict were {would}.")
    return replace(rules_section(decision.evaluation.rules), key="decision", title="Decision", sentences=tuple(said))


def _approval(spec: ModelSpec, approval: Approval | None) -> Section:
    asked = spec.risk_tier in spec.promotion.approval.tiers
    if approval is None:
        said = (
            f"A person must approve models of risk tier {spec.risk_tier}; no answer is recorded."
            if asked
            else f"No approval was asked for: models of risk tier {spec.risk_tier} do not wait for a person."
        )
        return Section(title="Approval", sentences=(said,))
    answer = "timed out: nobody answered" if approval.timed_out else "approved" if approval.approved else "declined"
    return Section(
        title="Approval",
        facts={
            "answer": answer,
            "by": approval.by or "nobody",
            "at": f"{approval.at:%Y-%m-%d %H:%M:%S} UTC",
            "note": approval.note or "none given",
            "decision's digest": approval.decision,
        },
    )


def _lineage(trace: Trace) -> Section:
    candidate, snapshot, decision, promotion = trace.candidate, trace.snapshot, trace.decision, trace.promotion
    found = {
        "MLflow run": candidate.run_id,
        "model": candidate.model_uri,
        "Airflow run": candidate.loop_run,
        "triggered by": (decision.overridden_by if decision is not None else "") or "nobody that Airflow names",
        "code commit": trace.commit or "missing: it was not recorded",
        "specification": candidate.spec_fingerprint,
        "snapshot": f"{snapshot.uri} ({snapshot.fingerprint})",
        "decision's digest": "missing: not judged" if decision is None else decision.digest,
        "promotion": "missing: not promoted or refused yet" if promotion is None else _promotion(promotion),
        "candidate's format": str(candidate.FORMAT),
    }
    return Section(title="Lineage", facts=found)


def _promotion(record: PromotionRecord) -> str:
    before = "no champion" if record.previous_version is None else f"v{record.previous_version}"
    after = "no champion" if record.champion_version is None else f"v{record.champion_version}"
    older = "".join(f", supersedes v{number}" for number in record.supersedes)
    return f"{'promoted' if record.promoted else 'not promoted'}; champion after it {after}, previous {before}{older}"


def _events(history: Sequence[AuditEvent], version: int | None) -> Section:
    mine = [event for event in history if version is not None and version in {event.version, event.displaced}]
    return Section(
        title="Audit events",
        sentences=() if mine else ("The audit trail has no event of this version.",),
        headings=("number", "when", "what", "by", "version", "displaced", "reason"),
        rows=tuple(
            (
                str(event.number),
                f"{event.at:%Y-%m-%d %H:%M:%S} UTC",
                spell_out(event.kind) + (" (forced)" if event.forced else ""),
                event.who,
                "none" if event.version is None else f"v{event.version}",
                "none" if event.displaced is None else f"v{event.displaced}",
                event.reason,
            )
            for event in sorted(mine, key=lambda event: event.number)
        ),
    )
