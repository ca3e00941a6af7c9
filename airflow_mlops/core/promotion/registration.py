"""One candidate with its decision, on its way into the registry: champion, challenger, or kept aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from airflow_mlops.core.promotion.alias_log import CHAMPION, PREVIOUS, STATUS_TAG, AliasLog, tag
from airflow_mlops.core.promotion.attempts import LoopAttempts, has_served
from airflow_mlops.core.promotion.audit_chain import ending
from airflow_mlops.core.promotion.audit_state import (
    AuditState,
    advance,
    fold,
    version_words,
)
from airflow_mlops.core.promotion.checks import first_reason, require_active, require_not_older, stale
from airflow_mlops.core.promotion.ownership import adopt, refuse_stranger, require_own_candidate
from airflow_mlops.core.promotion.rule_changes import change_nonce, name_changes
from airflow_mlops.core.promotion.serving_version import require_no_champion_known
from airflow_mlops.core.records.attempt import (
    JUDGED_VERSION,
    LOOP_RUN,
    SNAPSHOT_TAG,
    SPEC_TAG,
    SUPERSEDED_BY,
)
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.ownership import SpecIdentity
from airflow_mlops.core.records.people import Person
from airflow_mlops.core.records.promotion import Approval, AuditEvent, PromotionRecord

DECISION_DIGEST_TAG = "mlops.decision_digest"
DISPLACES = "mlops.displaces"


class CandidateRegistration:
    """One candidate with its decision, at one model's ledger."""

    def __init__(
        self,
        decision: GateDecision,
        candidate: Candidate,
        alias_log: AliasLog,
        tags: Mapping[str, str],
        approval: Approval | None,
        *,
        specification: SpecIdentity | None = None,
        note: str = "",
    ) -> None:
        self.decision, self.candidate, self.alias_log, self.approval = decision, candidate, alias_log, approval
        self.specification = specification or SpecIdentity(name=candidate.model)
        require_own_candidate(candidate, self.specification)
        self.why = "; ".join(text for text in (first_reason(decision), note) if text)
        self.reasons = (*decision.reasons, note) if note else decision.reasons
        self.digest = decision.digest
        self.tags = {**tags, **provenance_tags(decision, candidate)}
        self.standing = alias_log.registry.version_of(alias_log.model, candidate.run_id)
        self.attempts = LoopAttempts(alias_log, candidate)

    def make_champion(self) -> PromotionRecord:
        """Promote; each round is one look at the trail and one event."""
        alias_log, judged_against = self.alias_log, self.decision.champion_version
        champion = None
        for _ in alias_log.tries():
            events, state = alias_log.settled(self._is_mine)
            refuse_stranger(alias_log, state, self.specification)
            record = self._done(events, state)
            if record is not None:
                return record
            self._require_unserved(state)
            self._require_unused(events)
            require_active(state, alias_log.model)
            champion = self._fresh(champion, state)
            holder = None if champion is None else champion.version
            if state.champion != holder:
                alias_log.note_hand(state, holder)
                continue
            others = self.attempts.others(state, self._judged)
            ready = self._prepare(events, state)
            if ready is None:
                continue
            version = self._register()
            if self.attempts.supersede(ready, others, self._judged):
                continue
            begun = alias_log.append(
                ready,
                kind="promoting",
                reason=self.why,
                version=version,
                displaced=judged_against,
                model_digest=self.candidate.model_digest or None,
                **self._origin(),
            )
            if begun is not None:
                return self._record(alias_log.trail.events(alias_log.model), begun, alias_log.finish(begun))
        raise alias_log.unfinished()

    def set_aside(self, status: str, reason: str) -> int:
        """Register what was accepted and does not serve itself, or not yet; write it down, let alias and status follow.

        Parameters
        ----------
        status
            `challenger`, or `judged`.
        """
        alias_log = self.alias_log
        for _ in alias_log.tries():
            events, state = alias_log.settled(self._is_mine)
            refuse_stranger(alias_log, state, self.specification)
            if self.standing is not None and self._is_history(state):
                return self.standing
            if status == "judged" and self.standing is not None and self._is_kept(events, "registered", status):
                return self.standing  # its refit may serve by now, and then it is that one's promotion that looks
            require_active(state, alias_log.model)
            self._fresh(None, state)
            others = self.attempts.others(state, self._judged)
            ready = self._prepare(events, state)
            if ready is None:
                continue
            version = self._register()
            if self.attempts.supersede(ready, others, self._judged):
                continue
            if self._is_kept(events, "registered", status) or alias_log.append(
                ready, kind="registered", reason=reason, version=version, status=status, **self._origin()
            ):
                alias_log.follow_challenger(version)
                return version
        raise alias_log.unfinished()

    def keep(self, kind: str, status: str, reason: str) -> PromotionRecord:
        """Register what does not serve, with its reason."""
        alias_log = self.alias_log
        for _ in alias_log.tries():
            events = alias_log.events()
            state = fold(events)
            refuse_stranger(alias_log, state, self.specification)
            if state.unfinished is not None and self._is_mine(state.unfinished):
                alias_log.finish(state.unfinished)
                continue
            self._require_unserved(state)
            if alias_log.registry.alias(alias_log.model, CHAMPION) is None:
                require_no_champion_known(alias_log.registry, alias_log.model, state)
            others = self.attempts.others(state, self._judged)
            ready = self._prepare(events, state)
            if ready is None:
                continue
            version = self._register()
            if self.attempts.supersede(ready, others, self._judged):
                continue
            if self._is_kept(events, kind, status) or alias_log.append(
                ready, kind=kind, reason=reason, version=version, status=status, **self._origin()
            ):
                alias_log.follow_challenger(version)
                return self._unpromoted(version, reason, declined=kind == "declined")
        raise alias_log.unfinished()

    # -----------------------------------------------------------------------------------------------------------------

    def _prepare(self, events: Sequence[AuditEvent], state: AuditState) -> AuditState | None:
        """Write what comes before the version's own event; None when somebody else wrote first.

        That the model has an owner now, where it had none; and that the rules which it was judged by have changed.
        """
        ready = adopt(self.alias_log, events, state, self.specification)
        if ready is None or not self.decision.rules_changed:
            return ready
        nonce = change_nonce(self.candidate)
        if any(event.nonce == nonce for event in events):
            return ready
        written = self.alias_log.append(
            ready,
            kind="rules_changed",
            reason=name_changes(self.decision.rules_changed),
            specification=self.specification,
            nonce=nonce,
        )
        return None if written is None else advance(ready, written)

    def _origin(self) -> dict[str, Any]:
        """What each event of this version says: by which decision and approval, for which specification, and who."""
        people = self.alias_log.people
        if self.approval is not None and self.approval.by:
            did: Literal["approved", "declined"] = "approved" if self.approval.approved else "declined"
            people = (*people, Person(name=self.approval.by, did=did))
        return {
            "decision": self.digest,
            "approval": None if self.approval is None else self.approval.digest,
            "specification": self.specification,
            "people": people,
        }

    def _is_mine(self, event: AuditEvent) -> bool:
        return event.version is not None and event.version == self.standing

    def _is_kept(self, events: Sequence[AuditEvent], kind: str, status: str) -> bool:
        """Whether the last word about the version is this one already."""
        last = next((event for event in reversed(events) if event.version == self.standing), None)
        return last is not None and (last.kind, last.status, last.decision) == (kind, status, self.digest)

    def _is_history(self, state: AuditState) -> bool:
        alias_log, standing = self.alias_log, self.standing
        return standing is not None and has_served(alias_log.registry, alias_log.model, standing, state)

    def _done(self, events: Sequence[AuditEvent], state: AuditState) -> PromotionRecord | None:
        """Return the record of an earlier try, if this version serves by this decision."""
        begun = next((e for e in reversed(events) if e.kind == "promoting" and self._is_mine(e)), None)
        if begun is None or begun.decision != self.digest:
            return self._adopted(events, state)
        end = ending(events, begun)
        if end is None or end.kind != "promoted" or state.champion != self.standing:
            return None
        if self.alias_log.registry.alias(self.alias_log.model, CHAMPION) != self.standing:
            return None
        return self._record(events, begun, end)

    def _adopted(self, events: Sequence[AuditEvent], state: AuditState) -> PromotionRecord | None:
        """Return the record of a champion that was promoted by this decision before its model had a trail."""
        alias_log, standing = self.alias_log, self.standing
        if standing is None or state.champion != standing or any(event.kind != "moved_by_hand" for event in events):
            return None
        if alias_log.registry.alias(alias_log.model, CHAMPION) != standing or len(events) > 2:  # noqa: PLR2004 - previous, champion
            return None
        if (alias_log.registry.version_tags(alias_log.model, standing) or {}).get(DECISION_DIGEST_TAG) != self.digest:
            return None
        return self._promoted(standing, state)

    def _record(self, events: Sequence[AuditEvent], begun: AuditEvent, end: AuditEvent) -> PromotionRecord:
        if end.kind != "promoted" or begun.version is None:
            raise stale(
                f"version {begun.version} did not become champion: {end.reason}",
                "a champion that only the loop moves",
                "clear the gate task of this run: it judges against the champion of now",
            )
        return self._promoted(begun.version, fold(events[: begun.number]))

    def _promoted(self, version: int, state: AuditState) -> PromotionRecord:
        previous = state.previous
        return PromotionRecord(
            model=self.alias_log.model,
            version=version,
            run_id=self.candidate.run_id,
            promoted=True,
            champion_version=version,
            previous_version=previous,
            as_of=self.candidate.as_of,
            verdict=self.decision.verdict,
            reasons=self.reasons,
            supersedes=self.attempts.superseded(self._judged),
        )

    def _unpromoted(self, version: int, reason: str, *, declined: bool) -> PromotionRecord:
        registry, model = self.alias_log.registry, self.alias_log.model
        return PromotionRecord(
            model=model,
            version=version,
            run_id=self.candidate.run_id,
            promoted=False,
            champion_version=registry.alias(model, CHAMPION),
            previous_version=registry.alias(model, PREVIOUS),
            as_of=self.candidate.as_of,
            verdict=self.decision.verdict,
            reasons=(reason, *self.decision.reasons) if declined else self.decision.reasons,
            declined=declined,
            supersedes=self.attempts.superseded(self._judged),
        )

    def _register(self) -> int:
        alias_log = self.alias_log
        alias_log.registry.require_intact(self.candidate)
        # Also when a version stands already: the registry refuses one that was not made from this candidate's model.
        self.standing = alias_log.registry.register(
            alias_log.model, self.candidate, {**self.tags, STATUS_TAG: "candidate"}
        )
        # The version of an earlier try may carry an earlier decision, and one of an earlier attempt is back with it.
        before = alias_log.registry.version_tags(alias_log.model, self.standing) or {}
        back = {SUPERSEDED_BY: ""} if before.get(SUPERSEDED_BY) else {}
        tag(alias_log.registry, alias_log.model, self.standing, {**self.tags, **back})
        return self.standing

    @property
    def _judged(self) -> int | None:
        """The version that was judged in this attempt of the loop run; None before it is registered."""
        judged = self.decision.refit_of
        return self.standing if judged is None else judged.version

    def _require_unserved(self, state: AuditState) -> None:
        """A version that serves, or has served, keeps the decision that it was promoted by."""
        standing, alias_log = self.standing, self.alias_log
        if standing is None or not self._is_history(state):
            return
        if alias_log.registry.alias(alias_log.model, CHAMPION) == standing:
            raise stale(
                f"version {standing} of this run serves already, by another decision than this one "
                f"({self.decision.verdict})",
                "the decision that it was promoted by",
                "trigger a new run, or roll the model back",
            )
        status = state.statuses.get(standing) or (alias_log.registry.version_tags(alias_log.model, standing) or {}).get(
            STATUS_TAG
        )
        raise stale(
            f"version {standing} of this run has served before and was replaced (status {status})",
            "a version that has not served yet",
            "trigger a new run, or roll the model back to it",
        )

    def _require_unused(self, events: Sequence[AuditEvent]) -> None:
        """A decision lets one version serve, once: also when somebody deleted that version from the registry since."""
        used = next((e for e in events if (e.kind, e.decision) == ("promoted", self.digest)), None)
        if used is not None and not self._is_mine(used):
            raise stale(
                f"version {used.version} became champion by this decision, and was deleted since",
                "a decision that nothing was promoted by",
                "trigger a new run",
            )

    def _fresh(self, known: Champion | None, state: AuditState) -> Champion | None:
        """Return the champion: the one that was judged against, and not newer than the candidate."""
        alias_log, judged_against = self.alias_log, self.decision.champion_version
        holder = alias_log.registry.alias(alias_log.model, CHAMPION)
        champion = (
            known if known is not None and known.version == holder else alias_log.registry.champion(alias_log.model)
        )
        holder = None if champion is None else champion.version
        if holder is None:
            require_no_champion_known(alias_log.registry, alias_log.model, state)
        if holder != judged_against:
            then, serving = version_words(judged_against), version_words(holder)
            raise stale(
                f"the decision was made against {then}, but {serving} serves now",
                "a decision against the champion that still serves",
                "clear the gate task of this run: it judges against the champion of now",
            )
        if champion is not None:
            require_not_older(self.candidate, champion)
        return champion


def provenance_tags(decision: GateDecision, candidate: Candidate) -> dict[str, str]:
    """Return everything that made a version, as the tags it carries in the registry."""
    displaced = decision.champion_version
    return {
        LOOP_RUN: candidate.loop_run,
        "mlops.as_of": candidate.as_of.isoformat(),
        "mlops.train": str(candidate.train),
        "mlops.holdout": str(candidate.holdout),
        "mlops.train_rows": str(candidate.train_rows),
        "mlops.holdout_rows": str(candidate.holdout_rows),
        SNAPSHOT_TAG: candidate.snapshot_fingerprint,
        "mlops.snapshot_uri": candidate.snapshot_uri,
        SPEC_TAG: candidate.spec_fingerprint,
        "mlops.seed": str(candidate.seed),
        "mlops.verdict": decision.verdict.value,
        DECISION_DIGEST_TAG: decision.digest,
        DISPLACES: "" if displaced is None else str(displaced),
        **({} if decision.refit_of is None else {JUDGED_VERSION: str(decision.refit_of.version)}),
        **{f"mlops.metric.{name}": repr(value) for name, value in candidate.metrics.items()},
    }
