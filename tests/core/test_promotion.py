"""Promotion against a registry in memory: every order, every crash point, every refusal."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.data import Window
from airflow_mlops.core.errors import RecordError, StaleDecisionError
from airflow_mlops.core.model import Candidate, Champion, Evaluation, GateDecision, PromotionRecord, Registry, Verdict
from airflow_mlops.core.promotion import STATUS, has_served, promote, provenance_tags
from airflow_mlops.spec.problems import Problem, ReasonCode

MODEL = "late"
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone; nothing of ours may catch it."""


class MemoryRegistry:
    """Implements Registry in memory; dies before its n-th effect, when asked to."""

    def __init__(self) -> None:
        self.candidates: dict[int, Candidate] = {}
        self.tags: dict[int, dict[str, str]] = {}
        self.aliases: dict[str, int] = {}
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

    def version_of(self, model: str, run_id: str) -> int | None:
        return next((number for number, made in self.candidates.items() if made.run_id == run_id), None)

    def register(self, model: str, candidate: Candidate, tags: Mapping[str, str]) -> int:
        standing = self.version_of(model, candidate.run_id)
        if standing is not None:
            return standing
        self._effect()
        number = max(self.tags, default=0) + 1
        self.candidates[number], self.tags[number] = candidate, dict(tags)
        return number

    def set_alias(self, model: str, alias: str, version: int) -> None:
        self._effect()
        assert version in self.candidates
        self.aliases[alias] = version

    def alias(self, model: str, alias: str) -> int | None:
        return self.aliases.get(alias)

    def version_tags(self, model: str, version: int) -> Mapping[str, str] | None:
        return dict(self.tags[version]) if version in self.candidates else None

    def tag_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():  # one request each, as in MLflow
            self._effect()
            self.tags[version][name] = value

    def seen(self) -> tuple[object, ...]:
        return dict(self.aliases), {n: dict(tags) for n, tags in self.tags.items()}, dict(self.candidates)


def candidate_of(number: int, day: int | None = None) -> Candidate:
    as_of = START + DAY * (number if day is None else day)
    return Candidate(
        model=MODEL,
        loop_run=f"late.train/{number}",
        run_id=f"run{number}",
        model_uri=f"models:/m-{number}",
        task="binary",
        as_of=as_of,
        train=Window(start=as_of - 3 * DAY, end=as_of - DAY),
        holdout=Window(start=as_of - DAY, end=as_of),
        train_rows=10,
        holdout_rows=5,
        snapshot_uri="file:///s",
        snapshot_fingerprint="f" * 64,
        spec_fingerprint="e" * 64,
        features=(),
        metrics={"log_loss": 0.5},
        seed=1,
    )


def decision_of(candidate: Candidate, champion: int | None, verdict: Verdict = Verdict.ACCEPT) -> GateDecision:
    evaluation = Evaluation(
        model=MODEL,
        run_id=candidate.run_id,
        rows=5,
        window=candidate.holdout,
        primary="log_loss",
        champion_version=champion,
        candidate_metrics={},
        champion_metrics=None,
        baseline_metrics={},
        rules=(),
    )
    return GateDecision(
        model=MODEL,
        run_id=candidate.run_id,
        loop_run=candidate.loop_run,
        model_uri=candidate.model_uri,
        as_of=candidate.as_of,
        verdict=verdict,
        champion_version=champion,
        evaluation=evaluation,
        reasons=("because",),
        decided_at=candidate.as_of,
    )


def go(registry: Registry, number: int, champion: int | None, verdict: Verdict = Verdict.ACCEPT) -> PromotionRecord:
    candidate = candidate_of(number)
    return promote(
        decision_of(candidate, champion, verdict), candidate, registry, registered_model=MODEL, tags={"w": "t"}
    )


def code_of(error: pytest.ExceptionInfo[StaleDecisionError]) -> set[ReasonCode]:
    return {problem.code for problem in error.value.problems}


def test_the_first_accepted_candidate_becomes_champion_with_its_whole_provenance() -> None:
    registry = MemoryRegistry()
    record = go(registry, 1, None)
    assert record.promoted
    assert (record.version, record.champion_version, record.previous_version) == (1, 1, None)
    candidate = candidate_of(1)
    wanted = {"w": "t", STATUS: "champion", **provenance_tags(decision_of(candidate, None), candidate)}
    assert registry.tags[1] == wanted
    assert {"mlops.as_of", "mlops.snapshot", "mlops.spec", "mlops.verdict", "mlops.metric.log_loss"} <= set(wanted)


