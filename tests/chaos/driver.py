"""Many processes and threads at one model of a real MLflow server: they race, and are killed.

Started by the tests in a process of its own, because it forks. The candidates' runs are written first, with the little
that promotion reads of them: no model is trained. Prints one JSON line for each case.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import requests

from airflow_mlops.core.errors import RecordError, StaleDecisionError, StoreUnavailableError
from airflow_mlops.core.promotion.audit_chain import MOVES, ending, to_lines, verify_lines
from airflow_mlops.core.promotion.audit_state import AuditState, after, fold
from airflow_mlops.core.promotion.promote import challenge, promote
from airflow_mlops.core.promotion.rollback import rollback
from airflow_mlops.core.promotion.verify import finish_unfinished, verify_trail
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.stores.mlflow.candidates import CANDIDATE, CANDIDATE_SEAL
from airflow_mlops.stores.mlflow.queries import get_run
from airflow_mlops.stores.mlflow.store import MLflowStore
from tests.kill.driver import KILLED, in_child, kill_at, writes
from tests.support.builders import make_candidate
from tests.support.loop_parts import decision_of
from tests.support.proxies import flaky_proxy

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
AT_ONCE: dict[str, Any] = {"lease": timedelta(0), "pause": lambda _: None}


@dataclass
class Case:
    """A registered model with the candidates that are to race for it."""

    uri: str
    name: str
    candidates: dict[int, Candidate] = field(default_factory=dict)

    def store(self, uri: str = "") -> MLflowStore:
        return MLflowStore.connect(uri or self.uri)

    def make(self, store: MLflowStore, numbers: range) -> None:
        """Write the runs of some loop runs, each with its sealed candidate; a higher number has a later as-of."""
        for number in numbers:
            loop_run, as_of = f"{self.name}.train/{number}", START + DAY * number
            run_id = store.runs.open_run(self.name, loop_run, model=self.name)
            candidate = make_candidate(
                as_of,
                model=self.name,
                run_id=run_id,
                loop_run=loop_run,
                model_uri=f"models:/m-{number:032d}",
                train=Window(start=as_of - 3 * DAY, end=as_of - DAY),
                holdout=Window(start=as_of - DAY, end=as_of),
                metrics={"log_loss": 0.5},
            )
            model = store._client.create_logged_model(
                get_run(store._client, run_id).info.experiment_id, name="model", source_run_id=run_id
            )
            store._client.finalize_logged_model(model.model_id, "READY")
            candidate = replace(candidate, model_uri=f"models:/{model.model_id}")
            store.artifacts.write_sealed(run_id, CANDIDATE, candidate.to_text(), CANDIDATE_SEAL, {})
            self.candidates[number] = candidate

    def decision(self, number: int, champion: int | None, verdict: Verdict = Verdict.ACCEPT) -> GateDecision:
        return decision_of(self.candidates[number], champion, verdict)

    def promote(self, store: MLflowStore, number: int, champion: int | None, **options: Any) -> int:
        verdict = options.pop("verdict", Verdict.ACCEPT)
        record = promote(
            self.decision(number, champion, verdict),
            self.candidates[number],
            store.registry,
            store.trail,
            **self.who(number),
            **options,
        )
        return record.version

    def who(self, number: int) -> dict[str, Any]:
        return {"registered_model": self.name, "by": f"airflow:{number}", "now": datetime.now(UTC)}

    def wrong(self, store: MLflowStore) -> list[str]:
        """Everything that is not as it must be: the invariants, and record against effect."""
        events = store.trail.events(self.name)
        found = [str(problem) for problem in verify_lines(to_lines(events))]
        versions = store._client.search_model_versions(f"name = '{self.name}'", max_results=1000)
        # As lifecycle.verify, which asks for each version by itself.
        state, tags = fold(events), {int(version.version): version.tags for version in versions}
        found += [
            f"version {number} has the tag mlops.status {tags[number].get('mlops.status')}, not {status}"
            for number, status in state.statuses.items()
            if tags[number].get("mlops.status") != status
        ]
        wanted = {"champion": state.champion, "previous": state.previous, "challenger": state.challenger}
        aliases = store.registry._aliases(self.name)
        if aliases != {alias: number for alias, number in wanted.items() if number is not None}:
            found.append(f"aliases {aliases}, not {wanted}")
        doubles = [run for run, count in Counter(version.run_id for version in versions).items() if count > 1]
        found += [f"run {run} has several versions" for run in doubles]
        runs = {int(version.version): version.run_id for version in versions}
        made = {candidate.run_id: number for number, candidate in self.candidates.items()}
        state = AuditState()
        for event in events:
            before, state = state.champion, after(state, event)
            if event.kind not in MOVES:
                continue
            if ending(events, event) is None:
                found.append(f"event {event.number} has no end")
            if event.displaced != before:
                found.append(f"event {event.number} displaces {event.displaced}, not {before}")
            if event.kind == "promoting" and event.version is not None:
                number = made[runs[event.version]]
                if event.decision != self.decision(number, before).digest:
                    found.append(f"event {event.number} is by no decision for its version against its champion")
                if before is not None and made[runs[before]] > number:
                    found.append(f"event {event.number} goes back in time")
        return found


def report(part: str, **facts: Any) -> None:
    print(json.dumps({"part": part, **facts}), flush=True)


# races ---------------------------------------------------------------------------------------------------------------


def race(uri: str, processes: int, threads: int, generations: int) -> None:
    """In each generation all promote at once, each its own candidate, against the champion of the generation before."""
    case, each = Case(uri, f"race-{processes}x{threads}"), processes * threads
    first = case.store()
    case.make(first, range(generations * each))
    champion = None
    for generation in range(generations):
        numbers = range(generation * each, (generation + 1) * each)
        parts = [list(numbers[start::processes]) for start in range(processes)]
        outcomes = in_children([partial(crowd, case, part, champion) for part in parts])
        counted = Counter(outcome for found in outcomes for outcome in found)
        events = first.trail.events(case.name)
        state = fold(events)
        report(
            "race",
            generation=generation,
            outcomes=dict(counted),
            moves=sum(event.kind == "promoting" for event in events),
            displaced=[event.displaced for event in events if event.kind == "promoting"][-1],
            before=champion,
            champion=state.champion,
            wrong=[*case.wrong(first), *map(str, verify_trail(first.registry, first.trail, case.name))],
        )
        champion = state.champion


def crowd(case: Case, numbers: list[int], champion: int | None) -> list[str]:
    """Each number in a thread of its own, all at the same moment."""
    outcomes: list[str] = []
    ready = threading.Barrier(len(numbers))

    def one(number: int) -> None:
        store = case.store()
        ready.wait()
        try:
            case.promote(store, number, champion)
            outcomes.append("won")
        except StaleDecisionError as error:
            outcomes.append(str(error.problems[0].code))
        except (RecordError, StoreUnavailableError) as error:
            outcomes.append(f"{error}"[:300])
        except Exception as error:  # noqa: BLE001 - shown by the test
            outcomes.append(f"{type(error).__name__}: {error}"[:600])

    crowd = [threading.Thread(target=one, args=(number,)) for number in numbers]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return outcomes


def in_children(works: list[Callable[[], Any]]) -> list[Any]:
    """Do all works at once, each in a forked process."""
    pipes = []
    for work in works:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(reading)
                with os.fdopen(writing, "w") as said:
                    json.dump(work(), said)
                code = 0
            except BaseException:  # noqa: BLE001 - a forked child must never return into the parent's code
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(writing)
        pipes.append((child, reading))
    found = []
    for child, reading in pipes:
        with os.fdopen(reading) as said:
            text = said.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            raise SystemExit(f"a child ended with {status}")
        found.append(json.loads(text))
    return found


# kills ---------------------------------------------------------------------------------------------------------------


Task = Callable[[MLflowStore], Any]


class Cut(BaseException):
    """The process is gone as far as the server can tell: no request of it comes any more."""


@contextmanager
def dying(number: int, late: bool) -> Iterator[None]:
    """Within, the `number`-th writing request of this thread is the last: not sent, or sent and its answer lost."""
    send, count = requests.Session.send, 0

    def deadly(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        nonlocal count
        if writes(request):
            count += 1
            if count >= number:
                if late and count == number:
                    send(self, request, **options).close()
                raise Cut
        return send(self, request, **options)

    requests.Session.send = deadly  # type: ignore[method-assign]
    try:
        yield
    finally:
        requests.Session.send = send  # type: ignore[method-assign]


def task_of(case: Case, store: MLflowStore, turn: int, luck: random.Random) -> tuple[str, Callable[[MLflowStore], Any]]:
    """A promotion, a rejection, a challenge, or a rollback, decided against the champion of now."""
    champion = store.registry.alias(case.name, "champion")
    kind = luck.choice(["promote", "promote", "promote", "reject", "challenge", "rollback"])
    if kind == "rollback" and fold(store.trail.events(case.name)).previous is None:
        kind = "promote"
    request = f"{case.name}/{turn}"
    decision = case.decision(turn, champion)
    return kind, {
        "promote": lambda to: case.promote(to, turn, champion, **AT_ONCE),
        "reject": lambda to: case.promote(to, turn, champion, verdict=Verdict.REJECT, **AT_ONCE),
        "challenge": lambda to: challenge(
            decision, case.candidates[turn], to.registry, to.trail, **case.who(turn), **AT_ONCE
        ),
        "rollback": lambda to: (
            rollback(to.registry, to.trail, reason="bad", request=request, **case.who(turn), **AT_ONCE).version
        ),
    }[kind]


def kills(uri: str, count: int, seed: int, real: int) -> None:
    """Kill at random places; then the same task is tried again, or somebody else comes and finishes it, or both.

    Every `real`-th kill is a SIGKILL of a forked process, the others cut a thread of requests in this one. Now and then
    a request is sent to a server that answers 503 or loses its answer on the way.
    """
    luck = random.Random(seed)  # noqa: S311 - places to die, no secrets
    case, store, seen = Case(uri, f"kills-{seed}-{count}"), MLflowStore.connect(uri), Counter[str]()
    case.make(store, range(count + 2))
    case.promote(store, 0, None)
    case.promote(store, 1, 1)
    for turn in range(2, count + 2):
        kind, work = task_of(case, store, turn, luck)
        number, after = luck.randint(1, {"promote": 11, "rollback": 7}.get(kind, 5)), luck.random() < 0.5
        seen[f"{kind}: {killed(case, work, number, after, really=real > 0 and turn % real == 0)}"] += 1
        fate = luck.choice(["again", "again", "other", "both"])
        if fate != "again":
            finish_unfinished(store.registry, store.trail, **case.who(-1), **AT_ONCE)
        if fate != "other":
            try:
                work(case.store())
            except StaleDecisionError as error:
                seen[f"{kind}, tried again: {error.problems[0].code}"] += 1
        if turn % 25 == 0:
            print(f"{turn} of {count}: {dict(sorted(seen.items()))}", file=sys.stderr, flush=True)
        problems = [
            problem
            for problem in case.wrong(store)
            # what a killed task leaves that nobody tries again: the status or alias of a version that does not serve
            if fate != "other" or not ("tag mlops.status" in problem or kind == "challenge")
        ]
        if problems:
            report("kills", turn=turn, kind=kind, number=number, after=after, fate=fate, wrong=problems)
            return
        if fate == "other":
            try:
                work(case.store())
            except StaleDecisionError as error:
                seen[f"{kind}, tried much later: {error.problems[0].code}"] += 1
    report(
        "kills",
        turns=count,
        seen=dict(sorted(seen.items())),
        wrong=case.wrong(store),
        events=len(store.trail.events(case.name)),
    )


def killed(case: Case, work: Callable[[MLflowStore], Any], number: int, after: bool, *, really: bool) -> str:
    if really:

        def deadly() -> None:
            kill_at(number, "after" if after else "before")
            work(case.store())

        code = in_child(deadly)[0]
        return {KILLED: "SIGKILL", 0: "through"}.get(code, f"exit {code}")
    try:
        with dying(number, after):
            work(case.store())
    except Cut:
        return "cut"
    return "through"


def broken_network(uri: str, count: int, seed: int) -> None:
    """The same through a proxy that answers 503, or loses half of an answer, one time in eight."""
    luck, case = random.Random(seed), Case(uri, f"network-{seed}")  # noqa: S311 - places to break
    store = MLflowStore.connect(uri)
    case.make(store, range(count))
    wild = False

    def refuses(method: str, path: str) -> int | None:
        return luck.choice([503, 0]) if wild and luck.random() < 1 / 8 else None

    seen = Counter[str]()
    with flaky_proxy(uri, refuses) as address:
        for turn in range(count):
            champion, wild = store.registry.alias(case.name, "champion"), True
            try:
                case.promote(case.store(address), turn, champion, **AT_ONCE)
                seen["through"] += 1
            except (StoreUnavailableError, RecordError, StaleDecisionError) as error:
                seen[str(error.problems[0].code)] += 1
            except Exception as error:  # noqa: BLE001 - what MLflow's client makes of half an answer
                seen[type(error).__name__] += 1
            wild = False
            case.promote(store, turn, champion, **AT_ONCE)
            if problems := case.wrong(store):
                report("network", turn=turn, wrong=problems)
                return
    report("network", turns=count, seen=dict(seen), wrong=[])


def main(uri: str, part: str, *numbers: str) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    {"race": race, "kills": kills, "network": broken_network}[part](uri, *map(int, numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
