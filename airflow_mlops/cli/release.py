"""`airflow mlops release`: rows that look broken are right."""

from __future__ import annotations

import sys
from argparse import Namespace

from airflow_mlops.cli._change import print_outcome
from airflow_mlops.cli._common import asker, named, now, opened, people
from airflow_mlops.cli.printed import say


def release(args: Namespace) -> None:
    """Release rows from quarantine: training, monitoring and measuring take them as they are from now on.

    Raises
    ------
    SystemExit
        With status 1 when it is refused.
    """
    from airflow_mlops.asof import parse_as_of
    from airflow_mlops.core import promotion as lifecycle

    try:
        start, end = parse_as_of(args.start), None if args.end is None else parse_as_of(args.end)
    except ValueError as error:
        say(error, file=sys.stderr)
        raise SystemExit(1) from None
    with opened(args.conn_id) as records:
        event = lifecycle.release(
            records.registry,
            records.trail,
            registered_model=args.model,
            start=start,
            end=end,
            by=asker(),
            specification=named(args),
            people=people(),
            reason=args.reason,
            now=now(),
        )
    until = "on: what differs before it is left out" if end is None else f"to {end.isoformat()}"
    said = f"{args.model}: rows from {start.isoformat()} {until} are right ({event.who}: {event.reason})"
    print_outcome(args, event.to_json(), said)
