"""`airflow mlops handover`: a registered model belongs to another specification from now on, on the record."""

from __future__ import annotations

from argparse import Namespace

from airflow_mlops.cli._change import print_outcome
from airflow_mlops.cli._common import asker, now, opened, people


def handover(args: Namespace) -> None:
    """Hand a registered model over to a specification, or to another owner of the same one; what serves stays.

    Raises
    ------
    SystemExit
        With status 1 when it is refused.
    """
    from airflow_mlops.core.promotion import hand_over
    from airflow_mlops.core.records.ownership import SpecIdentity

    with opened(args.conn_id) as records:
        event = hand_over(
            records.registry,
            records.trail,
            registered_model=args.model,
            to=SpecIdentity(name=args.to, owner=args.owner),
            by=asker(),
            reason=args.reason,
            now=now(),
            people=people(),
        )
    since = f"since {event.at:%Y-%m-%d %H:%M} UTC, {event.who}: {event.reason}"
    belongs = SpecIdentity(name=args.to, owner=args.owner).words
    print_outcome(args, event.to_json(), f"{args.model} belongs to {belongs} ({since})")
