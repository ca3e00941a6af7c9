"""Airflow's runs, seen from outside: start them, follow them to their end, and say why one failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from dev.errors import DevError
from dev.stack.airflow_api import AirflowApi, ApiError, Json, run_path
from dev.stack.home import Home

_ENDED = frozenset({"success", "failed"})
_ACTIVE = frozenset({"running", "queued", "up_for_retry", "deferred"})
_POLL = 0.7
_LINES = 15
Tick = Callable[[str], None]
"""Called about once a second with what is going on; raises when the stack has a reason to give up."""


class Runs:
    """Runs of Airflow's DAGs."""

    def __init__(self, api: AirflowApi, home: Home, tick: Tick) -> None:
        self.api = api
        self._home = home
        self._tick = tick

    def wait_for_dag(self, dag_id: str, *, seconds: float = 90) -> None:
        """Wait until the DAG processor has read the DAG, and switch it on.

        Raises
        ------
        DevError
            If it does not appear; with the import errors of the DAG files, if there are any.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.api.patch(f"/dags/{quote(dag_id)}", {"is_paused": False})
                return
            except ApiError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
            broken = self.api.get("/importErrors")["import_errors"]
            errors = [f"{error['filename']}:\n{error['stack_trace']}" for error in broken]
            if errors or time.monotonic() > deadline:
                raise DevError("\n".join([f"Airflow has no DAG {dag_id}", *errors]))
            self._pause(f"waiting for Airflow to read {dag_id}")

    def backfill(self, dag_id: str, start: str, end: str) -> None:
        """Ask for the runs of all slots from `start` to `end`; those that ended well are not run again.

        A backfill that an earlier command left unfinished is ended first, with its run that is under way: Airflow
        allows one backfill at a time, that one would never repeat its failed slots, and a later slot must not overtake
        an earlier one, because a champion's as-of time never moves backwards.
        """
        for backfill in self.api.get("/backfills", dag_id=dag_id)["backfills"]:
            if backfill["completed_at"] is None:
                self.api.put(f"/backfills/{backfill['id']}/cancel")
        for run in self._backfill_runs(dag_id, state="running"):
            self.api.patch(run_path(dag_id, run["dag_run_id"]), {"state": "failed"})
        slots = {"dag_id": dag_id, "from_date": start, "to_date": end}
        self.api.post("/backfills", {**slots, "max_active_runs": 1, "reprocess_behavior": "failed"})

    def backfilled(self, dag_id: str, count: int) -> Iterator[Json]:
        """Yield the backfill's runs, each when it has ended, in the order of their logical dates, until `count`."""
        yielded = 0
        while yielded < count:
            runs = self._backfill_runs(dag_id, order_by="logical_date")
            if len(runs) <= yielded:
                self._pause(f"{dag_id}: waiting for the scheduler")
            elif runs[yielded]["state"] in _ENDED:
                yield self.succeeded(runs[yielded])
                yielded += 1
            else:
                self._pause(self._doing(runs[yielded]))

    def trigger(self, dag_id: str, run_id: str, conf: Json) -> Json:
        """Run a DAG to its end under a fixed run id; if that run ended well before, return it as it is."""
        self.start(dag_id, run_id, conf)
        return self.follow(dag_id, run_id)

    def start(self, dag_id: str, run_id: str, conf: Json) -> None:
        """Start a run under a fixed run id, or again if it failed; nothing happens if it is there already."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        try:
            self.api.post(f"/dags/{quote(dag_id)}/dagRuns", body)
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            if self.api.get(run_path(dag_id, run_id))["state"] == "failed":
                self.api.post(f"{run_path(dag_id, run_id)}/clear", {"dry_run": False, "only_failed": True})

    def follow(self, dag_id: str, run_id: str) -> Json:
        """Wait for the end of a run and return it.

        Raises
        ------
        DevError
            If it failed; see :meth:`succeeded`.
        """
        while (run := self.api.get(run_path(dag_id, run_id)))["state"] not in _ENDED:
            self._pause(self._doing(run))
        return self.succeeded(run)

    def caused(self, dag_id: str, run_id: str, *, seconds: float = 60) -> Json:
        """Return the run that an asset event of this run has caused, when it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            events = self.api.get("/assets/events", source_dag_id=dag_id, source_run_id=run_id)["asset_events"]
            created = [run for event in events for run in event["created_dagruns"]]
            if created:
                return self.follow(created[0]["dag_id"], created[0]["run_id"])
            self._pause(f"waiting for the run that {dag_id} asked for")
        raise DevError(f"no run followed the asset event of {dag_id} {run_id} within {seconds:.0f} s")

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task returned."""
        path = f"{run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/return_value"
        return self.api.get(path, deserialize="true")["value"]

    def succeeded(self, run: Json) -> Json:
        """Return the run if it ended well.

        Raises
        ------
        DevError
            With the task that failed, the end of what it said, and where its log is.
        """
        if run["state"] == "success":
            return run
        dag_id, run_id = run["dag_id"], run["dag_run_id"]
        task = next((task for task in self.tasks(dag_id, run_id) if task["state"] == "failed"), None)
        if task is None:
            raise DevError(f"{dag_id} {run_id} failed, and no task of it: see {self._home.log('scheduler')}")
        place = f"dag_id={dag_id}/run_id={run_id}/task_id={task['task_id']}/attempt={task['try_number']}.log"
        lines = "\n".join(f"  {line}" for line in self._last_lines(dag_id, run_id, task))
        log = self._home.airflow / "logs" / place
        raise DevError(f"task {task['task_id']} of {dag_id} ({run_id}) failed:\n{lines}\n  whole log: {log}")

    def seconds(self, run: Json) -> float:
        """Return the time from the start of a run's first task to the end of its last."""
        tasks = self.tasks(run["dag_id"], run["dag_run_id"])
        ran = [task for task in tasks if task["start_date"] and task["end_date"]]
        first = min(datetime.fromisoformat(task["start_date"]) for task in ran)
        last = max(datetime.fromisoformat(task["end_date"]) for task in ran)
        return (last - first).total_seconds()

    def tasks(self, dag_id: str, run_id: str) -> list[Json]:
        """Return the task instances of a run."""
        tasks: list[Json] = self.api.get(f"{run_path(dag_id, run_id)}/taskInstances")["task_instances"]
        return tasks

    def _backfill_runs(self, dag_id: str, **query: str) -> list[Json]:
        path = f"/dags/{quote(dag_id)}/dagRuns"
        runs: list[Json] = self.api.get(path, run_type="backfill", limit=100, **query)["dag_runs"]
        return runs

    def _last_lines(self, dag_id: str, run_id: str, task: Json) -> list[str]:
        """Return the end of a task's log: its errors, without tracebacks, if it has any."""
        path = f"{run_path(dag_id, run_id)}/taskInstances/{quote(task['task_id'])}"
        entries = self.api.get(f"{path}/logs/{max(task['try_number'], 1)}", full_content="true")["content"]
        errors = [entry for entry in entries if entry.get("level") in {"error", "critical"}]
        lines: list[str] = []
        for entry in errors or entries:
            causes = entry.get("error_detail") or ()
            # the first is what was raised; the causes behind it, and the traceback, are in the whole log
            text = f"{causes[0]['exc_type']}: {causes[0]['exc_value']}" if causes else str(entry["event"])
            lines += text.splitlines()
        return lines[-_LINES:]

    def _doing(self, run: Json) -> str:
        about = run["dag_id"] + (f" as of {run['logical_date'][:10]}" if run.get("logical_date") else "")
        tasks = self.tasks(run["dag_id"], run["dag_run_id"])
        active = [f"{task['task_id']} {task['state']}" for task in tasks if task["state"] in _ACTIVE]
        return f"{about}: {', '.join(active) or run['state']}"

    def _pause(self, doing: str) -> None:
        self._tick(doing)
        time.sleep(_POLL)
