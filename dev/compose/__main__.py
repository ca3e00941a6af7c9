"""`python -m dev.compose demo|processes`: the demo of compose.yaml, with a container engine or without one."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from dev.compose import demo
from dev.errors import DevError


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev.compose", description=__doc__)
    parser.add_argument("command", choices=["demo", "processes"])
    parser.add_argument("--dags", type=Path, default=Path("dags"), help="Airflow's DAG folder (default: dags)")
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        if given.command == "demo":
            demo.with_engine(os.environ, _say)
        else:
            with tempfile.TemporaryDirectory(prefix="mlops-processes-") as folder:
                demo.as_processes(Path(folder), given.dags.resolve(), _say)
    except DevError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
