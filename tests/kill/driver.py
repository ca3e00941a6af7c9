"""Runs a loop's effects against a real MLflow server in forked processes that are killed on the way.

Started by the tests in a process of its own, because it forks: libraries are imported and the model is trained once,
then each case costs a fork. The parent opens no connection and no thread. The patch that kills is in here; the product
knows nothing of it. Prints one JSON line for each case.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests

from airflow_mlops.core.profiles.build import build_profile
from airflow_mlops.core.promotion.promote import challenge, promote
from airflow_mlops.core.promotion.rollback import rollback
from airflow_mlops.core.promotion.verify import verify_trail
from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.decision import GateDecision, Verdict
from airflow_mlops.core.records.promotion import Approval
from airflow_mlops.core.records.retraining import History, MonitoringInput
from airflow_mlops.core.retraining import decide_and_log
from airflow_mlops.stores.mlflow.store import MLflowStore
from airflow_mlops.stores.model_files.format import environment, write_model
from tests.support import retrain_cases
from tests.support.loop_parts import AS_OF, decision_of, fitted_of, snapshot_of, spec_of

READS = ("/runs/search", "/logged-models/search")
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Case:
    """One registered model of its own name, so that cases do not see each other; the loop run is `<runs>.train/r1`."""

    uri: str
    name: str
    runs: str
    champion_before: bool = False
    verdict: Verdict = Verdict.ACCEPT

    def record(self, loop: str = "r1", months: int = 0, champion: int | None = None) -> tuple[Candidate, GateDecision]:
        """What the train and gate tasks do with MLflow."""
        store, spec, fitted = MLflowStore.connect(self.uri), spec_of(), fitted_of()
        snapshot = replace(snapshot_of(), as_of=AS_OF + timedelta(days=30 * months))
        loop_run = f"{self.runs}.train/{loop}"
        inputs = f"{snapshot.fingerprint}/{spec.fingerprint}"
        run_id = store.runs.open_run(self.runs, loop_run, model="toy", inputs=inputs, tags={"mlops.try_number": "1"})
        profile = build_profile(spec.name, fitted.train_frame, fitted.features, fitted.train)
        candidate = store.candidates.record_candidate(
            run_id, fitted, snapshot, spec, loop_run=loop_run, provenance={}, profile=profile
        )
        decision = decision_of(candidate, champion, self.verdict if loop == "r1" else Verdict.ACCEPT)
        store.decisions.record_decision(run_id, decision, page_html="<p>because</p>")
        return candidate, decision

    def promote(self, loop: str = "r1") -> None:
        """What the promote task does with MLflow."""
        store = MLflowStore.connect(self.uri)
        run_id = store.runs.open_run(self.runs, f"{self.runs}.train/{loop}", model="toy")
        record = promote(
            store.decisions.decision(run_id),
            store.candidates.candidate(run_id),
            store.registry,
            store.trail,
            **self.who(),
            tags={"who": "test"},
        )
        store.decisions.record_promotion(run_id, record)

    def who(self) -> dict[str, Any]:
        return {"registered_model": self.name, "by": "airflow:test", "now": AS_OF}

    def challenge(self) -> None:
        """What the approval task does with MLflow before it waits."""
        store = MLflowStore.connect(self.uri)
        run_id = store.runs.open_run(self.runs, f"{self.runs}.train/r1", model="toy")
        challenge(
            store.decisions.decision(run_id),
            store.candidates.candidate(run_id),
            store.registry,
            store.trail,
            **self.who(),
        )

    def decline(self) -> None:
        """What the promote task does with MLflow after a person said no."""
        store = MLflowStore.connect(self.uri)
        run_id = store.runs.open_run(self.runs, f"{self.runs}.train/r1", model="toy")
        decision = store.decisions.decision(run_id)
        no = Approval(model="toy", run_id=run_id, decision=decision.digest, approved=False, by="ada", at=AS_OF)
        store.decisions.record_approval(run_id, no)
        promote(
            decision, store.candidates.candidate(run_id), store.registry, store.trail, **self.who(),
            approval=store.decisions.approval(run_id), approval_needed=True,
        )  # fmt: skip

    def roll_back(self) -> None:
        """What the rollback task does with MLflow."""
        store = MLflowStore.connect(self.uri)
        rollback(store.registry, store.trail, **self.who(), reason="it was worse", request="d/r/rollback")

    def retrain(self) -> None:
        """What the retrain task, and then the snapshot task of the run that its event causes, do with MLflow."""
        store, spec = MLflowStore.connect(self.uri), retrain_cases.spec(monitoring={"drift": {"violations": 1}})
        spec = spec.model_copy(update={"name": self.name})
        candidate = replace(retrain_cases.CHAMPION.candidate, model=self.name)
        champion = replace(retrain_cases.CHAMPION, model=self.name, candidate=candidate)
        seen = MonitoringInput(drift=replace(retrain_cases.drift(), model=self.name))
        log, as_of = store.retraining_log, retrain_cases.NOW
        decision = decide_and_log(log, spec, champion, seen, History(), as_of)
        store.windows.record_retraining(self.runs, decision)
        log.claim(self.name, decision.key, f"{self.runs}.train/r1")

    def look_at_log(self) -> dict[str, Any]:
        """What stands of the decision, seen with MLflow's own client where it counts runs."""
        from mlflow import MlflowClient

        client, store = MlflowClient(self.uri), MLflowStore.connect(self.uri)
        decided = store.retraining_log.decisions(self.name)
        logs = client.get_experiment_by_name("mlops retraining").experiment_id
        logged = [run for run in client.search_runs([logs], max_results=1000) if run.data.params]
        runs = client.search_runs([client.get_experiment_by_name(self.runs).experiment_id])
        windows = [run.info.run_id for run in runs if run.data.tags["mlops.kind"] == "monitoring"]
        texts = [store.artifacts.read_text(run_id, "monitoring/retraining.json") for run_id in windows]
        return {
            "decisions": [[one.number, one.action, one.signal] for one in decided],
            "claims": [holder for _, holder in sorted(store.retraining_log.claims(self.name).items())],
            "claimed": [one.key for one in decided] == list(store.retraining_log.claims(self.name)),
            "series": len(runs) - len(windows),
            # who is killed before a new run became the log leaves that run, empty
            "logs": sum(run.data.tags["mlops.retraining_log_of"] == self.name for run in logged),
            "windows": [json.loads(text)["number"] for text in texts],
        }

    def prepare(self) -> None:
        """Two champions before, so that displacing one also moves on the one before it."""
        if self.champion_before:
            self.promote("r-2")
            self.promote("r-1")

    def prepare_runs(self) -> None:
        """The runs that every case of a promotion is about: they can be registered under many names."""
        self.record("r-2", months=-2)
        self.record("r-1", months=-1, champion=1)
        self.record(champion=2 if self.champion_before else None)

    def whole(self) -> None:
        self.record()
        self.promote()

    def look(self) -> dict[str, Any]:
        """What stands in MLflow, seen with MLflow's own client."""
        from mlflow import MlflowClient

        client, store = MlflowClient(self.uri), MLflowStore.connect(self.uri)
        experiment = client.get_experiment_by_name(self.runs).experiment_id
        runs = [
            run
            for run in client.search_runs([experiment])
            if run.data.tags["mlops.loop_run"] == f"{self.runs}.train/r1"
        ]
        versions = {int(v.version): v for v in client.search_model_versions(f"name = '{self.name}'")}
        aliases = {name: int(v) for name, v in client.get_registered_model(self.name).aliases.items()}
        mine = [number for number, version in versions.items() if version.run_id == runs[0].info.run_id]
        models = client.search_logged_models([experiment], filter_string=f"source_run_id = '{runs[0].info.run_id}'")
        champion = store.registry.champion(self.name)
        return {
            "runs": len(runs),
            "status": runs[0].info.status,
            "versions": len(versions),
            "mine": mine,
            "aliases": aliases,
            "statuses": {number: version.tags.get("mlops.status") for number, version in versions.items()},
            "models": len(models),
            "model_status": [str(model.status) for model in models],
            "candidate_is_that_model": [f"models:/{m.model_id}" for m in models]
            == [store.candidates.candidate(runs[0].info.run_id).model_uri],
            "outputs": len({output.model_id for output in runs[0].outputs.model_outputs}),
            "champion_record": champion is not None and champion.version == aliases.get("champion"),
            "verdict": store.decisions.decision(runs[0].info.run_id).verdict,
            "wrong": [str(problem) for problem in verify_trail(store.registry, store.trail, self.name)],
            "events": [[event.kind, event.version] for event in store.trail.events(self.name)],
            "profile": store.lineage.profile(runs[0].info.run_id).rows > 0,
            "version_digest": [versions[n].tags["mlops.decision_digest"] for n in mine]
            == [store.decisions.decision(runs[0].info.run_id).digest],
        }


