"""`airflow mlops retire`: a model trains no more."""

from __future__ import annotations

import sys
from argparse import Namespace

from airflow_mlops.cli._change import print_outcome
from airflow_mlops.cli._common import asker, named, now, opened, people
from airflow_mlops.cli.printed import say


def retire(args: Namespace) -> None:
    """Stop a model's training, or with --undo let it train again; what serves goes on serving.

    Raises
    ------
    SystemExit
        With status 1 when it is refused.
    """
    from airflow_mlops.core import promotion as lifecycle

    with opened(args.conn_id) as records:
        lifecycle.retire(
            records.registry,
            records.trail,
            registered_model=args.model,
            by=asker(),
            reason=args.reason,
            now=now(),
            specification=named(args),
            people=people(),
            undo=args.undo,
        )
        events = records.trail.events(args.model)
    event = next((event for event in reversed(events) if event.kind in {"retired", "unretired"}), None)
    if event is None:
        say(f"{args.model} was never retired; nothing was changed", file=sys.stderr)
        raise SystemExit(1)
    ended = (
        "is trained again" if args.undo else "is retired: its train DAG skips from now on; its champion goes on serving"
    )
    since = f"since {event.at:%Y-%m-%d %H:%M} UTC, {event.who}: {event.reason}"
    print_outcome(args, event.to_json(), f"{args.model} {ended} ({since})")
