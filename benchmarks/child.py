"""A measurement in a process of its own: nothing that ran before is in its memory, or already imported."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

SETTINGS = {
    "PYTHONDONTWRITEBYTECODE": "",  # as installed: modules are compiled once, not in every process
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
LIMIT_SECONDS = 300


def in_child(function: str, *, limit_seconds: float = LIMIT_SECONDS, **arguments: Any) -> dict[str, Any]:
    """Call `benchmarks.<module>:<function>` in a fresh interpreter; return the JSON that it returned."""
    command = [sys.executable, "-m", "benchmarks.child", function, json.dumps(arguments)]
    return run(command, limit_seconds=limit_seconds)


def run(
    command: list[str], environment: dict[str, str] | None = None, *, limit_seconds: float = LIMIT_SECONDS
) -> dict[str, Any]:
    """Run a command and return the JSON object on its last line.

    Raises
    ------
    RuntimeError
        If the command fails; with the end of what it said.
    """
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=limit_seconds,
        env=os.environ | SETTINGS | (environment or {}),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[-2:])} failed:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measured(work: Callable[[], int]) -> dict[str, Any]:
    """Run `work`, which returns its number of rows; its imports are done before, by the caller.

    Memory is the peak resident set of the process in MB; `base` is the peak before the work began.
    """
    base = peak_mb()
    began = time.perf_counter()
    rows = work()
    seconds = time.perf_counter() - began
    return {"rows": rows, "seconds": seconds, "rows_per_second": rows / seconds, "base_mb": base, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Largest resident set of this program so far.

    Not getrusage's where it can be helped: on Linux, that begins with what the parent held when it started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6  # it says kB, and means KiB
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def enter_loop_home(folder: str) -> Path:
    """Make a folder the home of a loop with MLflow's database in it, with the loop's libraries imported; return it."""
    root = Path(folder)
    os.environ |= {
        "AIRFLOW_HOME": str(root),
        "AIRFLOW__MLOPS__STORAGE": str(root / "storage"),
        "AIRFLOW__MLOPS__DATA_ROOT": str(root),
        "AIRFLOW_CONN_MLFLOW_DEFAULT": f'{{"conn_type": "mlflow", "host": "sqlite:///{root}/mlflow.db"}}',
    }
    os.chdir(root)  # MLflow without a server keeps artifacts below the working directory
    from airflow_mlops.preload import preload

    assert not preload(), "a library of the loop cannot be imported"
    return root


def main() -> None:
    """Call the function that the command line names, and print what it returns."""
    module, function = sys.argv[1].split(":")
    print(json.dumps(getattr(import_module(f"benchmarks.{module}"), function)(**json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
