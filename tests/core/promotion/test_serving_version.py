"""What serves, by registry and trail together: none yet, one, or one that is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.promotion.audit_chain import following
from airflow_mlops.core.promotion.audit_state import fold
from airflow_mlops.core.promotion.override import override
from airflow_mlops.core.promotion.promote import promote
from airflow_mlops.core.promotion.rollback import rollback, rollback_target
from airflow_mlops.core.promotion.serving_version import find_champion
from airflow_mlops.core.promotion.status import status_of
from airflow_mlops.core.promotion.verify import verify_trail
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.spec.problems import ReasonCode
from tests.support.memory_registry import AT_ONCE, MODEL, NOW, MemoryRegistry, candidate_of, decision_of, go


def champions(number: int) -> MemoryRegistry:
    registry = MemoryRegistry()
    for version in range(1, number + 1):
        go(registry, version, version - 1 or None)
    return registry


def missed(registry: MemoryRegistry, match: str) -> None:
    with pytest.raises(RecordError, match=match) as error:
        find_champion(registry, registry, MODEL)
    assert [problem.code for problem in error.value.problems] == [ReasonCode.CHAMPION_MISSING]
    for problems in (verify_trail(registry, registry, MODEL), status_of(registry, registry, MODEL).problems):
        assert ReasonCode.CHAMPION_MISSING in [problem.code for problem in problems]


def test_a_model_that_never_had_a_champion_has_none() -> None:
    registry = MemoryRegistry()
    assert find_champion(registry, registry, MODEL) is None
    go(registry, 1, None, Verdict.REJECT)
    assert find_champion(registry, registry, MODEL) is None
    assert verify_trail(registry, registry, MODEL) == ()


def test_the_first_promotion_that_is_under_way_is_no_missing_champion() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None, Verdict.REJECT)
    begun = following(
        fold(registry.written), model=MODEL, kind="promoting", at=NOW, by="b", reason="r", version=1, decision="d"
    )
    registry.append(MODEL, begun)
    assert find_champion(registry, registry, MODEL) is None


def test_an_alias_that_was_deleted_is_missed_and_put_back_on_the_record() -> None:
    registry = champions(2)
    del registry.aliases["champion"]
    missed(registry, "rollback late --to 2 --reason WHY puts it back")
    with pytest.raises(RecordError, match="until then nothing is trained"):
        go(registry, 3, None, Verdict.REJECT)
    assert rollback_target(registry, registry, registered_model=MODEL, to=2).version == 2
    done = rollback(registry, registry, registered_model=MODEL, by="a", reason="back", now=NOW, to=2, **AT_ONCE)
    assert (done.version, registry.aliases["champion"]) == (2, 2)
    found = find_champion(registry, registry, MODEL)
    assert found is not None
    assert found.version == 2
    assert verify_trail(registry, registry, MODEL) == ()


def test_a_version_that_was_deleted_is_missed() -> None:
    registry = champions(3)
    registry.delete_version(3)
    missed(registry, "no version 3: it was deleted.*--to 2 --reason WHY")
    assert rollback_target(registry, registry, registered_model=MODEL).version == 2
    rollback(registry, registry, registered_model=MODEL, by="a", reason="back", now=NOW, **AT_ONCE)
    assert registry.aliases["champion"] == 2
    assert verify_trail(registry, registry, MODEL) == ()


def test_a_registered_model_that_is_gone_is_missed() -> None:
    registry = champions(2)
    registry.candidates.clear()
    registry.aliases.clear()
    missed(registry, "deleted or renamed; .*give it the name late again")


def test_also_when_the_deletion_was_written_down_nobody_is_judged_against_nobody() -> None:
    """A move during which the alias was deleted comes to nothing; the model had a champion all the same."""
    registry = champions(3)
    rollback(registry, registry, registered_model=MODEL, by="a", reason="bad", now=NOW, **AT_ONCE)
    state = fold(registry.written)
    registry.append(MODEL, following(state, model=MODEL, kind="moved_by_hand", at=NOW, by="b", reason="r", displaced=2))
    del registry.aliases["champion"]
    assert fold(registry.written).champion is None
    missed(registry, "rollback late --to 1 ")
    other = registry.register(MODEL, candidate_of(9), {"mlops.status": "candidate"})
    given = {"by": "a", "reason": "new", "now": NOW, **AT_ONCE}
    assert override(registry, registry, registered_model=MODEL, version=other, **given).promoted
    assert verify_trail(registry, registry, MODEL) == ()


def test_a_record_that_names_another_model_than_was_promoted_is_refused() -> None:
    registry = MemoryRegistry()
    candidate = replace(candidate_of(1), model_digest="a" * 64)
    decision = replace(decision_of(candidate, None), model_digest="a" * 64)
    promote(decision, candidate, registry, registry, registered_model=MODEL, by="t", now=NOW)
    assert find_champion(registry, registry, MODEL) is not None
    for digest in ("b" * 64, ""):
        registry.candidates[1] = replace(candidate, model_digest=digest)
        with pytest.raises(RecordError) as error:
            find_champion(registry, registry, MODEL)
        assert [problem.code for problem in error.value.problems] == [ReasonCode.MODEL_ALTERED]
