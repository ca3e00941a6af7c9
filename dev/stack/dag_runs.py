"""Airflow's runs, seen from outside: start them, follow them to their end, and say why one failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from dev.errors import DevError
from dev.stack.airflow_api import AirflowApi, ApiError, Json, run_path
from dev.stack.home import Home

_ENDED = frozenset({"success", "failed"})
_CONFLICT = 409
_NOT_FOUND = 404
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
                if error.status != _NOT_FOUND:
                    raise
            broken = self.api.get("/importErrors")["import_errors"]
            if broken or time.monotonic() > deadline:
                told = "\n".join(f"{one['filename']}:\n{one['stack_trace']}" for one in broken)
                raise DevError(f"Airflow has no DAG {dag_id}\n{told}".rstrip())
            self._tick(f"waiting for Airflow to read {dag_id}")
            time.sleep(_POLL)

    def backfill(self, dag_id: str, start: str, end: str) -> None:
        """Ask for the runs of all slots from `start` to `end`; those that ended well are not run again.

        A backfill that an earlier command left unfinished is ended first, with its run that is under way: Airflow
        allows one backfill at a time, that one would never repeat its failed slots, and a later slot must not overtake
        an earlier one, because a champion's as-of time never moves backwards.
        """
        for old in self.api.get("/backfills", dag_id=dag_id)["backfills"]:
            if old["completed_at"] is None:
                self.api.put(f"/backfills/{old['id']}/cancel")
        path = f"/dags/{quote(dag_id)}/dagRuns"
        for run in self.api.get(path, run_type="backfill", state="running", limit=100)["dag_runs"]:
            self.api.patch(run_path(dag_id, run["dag_run_id"]), {"state": "failed"})
        wanted = {"dag_id": dag_id, "from_date": start, "to_date": end, "max_active_runs": 1}
        self.api.post("/backfills", {**wanted, "reprocess_behavior": "failed"})

    def backfilled(self, dag_id: str, count: int) -> Iterator[Json]:
        """Yield the backfill's runs, each when it has ended, in the order of their logical dates, until `count`."""
        told: set[str] = set()
        while len(told) < count:
            found = self.api.get(
                f"/dags/{quote(dag_id)}/dagRuns", run_type="backfill", order_by="logical_date", limit=100
            )
            for run in found["dag_runs"]:
                if run["state"] not in _ENDED:
                    self._tick(self._doing(run))
                    break
                if run["dag_run_id"] not in told:
                    told.add(run["dag_run_id"])
                    yield self.succeeded(run)
            else:
                self._tick(f"{dag_id}: waiting for the scheduler")
            time.sleep(_POLL)

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
            if error.status != _CONFLICT:
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
            self._tick(self._doing(run))
            time.sleep(_POLL)
        return self.succeeded(run)

    def caused(self, dag_id: str, run_id: str, *, seconds: float = 60) -> Json:
        """Return the run that an asset event of this run has caused, when it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.api.get("/assets/events", source_dag_id=dag_id, source_run_id=run_id)["asset_events"]
            caused = [made for event in found for made in event["created_dagruns"]]
            if caused:
                return self.follow(caused[0]["dag_id"], caused[0]["run_id"])
            self._tick(f"waiting for the run that {dag_id} asked for")
            time.sleep(_POLL)
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
        failed = [task for task in self._tasks(run) if task["state"] == "failed"]
        if not failed:
            raise DevError(f"{dag_id} {run_id} failed, and no task of it: see {self._home.log('scheduler')}")
        task = failed[0]
        place = f"dag_id={dag_id}/run_id={run_id}/task_id={task['task_id']}/attempt={task['try_number']}.log"
        said = "\n".join(f"  {line}" for line in self._said(run, task))
        log = self._home.airflow / "logs" / place
        raise DevError(f"task {task['task_id']} of {dag_id} ({run_id}) failed:\n{said}\n  whole log: {log}")

    def _said(self, run: Json, task: Json) -> list[str]:
        path = f"{run_path(run['dag_id'], run['dag_run_id'])}/taskInstances/{quote(task['task_id'])}"
        content = self.api.get(f"{path}/logs/{max(task['try_number'], 1)}", full_content="true")["content"]
        loud = [entry for entry in content if entry.get("level") in {"error", "critical"}]
        lines: list[str] = []
        for entry in loud or content:
            causes = entry.get("error_detail") or ()
            # the first is what was raised; the causes behind it, and the traceback, are in the whole log
            said = f"{causes[0]['exc_type']}: {causes[0]['exc_value']}" if causes else str(entry["event"])
            lines += said.splitlines()
        return lines[-_LINES:]

    def _tasks(self, run: Json) -> list[Json]:
        tasks: list[Json] = self.api.get(f"{run_path(run['dag_id'], run['dag_run_id'])}/taskInstances")[
            "task_instances"
        ]
        return tasks

    def seconds(self, run: Json) -> float:
        """Return the time from the start of a run's first task to the end of its last."""
        tasks = [task for task in self._tasks(run) if task["start_date"] and task["end_date"]]
        first = min(datetime.fromisoformat(task["start_date"]) for task in tasks)
        last = max(datetime.fromisoformat(task["end_date"]) for task in tasks)
        return (last - first).total_seconds()

    def _doing(self, run: Json) -> str:
        about = run["dag_id"] + (f" as of {run['logical_date'][:10]}" if run.get("logical_date") else "")
        active = [
            task for task in self._tasks(run) if task["state"] in {"running", "queued", "up_for_retry", "deferred"}
        ]
        return f"{about}: " + (", ".join(f"{task['task_id']} {task['state']}" for task in active) or run["state"])