def test_each_champion_displaces_the_one_before_and_statuses_follow() -> None:
    registry = MemoryRegistry()
    for number, champion in ((1, None), (2, 1), (3, 2), (4, 3)):
        go(registry, number, champion)
    assert registry.aliases == {"champion": 4, "previous": 3}
    assert [registry.tags[n][STATUS] for n in (1, 2, 3, 4)] == ["archived", "archived", "previous", "champion"]


@pytest.mark.parametrize(("verdict", "status"), [(Verdict.REJECT, "rejected"), (Verdict.INCONCLUSIVE, "inconclusive")])
@pytest.mark.parametrize("champion", [None, 1])
def test_what_is_not_accepted_is_registered_and_never_serves(
    verdict: Verdict, status: str, champion: int | None
) -> None:
    registry = MemoryRegistry()
    if champion:
        go(registry, 1, None)
    before = dict(registry.aliases)
    record = go(registry, 2, champion, verdict)
    assert not record.promoted
    assert registry.aliases == before
    assert registry.tags[record.version][STATUS] == status
    assert go(registry, 2, champion, verdict) == record


@pytest.mark.parametrize("field", ["model", "run_id", "loop_run", "model_uri", "as_of"])
def test_a_decision_about_something_else_is_refused_before_anything_is_written(field: str) -> None:
    registry, candidate = MemoryRegistry(), candidate_of(1)
    other = START if field == "as_of" else "other"
    decision = replace(decision_of(candidate, None), **{field: other})
    with pytest.raises(StaleDecisionError) as error:
        promote(decision, candidate, registry, registered_model=MODEL)
    assert code_of(error) == {ReasonCode.DECISION_MISMATCH}
    assert f"decision.{field}" in str(error.value)
    assert registry.seen() == MemoryRegistry().seen()


@pytest.mark.parametrize("judged_against", [None, 1, 7])
def test_a_decision_against_another_champion_is_stale(judged_against: int | None) -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    go(registry, 2, 1)
    before = registry.seen()
    with pytest.raises(StaleDecisionError) as error:
        go(registry, 3, judged_against)
    assert code_of(error) == {ReasonCode.DECISION_STALE}
    assert registry.seen() == before


def test_a_decision_against_a_champion_that_is_gone_is_stale() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    del registry.aliases["champion"]
    with pytest.raises(StaleDecisionError, match="no champion serves now"):
        go(registry, 2, 1)


def test_as_of_never_goes_back() -> None:
    registry = MemoryRegistry()
    go(registry, 5, None)
    before = registry.seen()
    with pytest.raises(StaleDecisionError) as error:
        go(registry, 4, 1)
    assert code_of(error) == {ReasonCode.AS_OF_BACKWARDS}
    assert registry.seen() == before
    same_day = candidate_of(6, day=5)
    assert promote(decision_of(same_day, 1), same_day, registry, registered_model=MODEL).promoted


def test_an_alias_on_a_deleted_version_is_refused() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    del registry.candidates[1]
    with pytest.raises(RecordError):
        go(registry, 2, 1)
    assert registry.aliases == {"champion": 1}


def test_a_version_that_was_rolled_back_does_not_come_back_by_clearing_its_task() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    go(registry, 2, 1)
    registry.aliases.update(champion=1, previous=2)
    registry.tags[2][STATUS] = "rolled_back"
    before = registry.seen()
    with pytest.raises(StaleDecisionError, match="has served before"):
        go(registry, 2, 1)
    with pytest.raises(StaleDecisionError, match="has served before"):
        go(registry, 2, 1, Verdict.REJECT)
    assert registry.seen() == before


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_version_that_serves_keeps_the_decision_it_was_promoted_by(verdict: Verdict) -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    before = registry.seen()
    with pytest.raises(StaleDecisionError, match="serves already"):
        go(registry, 1, 1, verdict)
    assert registry.seen() == before


def test_a_gate_that_changed_its_mind_before_promotion_counts() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, Verdict.REJECT)
    record = go(registry, 1, None)
    assert record.promoted
    assert registry.tags[1]["mlops.verdict"] == "accept"
    assert registry.tags[1][STATUS] == "champion"


def test_an_older_version_that_somebody_deleted_needs_no_status() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    go(registry, 2, 1)
    del registry.candidates[1]
    assert go(registry, 3, 2).promoted
    assert registry.tags[1][STATUS] == "previous"


