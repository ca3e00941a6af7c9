"""Promotion against a registry and a trail in memory: every order, every crash point, every refusal."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import RecordError, StaleDecisionError
from airflow_mlops.core.promotion.alias_log import STATUS_TAG
from airflow_mlops.core.promotion.audit_state import fold
from airflow_mlops.core.promotion.promote import challenge, keep_judged, promote
from airflow_mlops.core.promotion.registration import provenance_tags
from airflow_mlops.core.promotion.rollback import rollback
from airflow_mlops.core.promotion.verify import finish_unfinished, verify_trail
from airflow_mlops.core.records.candidate import Candidate, RefitOf
from airflow_mlops.core.records.decision import JudgedVersion, Verdict
from airflow_mlops.core.records.promotion import Approval, PromotionRecord
from airflow_mlops.spec.problems import ReasonCode
from tests.support.memory_registry import (
    AT_ONCE,
    MODEL,
    NOW,
    START,
    Killed,
    MemoryRegistry,
    candidate_of,
    decision_of,
    go,
)


def code_of(error: pytest.ExceptionInfo[Any]) -> set[ReasonCode]:
    return {problem.code for problem in error.value.problems}


def test_the_first_accepted_candidate_becomes_champion_with_its_whole_provenance() -> None:
    registry = MemoryRegistry()
    record = go(registry, 1, None)
    assert record.promoted
    assert (record.version, record.champion_version, record.previous_version) == (1, 1, None)
    candidate = candidate_of(1)
    wanted = {"w": "t", STATUS_TAG: "champion", **provenance_tags(decision_of(candidate, None), candidate)}
    assert registry.tags[1] == wanted
    assert {"mlops.as_of", "mlops.snapshot", "mlops.spec", "mlops.verdict", "mlops.metric.log_loss"} <= set(wanted)


def test_each_champion_displaces_the_one_before_and_statuses_follow() -> None:
    registry = MemoryRegistry()
    for number, champion in ((1, None), (2, 1), (3, 2), (4, 3)):
        go(registry, number, champion)
    assert registry.aliases == {"champion": 4, "previous": 3}
    assert [registry.tags[n][STATUS_TAG] for n in (1, 2, 3, 4)] == ["archived", "archived", "previous", "champion"]


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
    assert registry.tags[record.version][STATUS_TAG] == status
    assert go(registry, 2, champion, verdict) == record


@pytest.mark.parametrize("field", ["model", "run_id", "loop_run", "model_uri", "as_of"])
def test_a_decision_about_something_else_is_refused_before_anything_is_written(field: str) -> None:
    registry, candidate = MemoryRegistry(), candidate_of(1)
    other = START if field == "as_of" else "other"
    decision = replace(decision_of(candidate, None), **{field: other})
    with pytest.raises(StaleDecisionError) as error:
        promote(decision, candidate, registry, registry, registered_model=MODEL, by="t", now=NOW)
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


def test_a_champion_that_is_gone_is_missed_whomever_the_decision_is_against() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    del registry.aliases["champion"]
    before = registry.seen()
    for against in (1, None):
        with pytest.raises(RecordError, match="rollback late --to 1 --reason WHY puts it back") as error:
            go(registry, 2, against)
        assert code_of(error) == {ReasonCode.CHAMPION_MISSING}
    assert registry.seen() == before


def test_as_of_never_goes_back() -> None:
    registry = MemoryRegistry()
    go(registry, 5, None)
    before = registry.seen()
    with pytest.raises(StaleDecisionError) as error:
        go(registry, 4, 1)
    assert code_of(error) == {ReasonCode.AS_OF_BACKWARDS}
    assert registry.seen() == before
    same_day = candidate_of(6, day=5)
    assert promote(
        decision_of(same_day, 1), same_day, registry, registry, registered_model=MODEL, by="t", now=NOW
    ).promoted


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
    registry.tags[2][STATUS_TAG] = "rolled_back"
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
    assert registry.tags[1][STATUS_TAG] == "champion"


def test_an_older_version_that_somebody_deleted_needs_no_status() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    go(registry, 2, 1)
    del registry.candidates[1]
    assert go(registry, 3, 2).promoted
    assert registry.tags[1][STATUS_TAG] == "previous"


def test_an_alias_that_changes_back_is_found_out() -> None:
    class Racing(MemoryRegistry):
        def set_alias(self, model: str, alias: str, version: int) -> None:
            super().set_alias(model, alias, version)
            if alias == "champion" and version == 2:
                self.aliases["champion"] = 1

    registry = Racing()
    go(registry, 1, None)
    with pytest.raises(RecordError, match="changes back whenever it is set") as error:
        go(registry, 2, 1)
    assert code_of(error) == {ReasonCode.PROMOTION_UNFINISHED}
    assert registry.aliases["champion"] == 1


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
    with pytest.raises(StaleDecisionError, match="moved outside the loop") as error:
        go(registry, 2, displaced)
    assert code_of(error) == {ReasonCode.DECISION_STALE}
    assert registry.aliases.get("champion") == winner
    assert registry.written[-1].kind == "moved_by_hand"
    assert registry.written[-1].version == winner
    missed = [] if winner else [ReasonCode.CHAMPION_MISSING]
    assert [problem.code for problem in verify_trail(registry, registry, MODEL)] == missed


# approval ------------------------------------------------------------------------------------------------------------


def approval_of(number: int, champion: int | None, **changes: Any) -> Approval:
    decision = decision_of(candidate_of(number), champion)
    values: dict[str, Any] = {
        "model": MODEL, "run_id": decision.run_id, "decision": decision.digest, "approved": True, "by": "ada",
        "at": NOW,
    }  # fmt: skip
    return Approval(**{**values, **changes})


def test_an_approved_decision_promotes_and_names_its_approval() -> None:
    registry, approval = MemoryRegistry(), approval_of(1, None)
    assert go(registry, 1, None, approval=approval, approval_needed=True).promoted
    assert registry.written[0].approval == approval.digest


@pytest.mark.parametrize(
    "changes",
    [None, {"decision": "0" * 64}, {"run_id": "other"}, {"by": ""}, {"timed_out": True}],
    ids=["none", "other-decision", "other-run", "nobody", "timed-out"],
)
def test_without_a_persons_approval_of_this_decision_nothing_is_written(changes: dict[str, Any] | None) -> None:
    registry = MemoryRegistry()
    approval = None if changes is None else approval_of(1, None, **changes)
    with pytest.raises(StaleDecisionError) as error:
        go(registry, 1, None, approval=approval, approval_needed=True)
    assert code_of(error) == {ReasonCode.APPROVAL_MISSING}
    assert registry.seen() == MemoryRegistry().seen()


def test_only_an_accepting_decision_needs_an_approval() -> None:
    registry = MemoryRegistry()
    assert not go(registry, 1, None, Verdict.REJECT, approval_needed=True).declined


@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.parametrize("timed_out", [True, False])
def test_a_no_is_recorded_with_who_and_why_and_may_be_answered_anew(needed: bool, timed_out: bool) -> None:
    registry = champion_one()
    said = {"by": "", "timed_out": True} if timed_out else {"note": "not before the fair"}
    no = approval_of(2, 1, approved=False, **said)
    for _ in range(2):
        record = go(registry, 2, 1, approval=no, approval_needed=needed)
        assert (record.promoted, record.declined, record.champion_version) == (False, True, 1)
    words = "declined: nobody answered in time" if timed_out else "declined by ada: not before the fair"
    assert record.reasons == (words, "because")
    assert registry.tags[2][STATUS_TAG] == "declined"
    assert [(event.kind, event.reason) for event in registry.written[2:]] == [("declined", words)]
    assert go(registry, 2, 1, approval=approval_of(2, 1), approval_needed=True).promoted


def champion_one() -> MemoryRegistry:
    registry = MemoryRegistry()
    go(registry, 1, None)
    return registry


def ask(registry: MemoryRegistry, number: int, champion: int | None, verdict: Verdict = Verdict.ACCEPT) -> int:
    candidate = candidate_of(number)
    decision = decision_of(candidate, champion, verdict)
    return challenge(decision, candidate, registry, registry, registered_model=MODEL, by="t", now=NOW, **AT_ONCE)


def test_the_challenger_waits_and_then_serves() -> None:
    registry = champion_one()
    assert (ask(registry, 2, 1), ask(registry, 2, 1)) == (2, 2)
    assert registry.aliases == {"champion": 1, "challenger": 2}
    assert registry.tags[2][STATUS_TAG] == "challenger"
    assert ask(registry, 3, 1) == 3
    assert registry.aliases == {"champion": 1, "challenger": 3}
    assert (registry.tags[2][STATUS_TAG], registry.tags[3][STATUS_TAG]) == ("candidate", "challenger")
    assert go(registry, 2, 1).promoted
    assert registry.aliases == {"champion": 2, "previous": 1, "challenger": 3}
    assert ask(registry, 2, 1) == 2
    go(registry, 3, 1, approval=approval_of(3, 1, approved=False))
    assert registry.aliases == {"champion": 2, "previous": 1}
    assert verify_trail(registry, registry, MODEL) == ()


def test_what_cannot_wait_for_approval() -> None:
    registry = champion_one()
    for number, champion, verdict, code in (
        (2, 1, Verdict.REJECT, ReasonCode.DECISION_MISMATCH),
        (2, None, Verdict.ACCEPT, ReasonCode.DECISION_STALE),
        (0, 1, Verdict.ACCEPT, ReasonCode.AS_OF_BACKWARDS),
    ):
        before = registry.seen()
        with pytest.raises(StaleDecisionError) as error:
            ask(registry, number, champion, verdict)
        assert code_of(error) == {code}
        assert registry.seen() == before


def test_a_challenger_that_somebody_deleted_stops_nobody() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    asked = candidate_of(2)
    options: dict[str, Any] = {"registered_model": MODEL, "by": "t", "now": NOW, **AT_ONCE}
    assert challenge(decision_of(asked, 1), asked, registry, registry, **options) == 2
    registry.delete_version(2)
    assert verify_trail(registry, registry, MODEL) == ()
    assert not go(registry, 3, 1, Verdict.REJECT).promoted
    assert "challenger" not in registry.aliases
    assert verify_trail(registry, registry, MODEL) == ()
    again = candidate_of(4)
    version = challenge(decision_of(again, 1), again, registry, registry, **options)
    assert registry.aliases["challenger"] == version
    assert verify_trail(registry, registry, MODEL) == ()


def test_a_decision_lets_one_version_serve_once_also_when_that_version_was_deleted() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    go(registry, 2, 1)
    rollback(registry, registry, registered_model=MODEL, by="user:ada", reason="worse", now=NOW, **AT_ONCE)
    registry.delete_version(2)
    before = registry.seen()
    with pytest.raises(StaleDecisionError, match="version 2 became champion by this decision, and was deleted"):
        go(registry, 2, 1)
    assert registry.seen() == before


def test_a_model_that_had_a_champion_before_its_trail_began() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    go(registry, 2, 1)
    registry.written.clear()
    again = go(registry, 2, 1)
    assert (again.promoted, again.version, again.previous_version) == (True, 2, 1)
    assert go(registry, 3, 2).promoted
    assert [(e.kind, e.version) for e in registry.written] == [
        ("moved_by_hand", 1), ("moved_by_hand", 2), ("promoting", 3), ("promoted", 3)
    ]  # fmt: skip
    assert verify_trail(registry, registry, MODEL) == ()


def test_an_alias_moved_by_hand_before_the_decision_is_written_down() -> None:
    registry = champion_one()
    go(registry, 2, 1)
    registry.aliases["champion"] = 1
    assert go(registry, 3, 1).promoted
    hand = registry.written[4]
    assert (hand.kind, hand.displaced, hand.version) == ("moved_by_hand", 2, 1)
    assert verify_trail(registry, registry, MODEL) == ()


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
    accepted = set()
    for number, judged_against, verdict, lives in attempts:
        if verdict is Verdict.ACCEPT:
            accepted.add((judged_against or None, f"run{number}"))
        registry.lives = lives
        with suppress(Killed, StaleDecisionError):
            go(registry, number, judged_against or None, verdict)
        registry.lives = -1
        for old, new in registry.moves:
            made = registry.candidates[new]
            assert (old, made.run_id) in accepted
            assert old is None or made.as_of >= registry.candidates[old].as_of
        runs = [made.run_id for made in registry.candidates.values()]
        assert len(runs) == len(set(runs))
    registry.moves.clear()
    finish_unfinished(registry, registry, registered_model=MODEL, by="t", now=NOW, **AT_ONCE)
    champion = fold(registry.written).champion
    assert registry.alias(MODEL, "champion") == champion
    if champion is not None:
        assert registry.tags[champion]["mlops.status"] == "champion"


# a judged version, and the refitted one that serves in its place


def refit(registry: MemoryRegistry, number: int, champion: int | None, **options: Any) -> PromotionRecord:
    """Keep candidate `number` as judged, and promote what repeats its recipe."""
    judged = candidate_of(number)
    decision = decision_of(judged, champion)
    given = {"registered_model": MODEL, "by": f"airflow:late.train/{number}", "now": NOW, **AT_ONCE, **options}
    version = keep_judged(decision, judged, registry, registry, **given)
    origin = RefitOf(run_id=judged.run_id, model_uri=judged.model_uri, train=judged.train, train_rows=1)
    again = replace(
        judged, loop_run=f"{judged.loop_run}/refit", run_id=f"{judged.run_id}-again", model_uri="models:/m-again",
        refit_of=origin,
    )  # fmt: skip
    about = JudgedVersion(version=version, run_id=judged.run_id, decision=decision.digest)
    return promote(replace(decision_of(again, champion), refit_of=about), again, registry, registry, **given)


def test_the_judged_version_is_kept_and_the_refitted_one_displaces_the_champion() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    record = refit(registry, 2, 1)
    assert (record.promoted, record.version, record.previous_version) == (True, 3, 1)
    assert [registry.tags[n][STATUS_TAG] for n in (1, 2, 3)] == ["previous", "judged", "champion"]
    assert registry.tags[3]["mlops.judged_version"] == "2"
    assert verify_trail(registry, registry, MODEL) == ()
    assert rollback(registry, registry, registered_model=MODEL, by="t", reason="r", now=NOW, **AT_ONCE).version == 1


def test_a_refit_done_again_changes_nothing() -> None:
    registry = MemoryRegistry()
    record = refit(registry, 1, None)
    before = registry.seen()
    assert refit(registry, 1, None) == record
    assert registry.seen() == before


def test_killed_anywhere_and_done_again_a_refit_ends_the_same() -> None:
    whole = MemoryRegistry()
    go(whole, 1, None)
    refit(whole, 2, 1)
    for lives in range(40):
        registry = MemoryRegistry()
        go(registry, 1, None)
        registry.lives = lives
        with suppress(Killed):
            refit(registry, 2, 1)
        died, registry.lives = registry.lives == 0, -1
        assert registry.aliases.get("champion") in {1, 3}
        refit(registry, 2, 1)
        assert registry.seen() == whole.seen()
        if not died:
            break
    assert not died


@pytest.mark.parametrize("champion", [None, 1])
def test_a_stale_decision_keeps_nothing(champion: int | None) -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    go(registry, 2, 1)
    before = registry.seen()
    with pytest.raises(StaleDecisionError) as error:
        refit(registry, 3, champion)
    assert code_of(error) == {ReasonCode.DECISION_STALE}
    assert registry.seen() == before


@pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.INCONCLUSIVE])
def test_only_what_was_accepted_is_kept_to_be_refitted(verdict: Verdict) -> None:
    registry, candidate = MemoryRegistry(), candidate_of(1)
    with pytest.raises(StaleDecisionError, match="is refitted"):
        keep_judged(
            decision_of(candidate, None, verdict),
            candidate,
            registry,
            registry,
            registered_model=MODEL,
            by="t",
            now=NOW,
        )
    assert registry.seen() == MemoryRegistry().seen()


def test_an_approval_of_the_recipe_is_one_of_its_refit_and_without_it_nothing_is_kept() -> None:
    registry, candidate = MemoryRegistry(), candidate_of(1)
    answer = Approval(
        model=MODEL,
        run_id=candidate.run_id,
        decision=decision_of(candidate, None).digest,
        approved=True,
        by="ada",
        at=NOW,
    )
    with pytest.raises(StaleDecisionError) as error:
        refit(registry, 1, None, approval_needed=True)
    assert code_of(error) == {ReasonCode.APPROVAL_MISSING}
    assert registry.seen() == MemoryRegistry().seen()
    assert refit(registry, 1, None, approval=answer, approval_needed=True).promoted
    assert registry.written[-1].approval == answer.digest
    with pytest.raises(StaleDecisionError):
        refit(MemoryRegistry(), 1, None, approval=replace(answer, decision="other"), approval_needed=True)


def test_a_judged_version_is_promoted_itself_where_nothing_comes_of_its_refit_and_the_note_is_told() -> None:
    registry, candidate = MemoryRegistry(), candidate_of(1)
    given = {"registered_model": MODEL, "by": "t", "now": NOW, **AT_ONCE}
    keep_judged(decision_of(candidate, None), candidate, registry, registry, **given)
    record = go(registry, 1, None, note="not refitted: a fire")
    assert (record.promoted, record.version, record.reasons[-1]) == (True, 1, "not refitted: a fire")
    assert registry.written[-1].reason == "because; not refitted: a fire"
    assert registry.tags[1][STATUS_TAG] == "champion"
