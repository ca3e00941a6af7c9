"""Rollback, override and retirement against a registry and a trail in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import RecordError, StaleDecisionError
from airflow_mlops.core.promotion.alias_log import STATUS_TAG
from airflow_mlops.core.promotion.audit_state import fold
from airflow_mlops.core.promotion.override import override
from airflow_mlops.core.promotion.promote import promote
from airflow_mlops.core.promotion.retire import RETIRED, retire, retirement_tag
from airflow_mlops.core.promotion.rollback import rollback, rollback_target
from airflow_mlops.core.promotion.verify import finish_unfinished, verify_trail
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.evidence import ServingReport
from airflow_mlops.core.records.promotion import Rollback
from airflow_mlops.spec.problems import ReasonCode
from tests.support.memory_registry import AT_ONCE, MODEL, NOW, Killed, MemoryRegistry, candidate_of, decision_of, go

WHO: dict[str, Any] = {"registered_model": MODEL, "by": "user:ada", "now": NOW}


def back(registry: MemoryRegistry, **options: Any) -> Rollback:
    return rollback(registry, registry, **{**WHO, "reason": "it was worse", **AT_ONCE, **options})


def champions(count: int) -> MemoryRegistry:
    registry = MemoryRegistry()
    for number in range(1, count + 1):
        go(registry, number, number - 1 or None)
    return registry


def codes(error: pytest.ExceptionInfo[Any]) -> set[ReasonCode]:
    return {problem.code for problem in error.value.problems}


def refused(registry: MemoryRegistry, code: ReasonCode, do: Callable[[], object]) -> str:
    """The refusal's words; nothing was written."""
    before = registry.seen()
    with pytest.raises((RecordError, StaleDecisionError)) as error:
        do()
    assert codes(error) == {code}
    assert registry.seen() == before
    return str(error.value)


def serving_of(number: int, **changes: Any) -> ServingReport:
    values: dict[str, Any] = {
        "model_uri": candidate_of(number).model_uri, "environment": "current", "rows": 5, "max_difference": 0.0,
        "load_seconds": 0.1, "row_ms": (1.0, 2.0), "batch_ms": (1.0, 2.0), "size_bytes": 10, "python": "3.11",
    }  # fmt: skip
    return ServingReport(**{**values, **changes})


def test_back_to_the_version_before_and_then_further_back() -> None:
    registry = champions(3)
    done = back(registry)
    assert (done.version, done.displaced, done.previous_version, done.run_id) == (2, 3, 1, "run2")
    assert registry.aliases == {"champion": 2, "previous": 1}
    assert [registry.tags[n][STATUS_TAG] for n in (1, 2, 3)] == ["previous", "champion", "rolled_back"]
    done = back(registry)
    assert (done.version, done.previous_version) == (1, None)
    assert registry.aliases == {"champion": 1}
    assert [event.kind for event in registry.written[-4:]] == ["rolling_back", "rolled_back"] * 2
    assert registry.written[-1].reason == "it was worse"
    assert verify_trail(registry, registry, MODEL) == ()
    refused(registry, ReasonCode.NOTHING_TO_ROLL_BACK_TO, lambda: back(registry))


def test_a_named_version_and_what_comes_after() -> None:
    registry = champions(4)
    assert back(registry, to=2, serving=serving_of(2)).version == 2
    assert rollback_target(registry, registry, registered_model=MODEL).version == 1
    assert go(registry, 5, 2).promoted
    assert registry.aliases == {"champion": 5, "previous": 2}
    assert back(registry, to=4).version == 4
    assert verify_trail(registry, registry, MODEL) == ()


def test_a_task_that_is_tried_again_does_not_roll_back_twice() -> None:
    registry = champions(3)
    done = back(registry, request="d/r/rollback")
    assert back(registry, request="d/r/rollback") == done
    assert back(registry, request="d/other/rollback").version == 1
    assert back(registry, request="d/r/rollback") == done


def test_only_a_version_that_has_served_unless_it_is_forced() -> None:
    registry = champions(2)
    go(registry, 3, 2, Verdict.REJECT)
    assert "never served" in refused(registry, ReasonCode.NOTHING_TO_ROLL_BACK_TO, lambda: back(registry, to=3))
    done = back(registry, to=3, force=True)
    assert (done.version, done.forced, done.previous_version) == (3, True, 1)
    assert verify_trail(registry, registry, MODEL) == ()


