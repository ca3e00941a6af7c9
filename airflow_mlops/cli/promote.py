"""`airflow mlops promote`: a version serves against the gate, on the record."""

from __future__ import annotations

import sys
from argparse import Namespace

from airflow_mlops.cli._change import may_have_begun, print_outcome, served
from airflow_mlops.cli._common import asker, named, now, opened, people
from airflow_mlops.cli.printed import say


def promote(args: Namespace) -> None:
    """Promote a version against the gate's decision, or without one.

    Raises
    ------
    SystemExit
        With status 1 when it is refused, or --force is missing.
    """
    from airflow_mlops.core.promotion import override, require_reason

    if not args.force:
        say(
            "promotion by hand overrides the gate: add --force, and --reason with why; it stands in the audit trail",
            file=sys.stderr,
        )
        raise SystemExit(1)
    with opened(args.conn_id) as records:
        require_reason(args.reason, args.model)
        served(records, args.model, args.version)
        with may_have_begun():
            done = override(
                records.registry,
                records.trail,
                registered_model=args.model,
                version=args.version,
                by=asker(),
                specification=named(args),
                people=people(),
                reason=args.reason,
                now=now(),
                allow_older=args.allow_older,
            )
    print_outcome(
        args, done.to_json(), f"{args.model}: version {args.version} serves now, by force; see airflow mlops history"
    )
