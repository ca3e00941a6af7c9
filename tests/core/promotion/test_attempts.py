"""A loop run judged anew from other inputs: one version for each attempt, and nothing beside one that has served."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion.alias_log import STATUS_TAG
from airflow_mlops.core.promotion.attempts import has_served
from airflow_mlops.core.promotion.audit_state import fold
from airflow_mlops.core.promotion.promote import challenge, keep_judged, promote
from airflow_mlops.core.promotion.rollback import rollback
from airflow_mlops.core.promotion.verify import verify_trail
from airflow_mlops.core.records.attempt import SUPERSEDED_BY
from airflow_mlops.core.records.candidate import Candidate, RefitOf
from airflow_mlops.core.records.decision import JudgedVersion, Verdict
from airflow_mlops.core.records.promotion import PromotionRecord
from airflow_mlops.spec.problems import ReasonCode
from tests.support.memory_registry import AT_ONCE, MODEL, NOW, Killed, MemoryRegistry, candidate_of, decision_of, go

WHO: dict[str, Any] = {"registered_model": MODEL, "by": "airflow:late.train/2", "now": NOW, **AT_ONCE}


def attempt(inputs: str, *, day: int = 2, run: str = "") -> Candidate:
    """The loop run of a day, made from `<snapshot>/<specification>`."""
    snapshot, spec = inputs.split("/")
    name = run or f"run{day}-{inputs}"
    return replace(
        candidate_of(day), run_id=name, model_uri=f"models:/m-{name}", snapshot_fingerprint=snapshot,
        spec_fingerprint=spec,
    )  # fmt: skip


def judged(
    registry: MemoryRegistry, candidate: Candidate, champion: int | None, verdict: Verdict = Verdict.REJECT
) -> PromotionRecord:
    return promote(decision_of(candidate, champion, verdict), candidate, registry, registry, **WHO)


def asked(registry: MemoryRegistry, candidate: Candidate, champion: int | None) -> int:
    return challenge(decision_of(candidate, champion), candidate, registry, registry, **WHO)


def statuses(registry: MemoryRegistry) -> dict[int, tuple[str, str | None]]:
    return {number: (tags[STATUS_TAG], tags.get(SUPERSEDED_BY)) for number, tags in registry.tags.items()}


def kinds(registry: MemoryRegistry) -> list[tuple[str, int | None]]:
    return [(event.kind, event.version) for event in registry.written]


def champion_one() -> MemoryRegistry:
    registry = MemoryRegistry()
    go(registry, 1, None)
    return registry


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("rows/new", "another specification"),
        ("new/spec", "other rows"),
        ("new/new", "other rows and another specification"),
    ],
)
def test_what_was_rejected_is_judged_anew_as_another_version_and_kept(inputs: str, words: str) -> None:
    registry = champion_one()
    assert judged(registry, attempt("rows/spec"), 1).supersedes == ()
    record = judged(registry, attempt(inputs), 1, Verdict.ACCEPT)
    assert (record.version, record.promoted, record.supersedes) == (3, True, (2,))
    assert registry.aliases == {"champion": 3, "previous": 1}
    assert statuses(registry) == {1: ("previous", None), 2: ("superseded", "3"), 3: ("champion", None)}
    told = [("registered", 2), ("superseded", 2), ("promoting", 3), ("promoted", 3)]
    assert kinds(registry)[2:] == told
    reason = registry.written[3].reason
    assert reason == f"superseded by version 3: the same run was judged anew, from {words}"
    assert verify_trail(registry, registry, MODEL) == ()
    assert judged(registry, attempt(inputs), 1, Verdict.ACCEPT) == record
    assert kinds(registry)[2:] == told


@pytest.mark.parametrize("verdict", [Verdict.ACCEPT, Verdict.REJECT])
def test_killed_before_each_effect_and_tried_again_it_ends_the_same(verdict: Verdict) -> None:
    whole = champion_one()
    judged(whole, attempt("rows/spec"), 1)
    expected = judged(whole, attempt("rows/new"), 1, verdict)
    deaths = 0
    for lives in range(100):
        registry = champion_one()
        judged(registry, attempt("rows/spec"), 1)
        registry.lives = lives
        try:
            judged(registry, attempt("rows/new"), 1, verdict)
            break
        except Killed:
            deaths += 1
        registry.lives = -1
        assert judged(registry, attempt("rows/new"), 1, verdict) == expected
        assert registry.seen() == whole.seen()
        assert verify_trail(registry, registry, MODEL) == ()
    assert deaths > 5


def test_the_inputs_of_before_take_their_version_up_again() -> None:
    registry = champion_one()
    judged(registry, attempt("rows/spec"), 1)
    judged(registry, attempt("rows/new"), 1)
    record = judged(registry, attempt("rows/spec"), 1)
    assert (record.version, record.supersedes) == (2, (3,))
    assert statuses(registry) == {1: ("champion", None), 2: ("rejected", ""), 3: ("superseded", "2")}
    assert sorted(registry.candidates) == [1, 2, 3]
    third = judged(registry, attempt("new/new"), 1)
    assert (third.version, third.supersedes) == (4, (2, 3))
    assert (statuses(registry)[2], statuses(registry)[3]) == (("superseded", "4"), ("superseded", "4"))
    assert verify_trail(registry, registry, MODEL) == ()


def test_what_has_served_stays_as_it_was() -> None:
    registry = champion_one()
    judged(registry, attempt("rows/spec"), 1, Verdict.ACCEPT)
    for moved in (False, True):
        if moved:
            rollback(registry, registry, **WHO, reason="it was worse")
        before = registry.seen()
        for verdict in (Verdict.ACCEPT, Verdict.REJECT):
            with pytest.raises(RecordError, match="serves or has served, from another specification") as error:
                judged(registry, attempt("rows/new"), 1 if moved else 2, verdict)
            assert [problem.code for problem in error.value.problems] == [ReasonCode.VERSION_SERVED]
            assert "trigger a new run" in str(error.value)
        assert registry.seen() == before


def test_a_promotion_that_was_killed_counts_as_one_that_serves() -> None:
    registry = champion_one()
    registry.lives = 2  # registered, and `promoting` written
    with pytest.raises(Killed):
        judged(registry, attempt("rows/spec"), 1, Verdict.ACCEPT)
    registry.lives = -1
    assert kinds(registry)[-1] == ("promoting", 2)
    with pytest.raises(RecordError, match="version 2, which serves or has served"):
        judged(registry, attempt("rows/new"), 1)
    assert sorted(registry.candidates) == [1, 2]


def test_another_mlflow_run_registers_no_second_version_of_the_same_inputs() -> None:
    registry = champion_one()
    judged(registry, attempt("rows/spec"), 1)
    before = registry.seen()
    for verdict in (Verdict.ACCEPT, Verdict.REJECT):
        with pytest.raises(RecordError, match="by MLflow run run2-rows/spec, and not by again") as error:
            judged(registry, attempt("rows/spec", run="again"), 1, verdict)
        assert "mlflow runs restore --run-id run2-rows/spec" in str(error.value)
    with pytest.raises(RecordError, match="one version of a loop run from the same inputs"):
        asked(registry, attempt("rows/spec", run="again"), 1)
    assert registry.seen() == before


def test_a_challenger_that_nobody_answered_gives_its_alias_to_the_one_that_is_asked_about_now() -> None:
    registry = champion_one()
    assert asked(registry, attempt("rows/spec"), 1) == 2
    assert asked(registry, attempt("rows/new"), 1) == 3
    assert registry.aliases == {"champion": 1, "challenger": 3}
    assert statuses(registry) == {1: ("champion", None), 2: ("superseded", "3"), 3: ("challenger", None)}
    assert judged(registry, attempt("new/new"), 1).version == 4
    assert registry.aliases == {"champion": 1}
    assert statuses(registry)[3] == ("superseded", "4")
    assert verify_trail(registry, registry, MODEL) == ()


def test_a_refit_belongs_to_the_attempt_that_it_repeats() -> None:
    registry = champion_one()
    old, new = attempt("rows/spec"), attempt("rows/new")
    assert keep(registry, old) == 2
    assert judged_refit(registry, old, 2, Verdict.REJECT).version == 3
    assert keep(registry, new) == 4
    assert statuses(registry) == {
        1: ("champion", None), 2: ("superseded", "4"), 3: ("superseded", "4"), 4: ("judged", None)
    }  # fmt: skip
    record = judged_refit(registry, new, 4, Verdict.ACCEPT)
    assert (record.version, record.supersedes) == (5, (2, 3))
    assert statuses(registry)[4] == ("judged", None)
    assert verify_trail(registry, registry, MODEL) == ()
    before = registry.seen()
    with pytest.raises(RecordError, match="version 5, which serves or has served"):
        keep(registry, attempt("more/new"), champion=5)
    assert registry.seen() == before


def keep(registry: MemoryRegistry, candidate: Candidate, champion: int = 1) -> int:
    return keep_judged(decision_of(candidate, champion), candidate, registry, registry, **WHO)


def judged_refit(registry: MemoryRegistry, origin: Candidate, version: int, verdict: Verdict) -> PromotionRecord:
    decision = decision_of(origin, 1)
    repeats = RefitOf(run_id=origin.run_id, model_uri=origin.model_uri, train=origin.train, train_rows=1)
    refitted = replace(
        origin, run_id=f"{origin.run_id}/refit", model_uri=f"{origin.model_uri}-refit", refit_of=repeats,
        loop_run=f"{origin.loop_run}/refit",
    )  # fmt: skip
    about = JudgedVersion(version=version, run_id=origin.run_id, decision=decision.digest)
    return promote(replace(decision_of(refitted, 1, verdict), refit_of=about), refitted, registry, registry, **WHO)


def test_having_served_is_seen_by_status_by_alias_and_by_the_trail() -> None:
    registry = MemoryRegistry()
    for number, champion in ((1, None), (2, 1), (3, 2)):
        go(registry, number, champion)
    go(registry, 4, 3, Verdict.REJECT)
    assert [has_served(registry, MODEL, version) for version in (1, 2, 3, 4, 5)] == [True, True, True, False, False]
    registry.tags[3][STATUS_TAG] = registry.tags[2][STATUS_TAG] = "candidate"  # killed before the statuses
    assert has_served(registry, MODEL, 2)
    assert has_served(registry, MODEL, 3)
    registry.tags[1][STATUS_TAG] = "candidate"  # somebody took it away
    assert not has_served(registry, MODEL, 1)
    state = fold(registry.events(MODEL))
    assert [has_served(registry, MODEL, version, state) for version in (1, 4)] == [True, False]
