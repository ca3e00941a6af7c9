"""Which changes of rules are told to whoever is asked next."""

from __future__ import annotations

from dataclasses import replace

from airflow_mlops.core.promotion.rule_changes import earlier_changes, name_changes, versions_judged
from airflow_mlops.core.records.decision import GateDecision
from airflow_mlops.core.records.promotion import Approval
from tests.support.memory_registry import NOW, MemoryRegistry, candidate_of, decision_of, go


def approval_of(decision: GateDecision) -> Approval:
    return Approval(
        model=decision.model, run_id=decision.run_id, decision=decision.digest, approved=True, by="ada", at=NOW
    )


def promoted(registry: MemoryRegistry, number: int, champion: int | None, line: str, *, approved: bool) -> None:
    from airflow_mlops.core.promotion.promote import promote
    from tests.support.memory_registry import AT_ONCE, MODEL

    candidate = candidate_of(number)
    decision = replace(decision_of(candidate, champion), rules_changed=(line,) if line else ())
    promote(
        decision, candidate, registry, registry, registered_model=MODEL, by=f"airflow:late.train/{number}", now=NOW,
        approval=approval_of(decision) if approved else None, **AT_ONCE,
    )  # fmt: skip


def test_all_since_the_last_approval_are_told() -> None:
    registry = MemoryRegistry()
    promoted(registry, 1, None, "", approved=True)
    promoted(registry, 2, 1, "gate.mode: 1 -> 2", approved=False)
    promoted(registry, 3, 2, "gate.mode: 2 -> 3", approved=False)
    told = earlier_changes(registry.written, candidate_of(4))
    assert [line.partition(" (event")[0] for line in told] == ["gate.mode: 1 -> 2", "gate.mode: 2 -> 3"]
    assert "airflow:late.train/2" in told[0]
    promoted(registry, 4, 3, "gate.mode: 3 -> 4", approved=True)
    assert earlier_changes(registry.written, candidate_of(5)) == ()


def test_a_candidates_own_change_is_not_an_earlier_one() -> None:
    registry = MemoryRegistry()
    promoted(registry, 1, None, "", approved=False)
    promoted(registry, 2, 1, "gate.mode: 1 -> 2", approved=False)
    assert earlier_changes(registry.written, candidate_of(2)) == ()
    assert len(earlier_changes(registry.written, candidate_of(3))) == 1


def test_the_event_comes_before_the_version_that_was_judged_so() -> None:
    registry = MemoryRegistry()
    go(registry, 1, None)
    promoted(registry, 2, 1, "gate.mode: 1 -> 2", approved=False)
    kinds = [event.kind for event in registry.written]
    assert kinds == ["promoting", "promoted", "rules_changed", "promoting", "promoted"]
    assert versions_judged(registry.written) == (2, 1)


def test_many_changes_are_named_when_their_values_do_not_fit() -> None:
    changes = ['gate.mode: "enforce" -> "off"', *(f'gate.absolute_{n}: "{"x" * 100}" -> nothing' for n in range(20))]
    said = name_changes(changes)
    assert said.startswith("21 values, which the decision has: gate.mode, gate.absolute_0, ")
    assert len(said) <= 1000
