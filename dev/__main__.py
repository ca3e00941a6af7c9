"""`python -m dev demo|up|down|status|shell`, and `airflow`: Airflow's own commands against the stack that is up."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from dev.errors import DevError
from dev.stack import services
from dev.stack.home import Home, State
from dev.stack.supervisor import Stack, addresses


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m dev", description=__doc__)
    parser.add_argument("command", choices=sorted([*_COMMANDS, "airflow"]))
    parser.add_argument("--home", type=Path, default=Path(".local"), help="where everything is kept (default: .local)")
    parser.add_argument("--dags", type=Path, default=Path("dags"), help="Airflow's DAG folder (default: dags)")
    words = sys.argv[1:] if arguments is None else arguments
    cut = words.index("--") if "--" in words else len(words)  # what follows are the words of Airflow's command
    given = parser.parse_args(words[:cut])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    home = Home(given.home.expanduser().resolve())
    try:
        if given.command == "airflow":
            _airflow(home, words[cut + 1 :])
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
        _say(addresses(stack.running))
        _say(f"commands {home.program} mlops status   (or: make shell)")
    return 0


def _down(home: Home, _: Path) -> int:
    stopped: list[str] = []
    if home.root.is_dir():
        with home.lock():
            stopped = Stack(home, _say).down()
    _say(f"stopped {', '.join(stopped)}" if stopped else "nothing to stop")
    return 0


def _status(home: Home, _: Path) -> int:
    state = State.load(home)
    if state is None or not state.services:
        _say("down")
        return 1
    alive = [service.alive for service in state.services]
    for service, up in zip(state.services, alive, strict=True):
        _say(f"{service.name:14} {'up  ' if up else 'DEAD'} pid {service.pid:<8} {service.log}")
    _say(addresses(state))
    return 0 if all(alive) else 1


def _demo(home: Home, dags: Path) -> int:
    from dev.demo.run import run_demo

    return run_demo(home, dags)


def _shell(home: Home, _: Path) -> int:
    state = _running(home)
    shell = os.environ.get("SHELL") or "/bin/sh"
    _say(addresses(state))
    _say("in this shell `airflow` is the stack's: airflow mlops status; `exit` leaves it, and the stack stays up")
    environment = services.airflow(home, state)
    path = os.pathsep.join([str(home.program.parent), environment["PATH"]])
    os.execve(shell, [shell], environment | {"PATH": path})  # noqa: S606 - the person's own shell


def _airflow(home: Home, words: list[str]) -> NoReturn:
    environment = services.airflow(home, _running(home))
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *words], environment)  # noqa: S606 - as it was asked


def _running(home: Home) -> State:
    """Return the state of a stack whose processes all live.

    Raises
    ------
    DevError
        If there is none: without it, Airflow would make a database of its own and answer from that.
    """
    state = State.load(home)
    dead = [] if state is None else [service.name for service in state.services if not service.alive]
    if state is None or not state.services or dead:
        why = f"{', '.join(dead)} died" if dead else "nothing runs there"
        raise DevError(f"the stack in {home.root} is not up ({why}): bring it up with `make up`")
    return state


_COMMANDS = {"demo": _demo, "up": _up, "down": _down, "shell": _shell, "status": _status}

if __name__ == "__main__":
    sys.exit(main())
