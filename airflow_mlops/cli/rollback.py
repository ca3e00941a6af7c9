"""`airflow mlops rollback`: an earlier version serves again, with a reason, on the record."""

from __future__ import annotations

from argparse import Namespace

from airflow_mlops.cli._change import finish_others, may_have_begun, print_outcome, served, served_before
from airflow_mlops.cli._common import asker, named, now, opened, people


def rollback(args: Namespace) -> None:
    """Make the previous champion, or the version named, serve again, after it was served once in a fresh interpreter.

    Raises
    ------
    SystemExit
        With status 1 when it is refused; the champion is the one from before then.
    """
    from airflow_mlops.core.promotion import require_reason, rollback_target
    from airflow_mlops.core.promotion import rollback as roll_back

    with opened(args.conn_id) as records:
        require_reason(args.reason, args.model)
        finish_others(records, args.model)
        target = rollback_target(
            records.registry, records.trail, registered_model=args.model, to=args.to, specification=named(args)
        ).version
        serving = served(records, args.model, target)
        with may_have_begun():
            done = roll_back(
                records.registry,
                records.trail,
                registered_model=args.model,
                # Not the target: when somebody else moves the champion now, `previous` is not the one that was tried.
                to=args.to,
                by=asker(),
                specification=named(args),
                people=people(),
                reason=args.reason,
                now=now(),
                serving=serving,
            )
    before = served_before(done.displaced)
    print_outcome(args, done.to_json(), f"{args.model}: version {done.version} serves again; before it, {before}")
