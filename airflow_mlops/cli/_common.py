"""What the commands about models share: the system of record, who asks, and refusals as one sentence."""

from __future__ import annotations

import getpass
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_mlops.cli.printed import say
from airflow_mlops.core.text import visible
from airflow_mlops.redaction.raised import logging_no_secrets, raising_no_secrets

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_mlops.cli.screen import Screen
    from airflow_mlops.core.records.ownership import SpecIdentity
    from airflow_mlops.core.records.people import Person
    from airflow_mlops.stores.mlflow.store import MLflowStore

LONGEST_REASON = 200
"""Characters of a reason in a table: the comparison behind a promotion is to be read whole."""

LONGEST_WHO = 120
"""Characters of who did it in a table: a run, and the people behind it."""

INTERRUPTED = 130
"""Exit status of a command that Ctrl-C ended."""


def look_up_connections() -> None:
    """Let this process find Airflow's connections, as Airflow's own commands do: in its database too."""
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    # skops asks every loaded module for the names of numpy and scipy functions; Airflow's old names warn of that.
    warnings.filterwarnings("ignore", message="The `airflow[.].*is deprecated")


@contextmanager
def refusals_told(screen: Screen) -> Iterator[None]:
    """End a long command as it should: a refusal by its sentences and status 1, Ctrl-C by what comes of it and 130.

    Raises
    ------
    SystemExit
        As above.
    """
    from airflow_mlops.spec.problems import Refusal

    try:
        with logging_no_secrets(), raising_no_secrets():
            yield
    except Refusal as refusal:
        screen.clear()
        say(refusal, *getattr(refusal, "__notes__", ()), sep="\n  ", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        screen.clear()
        say("interrupted; the same command goes on where this one ended", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    screen.clear()


@contextmanager
def opened(conn_id: str, status: int = 1) -> Iterator[MLflowStore]:
    """Open the system of record; a refusal ends the command with its sentences.

    Parameters
    ----------
    conn_id
        Airflow connection of type mlflow.
    status
        Exit status of a refusal.

    Raises
    ------
    SystemExit
        When something is refused, or MLflow does not answer.
    """
    from airflow_mlops.spec.problems import Refusal

    look_up_connections()
    try:
        from airflow_mlops.hooks.mlflow import MLflowHook

        with raising_no_secrets(), MLflowHook(conn_id).records() as records:
            yield records
    except Refusal as refusal:
        say(refusal, file=sys.stderr)
        raise SystemExit(status) from None


def asker() -> str:
    """Return who runs the command, as the audit trail names a person."""
    return f"user:{system_user()}"


def people() -> tuple[Person, ...]:
    """Return who runs the command, and on which machine."""
    import socket

    from airflow_mlops.core.records.people import Person

    return (Person(name=system_user(), did="commanded", host=socket.gethostname()),)


def system_user() -> str:
    """Return the user that this process runs as, by the system and not by variables that anybody can set.

    In a container the user may have no name; then it is its number.
    """
    try:
        import pwd
    except ImportError:  # no such module where there are no such users
        return getpass.getuser()
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def named(args: Namespace) -> SpecIdentity | None:
    """Return the specification that the model must belong to, if the command names one."""
    from airflow_mlops.core.records.ownership import SpecIdentity

    name = vars(args).get("specification")  # older callers of the commands' functions do not know it
    return SpecIdentity(name=name) if name else None


def now() -> datetime:
    """Return the time of an event that happens now."""
    return datetime.now(UTC)


def columns(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table for a terminal: each row is one line, whatever its cells say."""
    heads, rows = _cells(heads), [_cells(row) for row in rows]
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = [heads, tuple("-" * width for width in widths), *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in lines
    )


def _cells(row: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(visible(cell, keep="") for cell in row)


def shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def version_label(number: int | None) -> str:
    return "" if number is None else f"v{number}"


def to_the_minute(moment: str | None) -> str:
    return "" if moment is None else moment[:16].replace("T", " ")
