"""Promotions, rollbacks, challenges and hands at once, interleaved call by call and killed anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_mlops.core.promotion.audit_chain import MOVES, ending, require_whole
from airflow_mlops.core.promotion.audit_state import fold
from airflow_mlops.core.promotion.override import override
from airflow_mlops.core.promotion.promote import challenge, promote
from airflow_mlops.core.promotion.rollback import rollback
from airflow_mlops.core.promotion.verify import finish_unfinished, verify_trail
from airflow_mlops.core.records.decision import Verdict
from tests.support.interleaved import Process, World, wait, world
from tests.support.memory_registry import MODEL, NOW, MemoryRegistry, candidate_of, decision_of, go

LEASE = timedelta(seconds=30)
Work = Callable[[Any], Any]


def options(lease: timedelta, who: str) -> dict[str, Any]:
    return {"registered_model": MODEL, "now": NOW, "by": who, "lease": lease, "pause": wait}


def promoting(number: int, champion: int | None, verdict: Verdict, lease: timedelta, day: int | None = None) -> Work:
    """A task that is tried again with the same decision."""
    candidate = candidate_of(number, day)
    decision = decision_of(candidate, champion, verdict)
    return lambda store: promote(decision, candidate, store, store, **options(lease, f"airflow:{number}"))


def challenging(number: int, champion: int | None, lease: timedelta) -> Work:
    candidate = candidate_of(number)
    decision = decision_of(candidate, champion)
    return lambda store: challenge(decision, candidate, store, store, **options(lease, f"airflow:{number}"))


def back(request: str, lease: timedelta, to: int | None = None) -> Work:
    return lambda store: rollback(store, store, reason="bad", request=request, to=to, **options(lease, "user:ada"))


def forcing(version: int, lease: timedelta) -> Work:
    return lambda store: override(
        store, store, version=version, reason="urgent", request=f"force {version}", **options(lease, "user:ada")
    )


def by_hand(version: int | None) -> Work:
    def move(store: Any) -> None:
        if version is None:
            store.delete_alias(MODEL, "champion")
        elif store.version_tags(MODEL, version) is not None:
            store.set_alias(MODEL, "champion", version)

    return move


def history(registry: MemoryRegistry) -> None:
    """Two champions and a rejected version."""
    go(registry, 1, None)
    go(registry, 2, 1)
    go(registry, 3, 2, Verdict.REJECT)


def works(plan: list[tuple[str, int, int]], lease: timedelta) -> list[Work]:
    made: list[Work] = []
    for kind, number, against in plan:
        made.append(
            {
                "accept": promoting(number, against, Verdict.ACCEPT, lease),
                "reject": promoting(number, against, Verdict.REJECT, lease),
                "older": promoting(number, against, Verdict.ACCEPT, lease, day=1),
                "challenge": challenging(number, against, lease),
                "back": back(f"r{number}", lease),
                "to": back(f"t{number}", lease, to=1),
                "force": forcing(3, lease),
            }[kind]
        )
    return made


PLANS = st.lists(
    st.tuples(
        st.sampled_from(["accept", "accept", "accept", "reject", "older", "challenge", "back", "to", "force"]),
        st.integers(4, 7),
        st.sampled_from([2, 2, 2, 1, 4]),
    ),
    min_size=2,
    max_size=4,
)
CALM = st.lists(st.tuples(st.integers(0, 3), st.just(False)), max_size=150)
DEADLY = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([False] * 12 + [True])), max_size=150)


def invariants(registry: MemoryRegistry) -> None:
    """1 to 3 of the design, and an unbroken chain."""
    events = registry.written
    require_whole(events, MODEL)
    runs = [made.run_id for made in registry.candidates.values()]
    assert len(runs) == len(set(runs))
    for event in events:
        if event.kind not in MOVES:
            continue
        before = fold(events[: event.number - 1])
        assert event.displaced == before.champion
        assert event.version is not None
        if event.kind == "rolling_back" or event.forced:
            continue
        judged = {
            decision_of(candidate, event.displaced).digest
            for day in (None, 1, 50)
            for candidate in [candidate_of(int(registry.candidates[event.version].run_id.removeprefix("run")), day)]
        }
        assert event.decision in judged
        end = ending(events, event)
        if event.displaced is not None and end is not None and end.kind == "promoted":
            old, new = registry.candidates[event.displaced], registry.candidates[event.version]
            assert new.as_of >= old.as_of


def settled(registry: MemoryRegistry) -> None:
    """Invariant 4 of promotion: record and effect agree in everything."""
    invariants(registry)
    assert fold(registry.written).unfinished is None
    assert verify_trail(registry, registry, MODEL) == ()


def retry(made: World, started: list[Process], plan: list[Work]) -> None:
    """What Airflow does with killed tasks; then the end of any lease."""
    again = [work for process, work in zip(started, plan, strict=True) if process.killed]
    made.start(*again)
    made.run(iter(()))
    made.start(lambda store: finish_unfinished(store, store, **options(timedelta(0), "user:ada")))
    made.run(iter(()))


@settings(max_examples=200, deadline=None)
@given(plan=PLANS, choices=CALM)
def test_in_any_order_everything_agrees_at_the_end_even_if_nobody_is_waited_for(
    plan: list[tuple[str, int, int]], choices: list[tuple[int, bool]]
) -> None:
    with world() as made:
        history(made.shared)
        made.start(*works(plan, timedelta(0)))
        made.run(iter(choices))
        settled(made.shared)


@settings(max_examples=200, deadline=None)
@given(plan=PLANS, choices=DEADLY)
def test_killed_anywhere_and_tried_again_everything_agrees(
    plan: list[tuple[str, int, int]], choices: list[tuple[int, bool]]
) -> None:
    with world() as made:
        history(made.shared)
        made.shared.moves.clear()
        todo = works(plan, LEASE)
        started = made.start(*todo)
        made.run(iter(choices))
        invariants(made.shared)
        retry(made, started, todo)
        settled(made.shared)
        decided = {(e.displaced, e.version) for e in made.shared.written if e.kind in MOVES}
        assert set(made.shared.moves) <= decided


@settings(max_examples=150, deadline=None)
@given(plan=PLANS, choices=DEADLY)
def test_killed_anywhere_while_nobody_is_waited_for_the_trail_stays_right(
    plan: list[tuple[str, int, int]], choices: list[tuple[int, bool]]
) -> None:
    with world() as made:
        history(made.shared)
        todo = works(plan, timedelta(0))
        started = made.start(*todo)
        made.run(iter(choices))
        retry(made, started, todo)
        invariants(made.shared)


@settings(max_examples=150, deadline=None)
@given(plan=PLANS, hands=st.lists(st.sampled_from([None, 1, 2, 3, 4]), min_size=1, max_size=2), choices=DEADLY)
@example(plan=[("challenge", 4, 2), ("accept", 5, 2)], hands=[4], choices=[])
def test_an_alias_that_is_moved_by_hand_meanwhile_is_written_down_or_refused(
    plan: list[tuple[str, int, int]], hands: list[int | None], choices: list[tuple[int, bool]]
) -> None:
    with world() as made:
        history(made.shared)
        todo = [*works(plan, LEASE), *map(by_hand, hands)]
        started = made.start(*todo)
        made.run(iter(choices))
        retry(made, started[: len(plan)], todo[: len(plan)])
        invariants(made.shared)
        holder = made.shared.alias(MODEL, "champion")
        number = max(made.shared.tags) + 5
        made.start(promoting(number, holder, Verdict.ACCEPT, LEASE, day=50))
        made.run(iter(()))
        if made.processes[-1].refusal is None:
            settled(made.shared)


def each(number: int) -> Iterator[tuple[int, bool]]:
    while True:
        for who in range(number):
            yield who, False


def test_of_many_at_once_one_wins_and_the_others_are_stale() -> None:
    with world() as made:
        history(made.shared)
        started = made.start(*(promoting(number, 2, Verdict.ACCEPT, LEASE) for number in range(4, 34)))
        made.run(each(30))
        winners = [process for process in started if process.result is not None]
        assert len(winners) == 1
        assert sum(event.kind == "promoting" for event in made.shared.written) == 3
        settled(made.shared)


def test_a_dead_holders_promotion_is_finished_for_it_after_the_lease() -> None:
    with world() as made:
        history(made.shared)
        (holder,) = made.start(promoting(4, 2, Verdict.ACCEPT, LEASE))
        while fold(made.shared.written).unfinished is None:
            holder.step()
        holder.kill()
        assert made.shared.aliases["champion"] == 2
        (other,) = made.start(promoting(5, 2, Verdict.ACCEPT, LEASE))
        made.run(iter(()))
        assert "made against version 2, but version 4 serves now" in str(other.refusal)
        assert made.time >= LEASE.total_seconds() - 1
        assert made.shared.written[-1].by == "airflow:5"
        assert "finished in the place of airflow:4" in made.shared.written[-1].reason
        settled(made.shared)


def test_a_living_holder_is_waited_for() -> None:
    with world() as made:
        history(made.shared)
        (holder,) = made.start(promoting(4, 2, Verdict.ACCEPT, LEASE))
        while fold(made.shared.written).unfinished is None:
            holder.step()
        (other,) = made.start(promoting(5, 2, Verdict.ACCEPT, LEASE))
        while not other.waits:
            other.step()
        assert made.shared.aliases["champion"] == 2
        made.run(iter(()))
        assert made.shared.written[-1].by == "airflow:4"
        assert "version 4 serves now" in str(other.refusal)
        settled(made.shared)


def test_who_slept_over_its_lease_puts_right_what_it_overwrites() -> None:
    with world() as made:
        history(made.shared)
        (slow,) = made.start(promoting(4, 2, Verdict.ACCEPT, LEASE))
        while slow.at != ("set_alias", MODEL, "champion", 4):
            slow.step()
        made.processes.clear()
        for against in (2, 4):
            made.start(promoting(5, against, Verdict.ACCEPT, timedelta(0)))
            made.run(iter(()))
        assert made.shared.aliases == {"champion": 5, "previous": 4}
        slow.step()
        assert made.shared.aliases["champion"] == 4
        made.processes.append(slow)
        made.run(iter(()))
        assert slow.result.promoted
        assert made.shared.aliases == {"champion": 5, "previous": 4}
        settled(made.shared)
