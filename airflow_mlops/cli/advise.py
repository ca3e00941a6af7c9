"""`airflow mlops advise MODEL`: what may help a first model that the gate refuses, tried on history."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlops.cli._common import look_up_connections, opened, refusals_told
from airflow_mlops.cli.backtest import cores, instant_of, open_folder, unreadable
from airflow_mlops.cli.printed import say
from airflow_mlops.spec.problems import Problem, ReasonCode, SpecError

if TYPE_CHECKING:
    from airflow_mlops.cli.screen import Screen
    from airflow_mlops.core.records.advice import AdviceReport
    from airflow_mlops.spec.model import ModelSpec


def advise(args: Namespace) -> None:
    """Try each remedy that applies, and print the table and what follows. Nothing is registered or changed.

    Parameters
    ----------
    args
        `model`, the registered model or its specification's file; `start`, `end`, `every`, `state`, `workers`,
        `conn_id`, `json`, `form`.

    Raises
    ------
    SystemExit
        With status 1 when something is refused, 130 when it was interrupted.
    """
    look_up_connections()
    from airflow_mlops.cli.screen import Screen

    screen = Screen(sys.stderr)
    with refusals_told(screen):
        report, where = _advised(args, screen)
    if args.json or args.form == "json":
        say(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        from airflow_mlops.reports.backtest.advice import advice_lines

        say("\n".join(advice_lines(report)))
    say(f"{where} ({screen.seconds:.0f} s)", file=sys.stderr)


def _advised(args: Namespace, screen: Screen) -> tuple[AdviceReport, str]:
    from airflow_mlops.config import settings
    from airflow_mlops.core.backtest import advise as try_remedies
    from airflow_mlops.core.backtest import plan_looks
    from airflow_mlops.core.rows.event_times import time_bounds
    from airflow_mlops.stores.open_source import open_rows

    spec = _specification(args.model, args.conn_id)
    start, end, every = _times(args, spec)
    known = settings()
    open_store = partial(open_rows, spec, data_root=known.data_root)
    report, storage = try_remedies(
        plan_looks(spec, time_bounds(open_store(), spec.data.time), start=start, end=end, every=every),
        open_store,
        partial(open_folder, known.storage),
        state=args.state,
        workers=args.workers or cores(),
        tell=lambda done, asked, words: screen.status(f"{done} of {asked}: {words}"),
    )
    return report, storage.write_text("advice.json", report.to_text())


def _specification(model: str, conn_id: str) -> ModelSpec:
    """Read the specification: of a file, or the one that the model's newest version was trained by."""
    from airflow_mlops.spec import load_spec

    if Path(model).suffix in {".yaml", ".yml"} or Path(model).is_file():
        return load_spec(model)
    with opened(conn_id) as records:
        versions = [event.version for event in records.trail.events(model) if event.version is not None]
        if not versions:
            raise SpecError(
                Problem(
                    code=ReasonCode.VERSION_MISSING,
                    field="MODEL",
                    found=f"{model!r}, of which the loop has registered no version",
                    allowed="a registered model, or the path of a specification",
                    fix="name the specification's file: airflow mlops advise models/NAME.yaml",
                )
            )
        return records.lineage.spec_of(records.candidates.candidate_of(model, max(versions)).run_id)


def _times(args: Namespace, spec: ModelSpec) -> tuple[datetime | None, datetime | None, timedelta | None]:
    """Read what is given: every problem of it at once."""
    from airflow_mlops.spec.types import parse_duration

    problems: list[Problem] = []
    given = {"--from": args.start, "--to": args.end}
    start, end = (None if text is None else instant_of(name, text, problems) for name, text in given.items())
    every = None
    if args.every is not None:
        try:
            every = parse_duration(args.every)
        except (ValueError, OverflowError):
            allowed = "a whole number and a unit s, m, h, d or w"
            problems.append(unreadable("--every", args.every, allowed, "write 14d"))
    if problems:
        raise SpecError(problems, subject=f"advice on {spec.name}")
    return start, end, every
