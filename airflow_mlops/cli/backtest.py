"""`airflow mlops backtest SPEC --from ... --to ...`: what a policy would have done, and the others beside it."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from airflow_mlops.cli._common import look_up_connections, refusals_told
from airflow_mlops.cli.printed import say
from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError

if TYPE_CHECKING:
    from airflow_mlops.cli.screen import Screen
    from airflow_mlops.core.backtest import Plan
    from airflow_mlops.core.ports import Storage
    from airflow_mlops.core.records.backtest import BacktestReport


def backtest(args: Namespace) -> None:
    """Replay history, print the table, write the page.

    Parameters
    ----------
    args
        `spec`, `start`, `end`, `every`, `policies`, `grid`, `state`, `html`, `workers`, `json`.

    Raises
    ------
    SystemExit
        With status 1 when something is refused, 130 when it was interrupted.
    """
    look_up_connections()
    from airflow_mlops.cli.screen import Screen

    screen = Screen(sys.stderr)
    with refusals_told(screen):
        report, storage = _replayed(args, screen)
        page = _written(report, storage, args.html)
    if args.json:
        say(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        from airflow_mlops.reports.backtest.tables import terminal

        say("\n".join(terminal(report)))
    say(f"{page} ({screen.seconds:.0f} s)", file=sys.stderr)


def _replayed(args: Namespace, screen: Screen) -> tuple[BacktestReport, Storage]:
    from airflow_mlops.config import settings
    from airflow_mlops.core.backtest import backtest as replay
    from airflow_mlops.core.backtest import grid_of, policies_of
    from airflow_mlops.stores.open_source import open_rows

    plan = _plan(args)
    policies = policies_of(args.policies or ("simple",))
    grid = grid_of(plan.spec, args.grid or ())
    known = settings()
    return replay(
        plan,
        partial(open_rows, plan.spec, data_root=known.data_root),
        partial(open_folder, known.storage),
        policies=policies,
        grid=grid,
        state=args.state,
        workers=args.workers or cores(),
        tell=lambda done, asked, words: screen.status(f"{done} of {asked}: {words}"),
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_folder(default: str, root: str) -> Storage:
    """Open a folder; an empty name is `[mlops] storage`."""
    from airflow_mlops.config import open_configured_storage

    return open_configured_storage(root or default)


def _plan(args: Namespace) -> Plan:
    """Read what is asked for: every problem of it at once."""
    from airflow_mlops.core.backtest import plan_of
    from airflow_mlops.spec import load_spec
    from airflow_mlops.spec.types import parse_duration

    problems: list[Problem] = []
    spec = load_spec(args.spec)
    start, end = (instant_of(name, text, problems) for name, text in (("--from", args.start), ("--to", args.end)))
    try:
        every = parse_duration(args.every)
    except (ValueError, OverflowError):
        every = None
        allowed = "a whole number and a unit s, m, h, d or w"
        problems.append(unreadable("--every", args.every, allowed, "write 14d"))
    if start is None or end is None or every is None:
        raise SpecError(problems, subject=f"backtest of {spec.name}")
    return plan_of(spec, start, end, every)


def instant_of(name: str, text: str, problems: list[Problem]) -> datetime | None:
    """Read a time of the command line; None, and one more problem, where it is none."""
    from airflow_mlops.asof import parse_as_of

    try:
        return parse_as_of(text)
    except SpecError:
        problems.append(unreadable(name, text, "a date or an ISO 8601 time", "write 2013-03-01"))
        return None


def unreadable(field: str, text: str, allowed: str, fix: str) -> Problem:
    """Return the problem of an option that cannot be read."""
    return Problem(code=ReasonCode.TIME_INVALID, field=field, found=repr(str(text)[:40]), allowed=allowed, fix=fix)


def _written(report: BacktestReport, storage: Storage, html: str | None) -> str:
    """Write the page, and the report beside the finished work; say where the page is."""
    from pathlib import Path

    from airflow_mlops.reports.backtest.page import render

    content = render(report)
    storage.write_text("report.json", report.to_text())
    if html is None:
        return storage.write_text("report.html", content)
    try:
        Path(html).write_text(content, encoding="utf-8")
    except OSError as error:
        raise SpecError(
            Problem(
                code=ReasonCode.STORE_UNWRITABLE,
                field="--html",
                found=f"{html}, which cannot be written: {error.strerror}",
                allowed="a file in a folder that there is",
                fix="name another one; the finished work is kept",
            )
        ) from None
    return html