def test_what_cannot_be_rolled_back_to() -> None:
    registry = champions(2)
    refused(registry, ReasonCode.NOTHING_TO_ROLL_BACK_TO, lambda: back(registry, to=2))
    refused(registry, ReasonCode.VERSION_MISSING, lambda: back(registry, to=9))
    refused(registry, ReasonCode.REASON_MISSING, lambda: back(registry, reason="  "))
    refused(registry, ReasonCode.DECISION_MISMATCH, lambda: back(registry, serving=serving_of(2)))
    refused(registry, ReasonCode.SERVING_FAILED, lambda: back(registry, serving=serving_of(1, failure="no module")))
    refused(
        registry, ReasonCode.SERVING_DIFFERS, lambda: back(registry, serving=serving_of(1, max_difference=float("nan")))
    )
    empty = MemoryRegistry()
    refused(empty, ReasonCode.NOTHING_TO_ROLL_BACK_TO, lambda: back(empty))


def test_a_deleted_version_is_passed_over() -> None:
    registry = champions(3)
    registry.delete_version(2)
    assert back(registry).version == 1
    assert verify_trail(registry, registry, MODEL) == ()


def test_models_that_served_before_their_trail_began() -> None:
    registry = champions(3)
    registry.written.clear()
    assert rollback_target(registry, registry, registered_model=MODEL).version == 2
    assert back(registry).version == 2
    kinds = [(event.kind, event.version) for event in registry.written]
    assert kinds == [("moved_by_hand", 2), ("moved_by_hand", 3), ("rolling_back", 2), ("rolled_back", 2)]
    assert "before this audit trail began" in registry.written[0].reason


def test_a_hand_is_written_down_before_a_rollback() -> None:
    registry = champions(3)
    registry.aliases["champion"] = 1
    assert back(registry, to=3).displaced == 1
    assert [event.kind for event in registry.written[-3:]] == ["moved_by_hand", "rolling_back", "rolled_back"]
    assert verify_trail(registry, registry, MODEL) == ()


@settings(max_examples=80, deadline=None)
@given(kills=st.lists(st.integers(0, 12), max_size=4), to=st.sampled_from([None, 1, 2]))
def test_kills_and_retries_of_a_rollback_end_as_if_nothing_had_happened(kills: list[int], to: int | None) -> None:
    calm, killed = champions(3), champions(3)
    expected = back(calm, to=to, request="r")
    for lives in kills:
        killed.lives = lives
        try:
            back(killed, to=to, request="r")
        except Killed:
            assert killed.aliases["champion"] in (3, expected.version)
    killed.lives = -1
    assert back(killed, to=to, request="r") == expected
    assert killed.seen() == calm.seen()


# override ------------------------------------------------------------------------------------------------------------


def force(registry: MemoryRegistry, version: int, **options: Any) -> Any:
    return override(
        registry, registry, **{**WHO, "version": version, "reason": "the fair is tomorrow", **AT_ONCE, **options}
    )


def test_a_person_may_promote_what_the_gate_refused_with_name_and_reason() -> None:
    registry = champions(1)
    go(registry, 2, 1, Verdict.REJECT)
    record = force(registry, 2)
    assert (record.promoted, record.version, record.previous_version, record.verdict) == (True, 2, 1, Verdict.REJECT)
    assert record.reasons == ("forced by user:ada: the fair is tomorrow",)
    assert registry.aliases == {"champion": 2, "previous": 1}
    begun = registry.written[-2]
    assert (begun.kind, begun.forced, begun.decision, begun.by) == ("promoting", True, None, "user:ada")
    assert verify_trail(registry, registry, MODEL) == ()
    assert back(registry).version == 1


