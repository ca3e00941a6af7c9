"""`airflow mlops rollback`, `promote` and `retire`: what a person changes, with a reason, on the record."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from airflow_mlops.cli.opening import asker, now, opened

if TYPE_CHECKING:
    from airflow_mlops.core.evidence import ServingReport
    from airflow_mlops.stores.mlflow_store import MLflowStore


def rollback(args: Namespace) -> None:
    """Make the previous champion, or the version named, serve again, after it was served once in a fresh interpreter.

    Raises
    ------
    SystemExit
        With status 1 when it is refused; the champion is the one from before then.
    """
    from airflow_mlops.core.rollback import rollback as roll_back
    from airflow_mlops.core.rollback import rollback_target

    with opened(args.conn_id) as records:
        version = rollback_target(records, records, registered_model=args.model, to=args.to).version
        done = roll_back(
            records,
            records,
            registered_model=args.model,
            to=version,
            by=asker(),
            reason=args.reason,
            now=now(),
            serving=_served(records, args.model, version),
        )
    _say(args, done.to_json(), f"{args.model}: version {version} serves again; before it, {_named(done.displaced)}")


def promote(args: Namespace) -> None:
    """Promote a version against the gate's decision, or without one.

    Raises
    ------
    SystemExit
        With status 1 when it is refused, or --force is missing.
    """
    from airflow_mlops.core.rollback import override

    if not args.force:
        print(
            "promotion by hand overrides the gate: add --force, and --reason with why; it stands in the audit trail",
            file=sys.stderr,
        )
        raise SystemExit(1)
    with opened(args.conn_id) as records:
        _served(records, args.model, args.version)
        done = override(
            records,
            records,
            registered_model=args.model,
            version=args.version,
            by=asker(),
            reason=args.reason,
            now=now(),
            allow_older=args.allow_older,
        )
    _say(args, done.to_json(), f"{args.model}: version {args.version} serves now, by force; see airflow mlops history")


def retire(args: Namespace) -> None:
    """Stop a model's training, or with --undo let it train again; what serves goes on serving.

    Raises
    ------
    SystemExit
        With status 1 when it is refused.
    """
    from airflow_mlops.core import lifecycle

    change = lifecycle.unretire if args.undo else lifecycle.retire
    with opened(args.conn_id) as records:
        change(records, records, registered_model=args.model, by=asker(), reason=args.reason, now=now())
        event = records.events(args.model)[-1]
    ended = (
        "is trained again" if args.undo else "is retired: its train DAG skips from now on; its champion goes on serving"
    )
    _say(args, event.to_json(), f"{args.model} {ended}")


def _served(records: MLflowStore, model: str, version: int) -> ServingReport:
    """Serve the version's stored model once; what it showed decides with its own specification's bounds."""
    from airflow_mlops.core.serving import require
    from airflow_mlops.stores.serving import check_serving

    candidate = records.version(model, version).candidate
    spec = records.spec_of(candidate.run_id)
    report = check_serving(records, candidate, spec)
    require(report, spec.gate.serving, f"{model} version {version}")
    return report


def _say(args: Namespace, record: dict[str, Any], sentence: str) -> None:
    print(json.dumps(record, indent=2, ensure_ascii=False) if args.json else sentence)


def _named(version: int | None) -> str:
    return "no version served" if version is None else f"version {version} served"
