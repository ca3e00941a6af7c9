"""The loop's task seconds, as Airflow records them, with warm and with cold workers, against the same core calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from benchmarks.child import in_child
from benchmarks.report import Table
from dev.demo import flights
from dev.stack.airflow_api import run_path
from dev.stack.dag_runs import Runs
from dev.stack.home import Home
from dev.stack.supervisor import Stack

DAGS = Path(__file__).parents[1] / "dags"
MODEL = "flight_delay"
BEFORE, MONTH = "2013-03-01T00:00:00+00:00", "2013-04-01T00:00:00+00:00"
"""As-of times: the first makes a champion, the second is measured, and judges against that champion."""
STAGES = (
    ("train", "snapshot"),
    ("train", "validate"),
    ("train", "train"),
    ("train", "gate"),
    ("train", "promote"),
    ("score", "score"),
    ("monitor", "drift"),
    ("monitor", "performance"),
    ("monitor", "retrain"),
)
GOAL_RATIO = 1.5
GOAL_SECONDS = {"validate": 1.0, "gate": 1.0, "promote": 1.0}


def measure() -> tuple[Table, dict[str, Any]]:
    """Run one month on the real stack, twice, and in one plain process."""
    spec = str(DAGS / "models" / f"{MODEL}.yaml")
    with TemporaryDirectory(prefix="mlops-bench-") as folder:
        root = Path(folder)
        flights.build(root / "data")
        arguments: dict[str, Any] = {"folder": folder, "spec": spec, "as_of": [BEFORE, MONTH]}
        cold, _ = _on_stack(root, "cold", preload=False)
        # while the stack is up, and at rest: the plain process records in the same MLflow
        warm, recorded = _on_stack(
            root, "warm", preload=True, then=lambda url: in_child("recorded:loop", mlflow_url=url, **arguments)
        )
        plain = in_child("plain:loop", **arguments)
    found = {"warm": warm, "cold": cold, "recorded": recorded["seconds"], "core": plain["seconds"]}
    total = {name: sum(seconds.values()) for name, seconds in found.items()}
    rows = [(task, *(_seconds(each.get(task)) for each in found.values()), _goal(task)) for _, task in STAGES]
    rows.append(("all tasks", *map(_seconds, total.values()), ""))
    ratios = {f"{one}/{other}": total[one] / total[other] for one in ("warm", "cold") for other in ("core", "recorded")}
    imports = (
        f"Both plain processes have imported everything before ({plain['import_seconds']:.1f} s, not counted); "
        "the core calls leave out MLflow's records and the reports."
    )
    warm_said = (
        f"Warm workers take {ratios['warm/core']:.2f} times the core calls (goal: at most {GOAL_RATIO}), and "
        f"{ratios['warm/recorded']:.2f} times the plain process that also records in MLflow."
    )
    table = Table(
        title="One month of flights: seconds of each task, start to end",
        heads=("task", "warm workers", "cold workers", "plain process with MLflow", "core calls alone", "goal, warm"),
        rows=tuple(rows),
        notes=(
            warm_said,
            f"Cold workers take {ratios['cold/core']:.2f} and {ratios['cold/recorded']:.2f} times.",
            imports,
        ),
    )
    figures = {"seconds": found, "import_seconds": plain["import_seconds"], "ratios": ratios, "goal_ratio": GOAL_RATIO}
    return table, figures


def _goal(task: str) -> str:
    return f"{GOAL_SECONDS[task]:.0f}" if task in GOAL_SECONDS else ""


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _on_stack(
    root: Path, name: str, *, preload: bool, then: Callable[[str], dict[str, Any]] = lambda _: {}
) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds of each task of the second month, and what `then` makes of the address of the stack's MLflow."""
    home = Home(root / name)
    home.make()
    home.data.rmdir()
    home.data.symlink_to(root / "data")
    (home.airflow / "airflow.cfg").write_text(f"[mlops]\npreload_workers = {preload}\n")
    stack = Stack(home, lambda line: print(f"  {name} workers: {line}", flush=True))
    with home.lock():
        stack.up(DAGS, "bench")
        try:
            return _month(Runs(stack.api(), home, lambda _: stack.check())), then(stack.running.mlflow_url)
        finally:
            stack.down()


def _month(runs: Runs) -> dict[str, float]:
    for loop in ("train", "score", "monitor"):
        runs.wait_for_dag(f"{MODEL}.{loop}")
    runs.trigger(f"{MODEL}.train", "before", {"as_of": BEFORE})
    seconds: dict[str, float] = {}
    for loop in ("train", "score", "monitor"):
        run = runs.trigger(f"{MODEL}.{loop}", "measured", {"as_of": MONTH})
        found = runs.api.get(f"{run_path(run['dag_id'], run['dag_run_id'])}/taskInstances")["task_instances"]
        seconds |= {task["task_id"]: _spent(task) for task in found if task["start_date"]}
    return seconds


def _spent(task: dict[str, Any]) -> float:
    if task["try_number"] > 1:
        raise RuntimeError(f"task {quote(task['task_id'])} was tried {task['try_number']} times: not comparable")
    began, ended = (datetime.fromisoformat(task[end]) for end in ("start_date", "end_date"))
    return (ended - began).total_seconds()