def writes(request: requests.PreparedRequest) -> bool:
    return request.method != "GET" and not request.path_url.split("?")[0].endswith(READS)


def kill_at(number: int, moment: str) -> None:
    """From now on this process dies at its `number`-th writing request, before it is sent or after its answer."""
    send, count = requests.Session.send, 0

    def deadly(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        nonlocal count
        if not writes(request):
            return send(self, request, **options)
        count += 1
        due = count == number
        if due and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = send(self, request, **options)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    requests.Session.send = deadly  # type: ignore[method-assign]


def send_twice() -> None:
    """From now on every writing request is sent again, as if its first answer had been lost."""
    send = requests.Session.send

    def twice(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if writes(request) and request.method == "POST":
            send(self, request, **options).close()
        return send(self, request, **options)

    requests.Session.send = twice  # type: ignore[method-assign]


def in_child(work: Callable[[], Any]) -> tuple[int, Any]:
    """Do `work` in a forked process; return its exit code (negative: the signal) and what it returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            os.write(writing, json.dumps(work()).encode())
            code = 0
        except BaseException:  # noqa: BLE001 - a forked child must never return into the parent's code
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, json.loads(said) if said else None


def report(part: str, case: Case, **facts: Any) -> None:
    code, seen = in_child(case.look_at_log if part.startswith("retrain") else case.look)
    print(json.dumps({"part": part, "case": case.name, "look": code, **facts, "seen": seen}), flush=True)


def kill_everywhere(part: str, case_at: Callable[[int], Case], work: str, again: str) -> None:
    """Kill at every writing request of `work` until it gets through; after each, do `again` and look."""
    for number in range(1, 200):
        case = case_at(number)
        prepared = in_child(case.prepare)[0]

        def deadly(case: Case = case, number: int = number) -> None:
            kill_at(number, part.rpartition("-")[2])
            getattr(case, work)()

        first = in_child(deadly)[0]
        second = in_child(getattr(case, again))[0]
        report(part, case, prepared=prepared, first=first, again=second, number=number)
        if first != KILLED:
            return


def warm() -> None:
    """Train, and import what the children will use: all without a connection."""
    import mlflow.artifacts  # noqa: F401 - imported for the children
    from mlflow.entities import LoggedModel

    environment()
    logged = LoggedModel("0", "m-0", "model", "/nowhere", 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder) / "model", fitted_of(), spec_of(), run_id="0", logged=logged)


def recording(uri: str, part: str) -> None:
    """Kills while the run, the candidate and the decision are written, each in an experiment of its own."""
    kill_everywhere(part, lambda n: Case(uri, f"{part}-{n}", f"{part}-{n}"), "record", "whole")


def promoting(uri: str, part: str) -> None:
    """Kills while one candidate is promoted, challenged or declined, under a registered name of its own each time."""
    label, verdict, _ = part.split("-")
    work = {"challenging": "challenge", "declining": "decline"}.get(label, "promote")
    shared = Case(uri, "", part, label != "first", Verdict(verdict))
    prepared = in_child(shared.prepare_runs)[0]
    if prepared:
        raise SystemExit(prepared)
    kill_everywhere(part, lambda n: replace(shared, name=f"{part}-{n}"), work, work)


def rolling_back(uri: str, part: str) -> None:
    """Kills while the champion is rolled back to the one before it."""
    shared = Case(uri, "", part, champion_before=True)
    prepared = in_child(shared.prepare_runs)[0]
    if prepared:
        raise SystemExit(prepared)
    kill_everywhere(part, lambda n: replace(shared, name=f"{part}-{n}"), "roll_back", "roll_back")


def retraining(uri: str, part: str) -> None:
    """Kills while a retraining is decided, written down and taken up, in a log of its own each time."""
    kill_everywhere(part, lambda n: Case(uri, f"{part}_{n}".replace("-", "_"), f"{part}-{n}"), "retrain", "retrain")


def doubling(uri: str, part: str) -> None:
    """The whole flow with every POST delivered twice."""
    case = Case(uri, "doubled", "doubled")

    def doubled() -> None:
        send_twice()
        case.whole()

    first = in_child(doubled)[0]
    report(part, case, prepared=0, first=first, again=in_child(case.whole)[0], number=1)


def main(uri: str, *parts: str) -> None:
    warm()
    kinds = {"record": recording, "rollback": rolling_back, "retrain": retraining, "doubled": doubling}
    for part in parts:
        kinds.get(part.partition("-")[0], promoting)(uri, part)


if __name__ == "__main__":
    main(*sys.argv[1:])
