"""`airflow mlops history`: the audit trail, printed, exported or verified."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlops.cli._common import (
    LONGEST_REASON,
    LONGEST_WHO,
    columns,
    opened,
    shortened,
    to_the_minute,
    version_label,
)
from airflow_mlops.cli.printed import say

if TYPE_CHECKING:
    from airflow_mlops.core.records.promotion import AuditEvent
    from airflow_mlops.spec.problems import Problem


def history(args: Namespace) -> None:
    """Print a model's audit trail, export it as JSON lines, or verify it.

    Raises
    ------
    SystemExit
        With status 1 when the trail is not whole, or does not fit what MLflow shows.
    """
    if args.file:
        _verify_file(args.file, args.model)
        return
    from airflow_mlops.core.promotion import no_trail, to_lines, trail_seal, verify_trail

    with opened(args.conn_id) as records:
        events: Sequence[AuditEvent] = records.trail.events(args.model)
        if not events:
            raise no_trail(args.model)
        problems = verify_trail(records.registry, records.trail, args.model) if args.verify else ()
    if args.json_lines:
        say(to_lines(events), end="")
    elif not args.verify:
        say(columns(("no", "at", "what", "version", "before", "by", "why"), [_line(event) for event in events]))
    if args.verify:
        _answer(problems, f"{args.model}, {trail_seal(events)}")


def _verify_file(name: str, model: str) -> None:
    from airflow_mlops.core.promotion import from_lines, trail_seal, verify_lines

    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        say(f"{name}: cannot be read ({why})", file=sys.stderr)
        raise SystemExit(1) from None
    problems = verify_lines(text, model)
    _answer(problems, name if problems else f"{name}, {trail_seal(from_lines(text))}")


def _answer(problems: Iterable[Problem], subject: str) -> None:
    found = list(problems)
    for problem in found:
        say(problem, file=sys.stderr)
    if found:
        raise SystemExit(1)
    say(f"{subject}: whole", file=sys.stderr)


def _line(event: AuditEvent) -> tuple[str, ...]:
    what = f"{event.kind}, forced" if event.forced else event.kind
    return (
        str(event.number),
        to_the_minute(event.at.isoformat()),
        what,
        version_label(event.version),
        version_label(event.displaced),
        shortened(event.who, LONGEST_WHO),
        shortened(event.reason, LONGEST_REASON),
    )