def test_what_cannot_be_forced() -> None:
    registry = champions(5)
    candidate = candidate_of(6, day=2)
    promote(decision_of(candidate, 5, Verdict.REJECT), candidate, registry, registry, **WHO)
    refused(registry, ReasonCode.REASON_MISSING, lambda: force(registry, 6, reason=""))
    refused(registry, ReasonCode.VERSION_MISSING, lambda: force(registry, 77))
    refused(registry, ReasonCode.RECORD_CONFLICT, lambda: force(registry, 5))
    refused(registry, ReasonCode.RECORD_CONFLICT, lambda: force(registry, 4))
    refused(registry, ReasonCode.AS_OF_BACKWARDS, lambda: force(registry, 6))
    assert force(registry, 6, allow_older=True).promoted


# retirement ----------------------------------------------------------------------------------------------------------


def test_a_champion_that_cannot_be_read_can_be_displaced_by_force() -> None:
    registry = champions(2)
    go(registry, 3, 2, Verdict.REJECT)
    del registry.candidates[2]  # its record is gone, the alias is not
    refused(registry, ReasonCode.CHAMPION_UNREADABLE, lambda: force(registry, 3))
    assert force(registry, 3, allow_older=True).promoted
    assert registry.aliases["champion"] == 3


def test_a_retired_model_promotes_nothing_until_it_is_taken_back() -> None:
    registry = champions(2)
    retire(registry, registry, reason="replaced by another", **WHO)
    retire(registry, registry, reason="again", **WHO)
    assert retirement_tag(registry, MODEL) == "replaced by another"
    assert sum(event.kind == "retired" for event in registry.written) == 1
    refused(registry, ReasonCode.MODEL_RETIRED, lambda: go(registry, 3, 2))
    go(registry, 4, 2, Verdict.REJECT)
    refused(registry, ReasonCode.MODEL_RETIRED, lambda: force(registry, 3))
    assert back(registry).version == 1
    retire(registry, registry, reason="it was better", undo=True, **WHO)
    assert retirement_tag(registry, MODEL) is None
    assert go(registry, 5, 1).promoted
    refused(registry, ReasonCode.REASON_MISSING, lambda: retire(registry, registry, reason="", **WHO))
    assert verify_trail(registry, registry, MODEL) == ()


# verification --------------------------------------------------------------------------------------------------------


def test_what_was_changed_by_hand_is_found() -> None:
    registry = champions(3)
    registry.aliases.update(champion=1, previous=3)
    registry.tags[2][STATUS_TAG] = "champion"
    registry.of_model[RETIRED] = "by hand"
    fields = {problem.field for problem in verify_trail(registry, registry, MODEL)}
    assert fields == {"late@champion", "late@previous", "late version 2, tag mlops.status", "late, tag mlops.retired"}


def test_a_broken_trail_is_found_and_stops_everything() -> None:
    registry = champions(3)
    del registry.written[2]
    assert {problem.code for problem in verify_trail(registry, registry, MODEL)} == {ReasonCode.AUDIT_BROKEN}
    for do in (lambda: go(registry, 4, 3), lambda: back(registry), lambda: go(registry, 4, 3, Verdict.REJECT)):
        with pytest.raises(RecordError) as error:
            do()
        assert codes(error) == {ReasonCode.AUDIT_BROKEN}
    assert registry.aliases == {"champion": 3, "previous": 2}


def test_an_unfinished_move_is_found_and_can_be_finished() -> None:
    registry = champions(2)
    registry.lives = 2  # registered, and `promoting` written
    with pytest.raises(Killed):
        go(registry, 3, 2)
    registry.lives = -1
    assert fold(registry.written).unfinished is not None
    assert [problem.code for problem in verify_trail(registry, registry, MODEL)] == [ReasonCode.PROMOTION_UNFINISHED]
    assert finish_unfinished(registry, registry, **WHO, **AT_ONCE).champion == 3
    assert verify_trail(registry, registry, MODEL) == ()
    assert go(registry, 3, 2).promoted


def test_a_version_that_was_deleted_before_it_served_leaves_the_champion() -> None:
    registry = champions(2)
    registry.lives = 2
    with pytest.raises(Killed):
        go(registry, 3, 2)
    registry.lives = -1
    registry.delete_version(3)
    state = finish_unfinished(registry, registry, **WHO, **AT_ONCE)
    assert (state.champion, registry.aliases["champion"]) == (2, 2)
    assert "was deleted before it served" in registry.written[-1].reason
    assert verify_trail(registry, registry, MODEL) == ()
    assert go(registry, 4, 2).promoted
