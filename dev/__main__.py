"""`python -m dev demo|up|down|status`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from dev.errors import DevError
from dev.stack.home import Home, State
from dev.stack.supervisor import USER, Stack


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev", description=__doc__)
    parser.add_argument("command", choices=sorted(_COMMANDS))
    parser.add_argument("--home", type=Path, default=Path(".local"), help="where everything is kept (default: .local)")
    parser.add_argument("--dags", type=Path, default=Path("dags"), help="Airflow's DAG folder (default: dags)")
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    home = Home(given.home.expanduser().resolve())
    try:
        return _COMMANDS[given.command](home, given.dags.expanduser().resolve())
    except DevError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    print(line, flush=True)


def _up(home: Home, dags: Path) -> int:
    if not dags.is_dir():
        raise DevError(f"there is no DAG folder {dags}: run this in the project's folder, or give --dags")
    with home.lock():
        if (dags / "models" / "flight_delay.yaml").exists():
            from dev.demo import flights

            flights.build(home.data)
        stack = Stack(home, _say)
        _say("already up" if not stack.up(dags, "up") else "the stack is up and stays up; 'down' stops it")
        _addresses(stack.state)
    return 0


def _down(home: Home, dags: Path) -> int:
    del dags
    if not home.root.is_dir():
        _say("nothing to stop")
        return 0
    with home.lock():
        stopped = Stack(home, _say).down()
    _say(f"stopped {', '.join(stopped)}" if stopped else "nothing to stop")
    return 0


def _status(home: Home, dags: Path) -> int:
    del dags
    state = State.load(home) if home.root.is_dir() else None
    if state is None or not state.services:
        _say("down")
        return 1
    for service in state.services:
        _say(f"{service.name:14} {'up  ' if service.alive else 'DEAD'} pid {service.pid:<8} {service.log}")
    _addresses(state)
    return 0 if all(service.alive for service in state.services) else 1


def _demo(home: Home, dags: Path) -> int:
    from dev.demo.run import run_demo

    return run_demo(home, dags)


def _addresses(state: State | None) -> None:
    if state is not None:
        _say(f"Airflow  {state.airflow_url}   user {USER}   password {state.password}")
        _say(f"MLflow   {state.mlflow_url}")


_COMMANDS = {"demo": _demo, "up": _up, "down": _down, "status": _status}

if __name__ == "__main__":
    sys.exit(main())
