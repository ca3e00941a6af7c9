"""A registry and an audit trail in memory, and small candidates and decisions for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion.audit_chain import require_whole
from airflow_mlops.core.promotion.promote import promote
from airflow_mlops.core.records.attempt import LOOP_RUN, LoopVersion, refit_run
from airflow_mlops.core.records.candidate import Candidate, Champion
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.promotion import AuditEvent, PromotionRecord
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import Problem, ReasonCode
from tests.support.builders import make_candidate, make_decision

MODEL = "late"
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
AT_ONCE: dict[str, Any] = {"lease": timedelta(0), "pause": lambda _: None}
"""Nobody is waited for."""


class Killed(BaseException):
    """The process is gone; nothing of ours may catch it."""


class MemoryRegistry:
    """Implements Registry and AuditTrail in memory; dies before its n-th effect, when asked to."""

    def __init__(self) -> None:
        self.candidates: dict[int, Candidate] = {}
        self.tags: dict[int, dict[str, str]] = {}
        self.aliases: dict[str, int] = {}
        self.of_model: dict[str, str] = {}
        self.written: list[AuditEvent] = []
        self.altered: set[str] = set()
        """Addresses of stored models that somebody changed."""
        self.moves: list[tuple[int | None, int]] = []
        """Every change of the alias champion."""
        self.lives = -1

    def _effect(self) -> None:
        if self.lives == 0:
            raise Killed
        self.lives -= 1

    def champion(self, model: str) -> Champion | None:
        version = self.aliases.get("champion")
        if version is None:
            return None
        if version not in self.candidates:
            problem = Problem(code=ReasonCode.CHAMPION_UNREADABLE, field="x", found="x", allowed="x", fix="x")
            raise RecordError(problem)
        made = self.candidates[version]
        return Champion(model=model, version=version, run_id=made.run_id, model_uri=made.model_uri, candidate=made)

    def version(self, model: str, number: int) -> Champion:
        if number not in self.candidates:
            raise RecordError(Problem(code=ReasonCode.VERSION_MISSING, field="x", found="x", allowed="x", fix="x"))
        made = self.candidates[number]
        return Champion(model=model, version=number, run_id=made.run_id, model_uri=made.model_uri, candidate=made)

    def version_of(self, model: str, run_id: str) -> int | None:
        return next((number for number, made in self.candidates.items() if made.run_id == run_id), None)

    def loop_versions(self, model: str, loop_run: str) -> tuple[LoopVersion, ...]:
        runs = {loop_run, refit_run(loop_run)}
        return tuple(
            LoopVersion(number=number, run_id=self.candidates[number].run_id, tags=dict(tags))
            for number, tags in sorted(self.tags.items())
            if number in self.candidates and tags.get(LOOP_RUN) in runs
        )

    def register(self, model: str, candidate: Candidate, tags: Mapping[str, str]) -> int:
        standing = self.version_of(model, candidate.run_id)
        if standing is not None:
            return standing
        self._effect()
        number = max(self.tags, default=0) + 1
        self.candidates[number], self.tags[number] = candidate, dict(tags)
        return number

    def require_intact(self, candidate: Candidate) -> None:
        if candidate.model_uri in self.altered:
            raise RecordError(Problem(code=ReasonCode.MODEL_ALTERED, field="x", found="x", allowed="x", fix="x"))

    def set_alias(self, model: str, alias: str, version: int) -> None:
        self._effect()
        assert version in self.candidates
        if alias == "champion" and self.aliases.get(alias) != version:
            self.moves.append((self.aliases.get(alias), version))
        self.aliases[alias] = version

    def alias(self, model: str, alias: str) -> int | None:
        return self.aliases.get(alias)

    def version_tags(self, model: str, version: int) -> Mapping[str, str] | None:
        return dict(self.tags[version]) if version in self.candidates else None

    def tag_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():  # one request each, as in MLflow
            self._effect()
            self.tags[version][name] = value

    def delete_alias(self, model: str, alias: str) -> None:
        self._effect()
        self.aliases.pop(alias, None)

    def model_tags(self, model: str) -> Mapping[str, str]:
        return dict(self.of_model)

    def tag_model(self, model: str, tags: Mapping[str, str]) -> None:
        self._effect()
        self.of_model.update(tags)

    def events(self, model: str) -> tuple[AuditEvent, ...]:
        require_whole(self.written, model)
        return tuple(self.written)

    def append(self, model: str, event: AuditEvent) -> bool:
        if event.number <= len(self.written):
            return self.written[event.number - 1] == event
        self._effect()
        self.written.append(event)
        return True

    def delete_version(self, number: int) -> None:
        """By hand: MLflow deletes the aliases on it as well."""
        del self.candidates[number]
        self.aliases = {alias: version for alias, version in self.aliases.items() if version != number}

    def seen(self) -> tuple[object, ...]:
        events = [(event.kind, event.version, event.displaced, event.status, event.forced) for event in self.written]
        return dict(self.aliases), {n: dict(tags) for n, tags in self.tags.items()}, dict(self.candidates), events


def candidate_of(number: int, day: int | None = None) -> Candidate:
    as_of = START + DAY * (number if day is None else day)
    return make_candidate(
        as_of, model=MODEL, loop_run=f"late.train/{number}", run_id=f"run{number}", model_uri=f"models:/m-{number}",
        train=Window(start=as_of - 3 * DAY, end=as_of - DAY), holdout=Window(start=as_of - DAY, end=as_of),
        metrics={"log_loss": 0.5},
    )  # fmt: skip


def decision_of(candidate: Candidate, champion: int | None, verdict: Verdict = Verdict.ACCEPT) -> GateDecision:
    return make_decision(candidate, verdict, champion_version=champion)


def go(
    registry: MemoryRegistry, number: int, champion: int | None, verdict: Verdict = Verdict.ACCEPT, **options: Any
) -> PromotionRecord:
    """Promote candidate `number`, judged against `champion`."""
    candidate = candidate_of(number)
    return promote(
        decision_of(candidate, champion, verdict),
        candidate,
        registry,
        registry,
        **{
            "registered_model": MODEL,
            "by": f"airflow:late.train/{number}",
            "now": NOW,
            "tags": {"w": "t"},
            **AT_ONCE,
            **options,
        },
    )