def test_a_promotion_that_ran_at_the_same_time_is_found_out() -> None:
    class Racing(MemoryRegistry):
        def set_alias(self, model: str, alias: str, version: int) -> None:
            super().set_alias(model, alias, version)
            if alias == "champion" and version == 2:
                self.aliases["champion"] = 1

    registry = Racing()
    go(registry, 1, None)
    with pytest.raises(StaleDecisionError, match="version 1 holds the alias now"):
        go(registry, 2, 1)


@pytest.mark.parametrize(("displaced", "winner"), [(None, 9), (1, 9), (1, None)])
def test_a_promotion_that_came_between_check_and_alias_keeps_its_place(
    displaced: int | None, winner: int | None
) -> None:
    aliases = {"previous": 8} if winner is None else {"previous": 8, "champion": winner}

    class Racing(MemoryRegistry):
        """Another promotion, or the end of the champion, while the second candidate is being registered."""

        def register(self, model: str, candidate: Candidate, tags: Mapping[str, str]) -> int:
            number = super().register(model, candidate, tags)
            if candidate.run_id == "run2":
                self.aliases = dict(aliases)
            return number

    registry = Racing()
    if displaced:
        go(registry, 1, None)
    with pytest.raises(StaleDecisionError, match="became champion meanwhile") as error:
        go(registry, 2, displaced)
    assert code_of(error) == {ReasonCode.DECISION_STALE}
    assert registry.aliases == aliases


def test_having_served_is_seen_by_status_and_by_alias() -> None:
    registry = MemoryRegistry()
    for number, champion in ((1, None), (2, 1), (3, 2)):
        go(registry, number, champion)
    go(registry, 4, 3, Verdict.REJECT)
    assert [has_served(registry, MODEL, version) for version in (1, 2, 3, 4, 5)] == [True, True, True, False, False]
    registry.tags[3][STATUS] = registry.tags[2][STATUS] = "candidate"  # killed before the statuses
    assert has_served(registry, MODEL, 2)
    assert has_served(registry, MODEL, 3)


verdicts = st.sampled_from(list(Verdict))


@settings(max_examples=150, deadline=None)
@given(history=st.lists(verdicts, max_size=4), verdict=verdicts, kills=st.lists(st.integers(0, 30), max_size=4))
def test_kills_between_any_effects_and_retries_end_as_if_nothing_had_happened(
    history: list[Verdict], verdict: Verdict, kills: list[int]
) -> None:
    calm, killed = MemoryRegistry(), MemoryRegistry()
    for registry in (calm, killed):
        for number, earlier in enumerate(history, 1):
            go(registry, number, registry.alias(MODEL, "champion"), earlier)
    number, champion = len(history) + 1, calm.alias(MODEL, "champion")
    expected = go(calm, number, champion, verdict)
    before = killed.alias(MODEL, "champion")
    for lives in kills:
        killed.lives = lives
        try:
            go(killed, number, champion, verdict)
        except Killed:
            holder = killed.alias(MODEL, "champion")
            assert holder == before or (holder == expected.version and verdict is Verdict.ACCEPT)
    killed.lives = -1
    assert go(killed, number, champion, verdict) == expected
    assert killed.seen() == calm.seen()


@settings(max_examples=150, deadline=None)
@given(
    attempts=st.lists(
        st.tuples(st.integers(1, 5), st.integers(0, 5), verdicts, st.integers(0, 40)), min_size=1, max_size=12
    )
)
def test_whatever_is_promoted_in_whatever_order_the_invariants_hold(
    attempts: list[tuple[int, int, Verdict, int]],
) -> None:
    registry = MemoryRegistry()
    for number, judged_against, verdict, lives in attempts:
        before = registry.champion(MODEL)
        registry.lives = lives
        with suppress(Killed, StaleDecisionError):
            go(registry, number, judged_against or None, verdict)
        registry.lives = -1
        after = registry.champion(MODEL)
        if after != before:
            assert after is not None
            assert verdict is Verdict.ACCEPT
            assert after.run_id == f"run{number}"
            assert (before.version if before else None) == (judged_against or None)
            assert before is None or after.candidate.as_of >= before.candidate.as_of
            assert registry.tags[after.version]["mlops.verdict"] == "accept"
            assert registry.alias(MODEL, "previous") == (before.version if before else None)
        runs = [made.run_id for made in registry.candidates.values()]
        assert len(runs) == len(set(runs))
