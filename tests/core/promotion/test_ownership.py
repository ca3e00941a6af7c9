"""A registered model belongs to one specification, in a registry and a trail in memory."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion.audit_chain import following, require_whole
from airflow_mlops.core.promotion.audit_state import fold
from airflow_mlops.core.promotion.override import override
from airflow_mlops.core.promotion.ownership import hand_over, owner_of, require_owner, settle_claim
from airflow_mlops.core.promotion.promote import challenge, promote
from airflow_mlops.core.promotion.release import release
from airflow_mlops.core.promotion.retire import retire
from airflow_mlops.core.promotion.rollback import rollback, rollback_target
from airflow_mlops.core.promotion.verify import verify_trail
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.ownership import OWNER_TAG, Claim, SpecIdentity
from airflow_mlops.core.records.people import Person
from airflow_mlops.core.records.promotion import AuditEvent
from airflow_mlops.spec.problems import ReasonCode
from tests.support.interleaved import wait, world
from tests.support.memory_registry import AT_ONCE, MODEL, NOW, START, MemoryRegistry, candidate_of, decision_of, go

OURS = SpecIdentity(name=MODEL, owner="team-a")
RENAMED = SpecIdentity(name=MODEL, owner="team-b")
THEIRS = SpecIdentity(name="theirs", owner="team-c")
WHO: dict[str, Any] = {"registered_model": MODEL, "by": "user:ada", "now": NOW}


def stranger(number: int) -> Candidate:
    """A candidate that another specification trained."""
    return replace(candidate_of(number), model=THEIRS.name, loop_run=f"theirs.train/{number}", run_id=f"theirs{number}")


def used_by_strangers(registry: MemoryRegistry) -> dict[str, Callable[[], object]]:
    """Everything that another specification may try with a model whose champion is version 2 of two."""
    candidate = stranger(9)
    decision = decision_of(candidate, 2)
    said: dict[str, Any] = {**WHO, "specification": THEIRS}
    return {
        "promote": lambda: promote(decision, candidate, registry, registry, **said, **AT_ONCE),
        "promote without saying who": lambda: promote(decision, candidate, registry, registry, **WHO, **AT_ONCE),
        "challenge": lambda: challenge(decision, candidate, registry, registry, **said, **AT_ONCE),
        "rollback": lambda: rollback(registry, registry, **said, reason="bad", **AT_ONCE),
        "rollback target": lambda: rollback_target(
            registry, registry, registered_model=MODEL, specification=said["specification"]
        ),
        "override": lambda: override(registry, registry, **said, version=1, reason="ours now", **AT_ONCE),
        "retire": lambda: retire(registry, registry, **said, reason="ours now"),
        "unretire": lambda: retire(registry, registry, **said, reason="ours now", undo=True),
        "release": lambda: release(registry, registry, **said, reason="ours now", start=START, end=None),
        "use": lambda: require_owner(registry, registry, registered_model=MODEL, specification=THEIRS),
    }


TRIED = tuple(used_by_strangers(MemoryRegistry()))


@pytest.mark.parametrize("attempt", TRIED)
def test_another_specification_is_refused_and_nothing_is_written(attempt: str) -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, specification=OURS)
    go(registry, 2, 1, specification=OURS)
    before, tags = registry.seen(), dict(registry.of_model)
    with pytest.raises(RecordError) as refusal:
        used_by_strangers(registry)[attempt]()
    assert {problem.code for problem in refusal.value.problems} == {ReasonCode.OWNED_BY_ANOTHER}
    assert "specification 'late' of team-a" in str(refusal.value)
    assert "specification 'theirs'" in str(refusal.value)
    assert "airflow mlops handover late --to theirs" in str(refusal.value)
    assert (registry.seen(), registry.of_model) == (before, tags)


def test_the_first_registration_says_whose_it_is() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, specification=OURS)
    assert [event.kind for event in registry.written] == ["promoting", "promoted"]
    assert registry.written[0].specification == OURS
    assert registry.of_model[OWNER_TAG] == OURS.to_text()
    assert owner_of(registry, registry, MODEL) == OURS
    assert verify_trail(registry, registry, MODEL) == ()


def test_the_same_specification_under_another_owner_is_another_one() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, specification=OURS)
    with pytest.raises(RecordError, match="belongs to specification 'late' of team-a"):
        go(registry, 2, 1, specification=RENAMED)
    go(registry, 2, 1)  # who does not say who answers for it is known by the name
    assert owner_of(registry, registry, MODEL) == OURS


def test_an_owner_that_was_not_known_is_known_when_it_is_said() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    assert owner_of(registry, registry, MODEL) == SpecIdentity(name=MODEL)
    go(registry, 2, 1, specification=OURS)
    assert owner_of(registry, registry, MODEL) == OURS
    assert registry.of_model[OWNER_TAG] == OURS.to_text()


def test_a_tag_that_somebody_changed_decides_nothing_and_is_put_right() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, specification=OURS)
    registry.of_model[OWNER_TAG] = THEIRS.to_text()
    assert [problem.field for problem in verify_trail(registry, registry, MODEL)] == [f"{MODEL}, tag {OWNER_TAG}"]
    with pytest.raises(RecordError, match="belongs to specification 'late' of team-a"):
        require_owner(registry, registry, registered_model=MODEL, specification=THEIRS)
    go(registry, 2, 1, specification=OURS)
    assert verify_trail(registry, registry, MODEL) == ()


def test_while_the_trail_is_empty_the_tag_decides() -> None:
    registry = MemoryRegistry()
    registry.of_model[OWNER_TAG] = THEIRS.to_text()
    with pytest.raises(RecordError, match="belongs to specification 'theirs' of team-c"):
        go(registry, 1, None, specification=OURS)
    assert registry.written == []
    registry.of_model[OWNER_TAG] = "somebody's"
    with pytest.raises(RecordError, match=r"tag mlops\.owner.*names no owner"):
        go(registry, 1, None, specification=OURS)


# from before -----------------------------------------------------------------------------------------------------


def from_before(count: int = 2) -> MemoryRegistry:
    """A model whose trail was written when models had no owners."""
    registry = MemoryRegistry()
    for number in range(1, count + 1):
        go(registry, number, number - 1 or None)
    bare: list[AuditEvent] = []
    for event in registry.written:
        before = bare[-1].digest if bare else ""
        bare.append(replace(event, specification=None, before=before))
    registry.written, registry.of_model = bare, {}
    require_whole(bare, MODEL)
    return registry


def test_a_model_from_before_is_adopted_by_the_first_that_promotes_and_the_trail_says_so() -> None:
    registry = from_before()
    assert owner_of(registry, registry, MODEL) is None
    go(registry, 3, 2, specification=OURS)
    assert [event.kind for event in registry.written[4:]] == ["adopted", "promoting", "promoted"]
    assert "specification 'late' of team-a is the first to use it since" in registry.written[4].reason
    assert owner_of(registry, registry, MODEL) == OURS
    go(registry, 4, 3, specification=OURS)
    assert [event.kind for event in registry.written].count("adopted") == 1


@pytest.mark.parametrize("attempt", TRIED)
def test_a_model_from_before_is_not_adopted_by_who_did_not_train_what_serves(attempt: str) -> None:
    registry = from_before()
    before = registry.seen()
    with pytest.raises(RecordError, match="belongs to specification 'late'"):
        used_by_strangers(registry)[attempt]()
    assert registry.seen() == before


def test_a_version_of_a_specification_that_was_renamed_before_can_be_returned_to() -> None:
    registry = from_before()
    registry.candidates[1] = replace(registry.candidates[1], model="older_name")
    go(registry, 3, 2, specification=OURS)
    assert rollback(registry, registry, **WHO, to=1, specification=OURS, reason="worse", **AT_ONCE).version == 1


def test_a_model_from_before_is_not_whose_version_the_alias_was_moved_to_by_hand() -> None:
    registry = from_before()
    registry.candidates[3], registry.tags[3] = stranger(3), {}
    registry.aliases["champion"] = 3
    candidate = stranger(9)
    with pytest.raises(RecordError, match="belongs to specification 'late'"):
        promote(decision_of(candidate, 3), candidate, registry, registry, **WHO, specification=THEIRS, **AT_ONCE)
    go(registry, 4, 3, specification=OURS)
    assert owner_of(registry, registry, MODEL) == OURS


def test_in_a_model_from_before_a_version_that_was_registered_by_hand_is_not_promoted() -> None:
    registry = from_before()
    registry.candidates[3], registry.tags[3] = stranger(3), {}
    with pytest.raises(RecordError, match="a version that specification 'theirs' trained"):
        override(registry, registry, **WHO, version=3, reason="urgent", **AT_ONCE)


def test_a_model_from_before_is_handed_over_from_who_trained_it() -> None:
    registry = from_before()
    hand_over(registry, registry, registered_model=MODEL, to=THEIRS, by="user:ada", reason="renamed", now=NOW)
    assert [event.kind for event in registry.written[4:]] == ["adopted", "handed_over"]
    assert registry.written[4].specification == SpecIdentity(name=MODEL)
    served = registry.champion(MODEL)
    require_owner(registry, registry, registered_model=MODEL, specification=THEIRS, serves=served)


# handed over -----------------------------------------------------------------------------------------------------


def handed_over() -> MemoryRegistry:
    registry = MemoryRegistry()
    go(registry, 1, None, specification=OURS)
    go(registry, 2, 1, specification=OURS)
    people = (Person(name="ada", did="commanded", host="build-7"),)
    hand_over(registry, registry, registered_model=MODEL, to=THEIRS, reason="team-c takes it", people=people, **BY)
    return registry


BY: dict[str, Any] = {"by": "user:ada", "now": NOW}


def test_who_gets_a_model_may_use_it_and_who_gave_it_may_not() -> None:
    registry = handed_over()
    event = registry.written[-1]
    assert (event.kind, event.specification, event.reason) == ("handed_over", THEIRS, "team-c takes it")
    assert event.who == "user:ada (build-7)"
    assert registry.of_model[OWNER_TAG] == THEIRS.to_text()
    assert registry.aliases["champion"] == 2
    with pytest.raises(RecordError, match="belongs to specification 'theirs'"):
        go(registry, 3, 2, specification=OURS)
    candidate = stranger(3)
    decision = decision_of(candidate, 2)
    done = promote(decision, candidate, registry, registry, **WHO, specification=THEIRS, **AT_ONCE)
    assert done.promoted
    # What its owners of before have trained can be returned to.
    assert rollback(registry, registry, **WHO, specification=THEIRS, reason="worse", **AT_ONCE).version == 2
    assert verify_trail(registry, registry, MODEL) == ()


def test_a_handover_that_is_asked_for_again_is_found() -> None:
    registry = handed_over()
    before = registry.seen()
    again = hand_over(registry, registry, registered_model=MODEL, to=THEIRS, reason="once more", **BY)
    assert again == registry.written[-1]
    assert registry.seen() == before


@pytest.mark.parametrize(("reason", "code"), [("  ", ReasonCode.REASON_MISSING), ("why", ReasonCode.NO_CHAMPION)])
def test_a_handover_needs_a_reason_and_a_model(reason: str, code: ReasonCode) -> None:
    registry = MemoryRegistry()
    with pytest.raises(RecordError) as refusal:
        hand_over(registry, registry, registered_model=MODEL, to=THEIRS, reason=reason, **BY)
    assert [problem.code for problem in refusal.value.problems] == [code]


@pytest.mark.parametrize(
    "to", [SpecIdentity(name="", owner="x"), SpecIdentity(name="x y", owner="z"), SpecIdentity(name="x", owner=" ")]
)
def test_a_handover_to_nobody_is_refused(to: SpecIdentity) -> None:
    registry = handed_over()
    before = registry.seen()
    with pytest.raises(RecordError, match="copy them from the file"):
        hand_over(registry, registry, registered_model=MODEL, to=to, reason="why", **BY)
    assert registry.seen() == before


def claim_of(holder: SpecIdentity, model: str = MODEL) -> Claim:
    return Claim(holder=holder, registered_model=model)


def test_what_belongs_to_a_specification_follows_its_model() -> None:
    registry = handed_over()

    def settle(standing: SpecIdentity, asker: SpecIdentity, model: str = MODEL) -> Claim:
        return settle_claim(
            registry, registry, claim_of(standing), claim_of(asker, model), what="storage folder x", field="name"
        )

    assert settle(OURS, THEIRS) == settle(THEIRS, THEIRS) == claim_of(THEIRS)
    assert settle(OURS, THEIRS, "other") == claim_of(THEIRS), "it still goes with the model that it came with"
    assert settle(THEIRS, THEIRS, "other") == claim_of(THEIRS)
    for standing, asker in ((THEIRS, OURS), (SpecIdentity(name="third", owner="x"), THEIRS), (OURS, RENAMED)):
        with pytest.raises(RecordError, match="airflow mlops handover late --to"):
            settle(standing, asker)


def test_while_no_model_is_registered_there_is_nothing_to_hand_over() -> None:
    empty = MemoryRegistry()

    def settle(standing: Claim | None, asker: Claim) -> Claim:
        return settle_claim(empty, empty, standing, asker, what="x", field="tracking.experiment")

    assert settle(None, claim_of(OURS)) == claim_of(OURS)
    assert settle(claim_of(OURS), claim_of(RENAMED)) == claim_of(RENAMED)
    assert settle(claim_of(OURS), claim_of(OURS, "another")) == claim_of(OURS, "another")
    with pytest.raises(RecordError, match="set tracking.experiment to a name of its own"):
        settle(claim_of(OURS), claim_of(THEIRS))


# by hand ---------------------------------------------------------------------------------------------------------


def test_a_version_that_was_registered_by_hand_is_not_promoted_returned_to_or_served() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, specification=OURS)
    go(registry, 2, 1, specification=OURS)
    registry.candidates[3], registry.tags[3] = stranger(3), {"mlops.status": "archived"}
    for attempt in (
        lambda: override(registry, registry, **WHO, version=3, reason="urgent", **AT_ONCE),
        lambda: override(registry, registry, **WHO, version=3, reason="urgent", allow_older=True, **AT_ONCE),
        lambda: rollback(registry, registry, **WHO, to=3, reason="urgent", **AT_ONCE),
        lambda: rollback(registry, registry, **WHO, to=3, force=True, reason="urgent", **AT_ONCE),
    ):
        before = registry.seen()
        registry.tags[3] = {"mlops.status": "archived"} if "rollback" in attempt.__code__.co_names else {}
        with pytest.raises(RecordError, match="a version that specification 'theirs' trained"):
            attempt()
        registry.tags[3] = {"mlops.status": "archived"}
        assert registry.seen() == before
    registry.aliases["champion"] = 3
    with pytest.raises(RecordError, match="a version that specification 'theirs' trained"):
        require_owner(registry, registry, registered_model=MODEL, specification=OURS, serves=registry.champion(MODEL))


def test_what_another_specification_trained_is_not_registered_for_the_owner() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, specification=OURS)
    candidate = stranger(2)
    before = registry.seen()
    with pytest.raises(RecordError, match="candidate of MLflow run theirs2: found what belongs to .*'theirs'"):
        promote(decision_of(candidate, 1), candidate, registry, registry, **WHO, specification=OURS, **AT_ONCE)
    assert registry.seen() == before


def test_whatever_people_are_called_an_event_can_be_stored() -> None:
    registry = MemoryRegistry()
    crowd = tuple(Person(name=f"{n}\n" + "x" * 9000, did="asked") for n in range(100))
    go(registry, 1, None, specification=OURS, people=crowd)
    assert len(registry.written) == 2
    assert all(len(json.dumps(event.to_json())) < 6000 for event in registry.written)


def test_an_event_of_a_stranger_breaks_the_trail() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, specification=OURS)
    forged = following(
        fold(registry.written), model=MODEL, kind="promoting", at=NOW, by="x", reason="x", version=2, displaced=1,
        decision="d", specification=THEIRS,
    )  # fmt: skip
    registry.written.append(forged)
    with pytest.raises(RecordError, match="is of specification 'theirs' of team-c, but the model belonged to"):
        registry.events(MODEL)


# races -----------------------------------------------------------------------------------------------------------


def first_promotion(registry: Any, specification: SpecIdentity, number: int) -> Any:
    candidate = replace(candidate_of(number), model=specification.name)
    said: dict[str, Any] = {**WHO, "pause": wait, "specification": specification}
    return promote(decision_of(candidate, None), candidate, registry, registry, **said)


@pytest.mark.parametrize("seed", range(60))
def test_of_two_that_come_first_at_the_same_time_one_is_the_owner(seed: int) -> None:
    draws = random.Random(seed)  # noqa: S311 - of a test

    def choices() -> Iterator[tuple[int, bool]]:
        while True:
            yield draws.randrange(2), False

    with world() as made:
        mine, theirs = made.start(
            lambda store: first_promotion(store, OURS, 1), lambda store: first_promotion(store, THEIRS, 2)
        )
        made.run(choices())
        won, lost = (mine, theirs) if mine.refusal is None else (theirs, mine)
        assert won.refusal is None
        assert lost.refusal is not None
        assert {problem.code for problem in lost.refusal.problems} <= {
            ReasonCode.OWNED_BY_ANOTHER, ReasonCode.DECISION_STALE,
        }  # fmt: skip
        owner = owner_of(made.shared, made.shared, MODEL)
        assert owner == (OURS if won is mine else THEIRS)
        served = made.shared.champion(MODEL)
        assert served is not None
        assert owner is not None
        assert served.candidate.model == owner.name
        assert [problem.field for problem in verify_trail(made.shared, made.shared, MODEL)] == []
