"""The demo: ten months of real flights through the whole loop, on the real stack.

Nothing here trains, judges or decides: it asks Airflow for runs, waits, and reads back what they left in MLflow.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlops.cli.screen import Screen
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.performance import PerformanceReport
from airflow_mlops.core.records.predictions import Predictions
from airflow_mlops.core.records.retraining import RetrainDecision
from dev.demo import flights
from dev.demo.results import LoopResult, read_result, table
from dev.errors import DevError
from dev.stack.dag_runs import Runs
from dev.stack.home import Home
from dev.stack.process import memory
from dev.stack.supervisor import Stack, addresses

if TYPE_CHECKING:
    from airflow_mlops.spec import ModelSpec

MODEL = "flight_delay"
MONTHS = [datetime(2013, month, 1, tzinfo=UTC) for month in range(3, 12)]
"""As-of times of the backfill."""
WATCHED = [datetime(2013, 12, 18, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)]
"""As-of times of scoring and monitoring: the middle and the end of December. One window is not a trend."""
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


def run_demo(home: Home, dags: Path) -> int:
    """Bring the stack up, run the demo, and stop what was started, also on Ctrl-C and on failure."""
    screen = Screen()
    path = dags / "models" / f"{MODEL}.yaml"
    if not path.exists():
        raise DevError(f"there is no {path}: run this in the project's folder, or give --dags")
    with home.lock():
        stack = Stack(home, screen.say)
        screen.status("building the flights data")
        flights.build(home.data)
        screen.say(f"flights data is in {home.data / 'flights'}")
        screen.status("starting PostgreSQL, MLflow and Airflow")
        started = stack.up(dags, "demo")
        try:
            _Demo(stack, screen, path).run()
            share, resident = memory(stack.running.services)
            screen.say(
                f"{screen.seconds:.0f} s in all; the stack's memory is {share / 1e9:.2f} GB "
                f"(shared pages counted once; {resident / 1e9:.2f} GB when counted in every process)"
            )
        finally:
            screen.clear()
            if started:
                screen.status("stopping the stack")
                stack.down()
                screen.say("everything that was started is stopped")
        kept = f"all of it is kept in {home.root}: 'make up' brings the pages back to look at, 'make clean' deletes it"
        screen.say(kept if started else addresses(stack.running))
    return 0


class _Demo:
    def __init__(self, stack: Stack, screen: Screen, path: Path) -> None:
        from airflow_mlops.spec import load_spec
        from airflow_mlops.stores.mlflow.client import connect
        from airflow_mlops.stores.mlflow.errors import Address
        from airflow_mlops.stores.mlflow.store import MLflowStore

        os.environ.update(_QUIET)
        self._stack = stack
        self._screen = screen
        self._spec: ModelSpec = load_spec(path)
        self._runs = Runs(stack.api(), stack.home, self._tick)
        self._client = connect(Address(uri=stack.running.mlflow_url))
        self._records = MLflowStore(self._client)
        self._results: list[LoopResult] = []

    def run(self) -> None:
        """Backfill, score, monitor, and follow the retraining that drift causes."""
        train, score, monitor = (f"{self._spec.name}.{loop}" for loop in ("train", "score", "monitor"))
        for dag_id in (train, score, monitor):
            self._runs.wait_for_dag(dag_id)
        self._screen.say(f"{train}: {len(MONTHS)} months, from {MONTHS[0]:%B} to {MONTHS[-1]:%B %Y}")
        self._runs.backfill(train, MONTHS[0].isoformat(), MONTHS[-1].isoformat())
        for run in self._runs.backfilled(train, len(MONTHS)):
            self._report(run)
        for as_of in WATCHED:
            self._score(score, as_of)
            self._monitor(monitor, as_of)
        self._screen.say()
        for line in table([result.cells for result in self._results]):
            self._screen.say(line)
        self._screen.say()

    def _score(self, dag_id: str, as_of: datetime) -> None:
        run_id = self._trigger(dag_id, as_of)
        scored = Predictions.from_json(self._runs.result(dag_id, run_id, "score"))
        flights_scored = f"{scored.rows:,} flights of {scored.window} scored"
        self._screen.say(f"{dag_id}: {flights_scored} with version {scored.version}: {scored.uri}")

    def _monitor(self, dag_id: str, as_of: datetime) -> None:
        run_id = self._trigger(dag_id, as_of)
        report = DriftReport.from_json(self._runs.result(dag_id, run_id, "drift"))
        drifted = [column for column in report.columns if column.verdict == "drift" and column.psi is not None]
        psi = ", ".join(f"{column.column} {column.psi:.2f}" for column in drifted)
        against = f"against version {report.champion_version}" + (f" (PSI: {psi})" if psi else "")
        self._screen.say(f"{dag_id}: {report.verdict} {against}")
        performance = PerformanceReport.from_json(self._runs.result(dag_id, run_id, "performance"))
        self._screen.say(f"{dag_id}: {performance.verdict}, because {performance.reasons[0]}")
        decision = RetrainDecision.from_json(self._runs.result(dag_id, run_id, "retrain"))
        self._screen.say(f"{dag_id}: {decision.action}, because {decision.reasons[0]}")
        if decision.action == "retrain":
            self._report(self._runs.caused(dag_id, run_id))

    def _trigger(self, dag_id: str, as_of: datetime) -> str:
        run_id = f"demo_{as_of:%Y-%m-%d}"
        self._runs.trigger(dag_id, run_id, {"as_of": as_of.isoformat()})
        return run_id

    def _report(self, run: dict[str, object]) -> None:
        result = read_result(run, self._runs.seconds(run), self._spec, self._records, self._client)
        self._results.append(result)
        self._screen.say(result.line)

    def _tick(self, doing: str) -> None:
        self._stack.check()
        self._screen.status(doing)
