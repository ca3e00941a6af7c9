"""What a registered model's status is, from a registry and a trail in memory."""

from __future__ import annotations

from airflow_mlops.core.promotion.retire import retire
from airflow_mlops.core.promotion.status import ModelStatus, status_of
from airflow_mlops.spec.problems import ReasonCode
from tests.support.memory_registry import MODEL, NOW, MemoryRegistry, candidate_of, go


def test_who_serves_since_when_and_who_served_before() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    first = status_of(registry, registry, MODEL)
    assert (first.champion, first.previous, first.problems) == (1, None, ())
    go(registry, 2, 1)
    now = status_of(registry, registry, MODEL)
    newest = registry.events(MODEL)[-1]
    assert (now.champion, now.previous, now.challenger) == (2, 1, None)
    assert (now.as_of, now.since, now.by) == (candidate_of(2).as_of, newest.at, newest.by)
    assert now.last_event == (newest.kind, newest.version)
    assert (now.retired, now.problems) == (None, ())


def test_a_retired_model_serves_on() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    retire(registry, registry, registered_model=MODEL, by="user:ada", reason="replaced", now=NOW)
    found = status_of(registry, registry, MODEL)
    assert (found.champion, found.retired, found.last_event) == (1, "replaced", ("retired", None))
    assert found.problems == ()


def test_a_model_that_nobody_knows_is_a_problem_and_no_exception() -> None:
    registry = MemoryRegistry()
    found = status_of(registry, registry, MODEL)
    assert [problem.code for problem in found.problems] == [ReasonCode.NO_CHAMPION]
    assert found == ModelStatus(model=MODEL, problems=found.problems)


def test_an_alias_that_was_moved_by_hand_is_a_problem() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    go(registry, 2, 1)
    registry.set_alias(MODEL, "champion", 1)
    found = status_of(registry, registry, MODEL)
    assert found.champion == 1
    assert len(found.problems) >= 1
