"""`airflow mlops rollback`, `promote` and `retire`: what a person changes, with a reason, on the record."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_mlops.cli.opening import asker, now, opened

if TYPE_CHECKING:
    from airflow_mlops.core.records.evidence import ServingReport
    from airflow_mlops.stores.mlflow.store import MLflowStore


def rollback(args: Namespace) -> None:
    """Make the previous champion, or the version named, serve again, after it was served once in a fresh interpreter.

    Raises
    ------
    SystemExit
        With status 1 when it is refused; the champion is the one from before then.
    """
    from airflow_mlops.core.promotion.manual_move import require_reason
    from airflow_mlops.core.promotion.rollback import rollback as roll_back
    from airflow_mlops.core.promotion.rollback import rollback_target

    with opened(args.conn_id) as records:
        require_reason(args.reason, args.model)
        _finish_others(records, args.model)
        target = rollback_target(records, records, registered_model=args.model, to=args.to).version
        serving = _served(records, args.model, target)
        with _may_have_begun():
            done = roll_back(
                records,
                records,
                registered_model=args.model,
                # Not the target: when somebody else moves the champion now, `previous` is not the one that was tried.
                to=args.to,
                by=asker(),
                reason=args.reason,
                now=now(),
                serving=serving,
            )
    before = _named(done.displaced)
    _say(args, done.to_json(), f"{args.model}: version {done.version} serves again; before it, {before}")


def promote(args: Namespace) -> None:
    """Promote a version against the gate's decision, or without one.

    Raises
    ------
    SystemExit
        With status 1 when it is refused, or --force is missing.
    """
    from airflow_mlops.core.promotion.manual_move import require_reason
    from airflow_mlops.core.promotion.override import override

    if not args.force:
        print(
            "promotion by hand overrides the gate: add --force, and --reason with why; it stands in the audit trail",
            file=sys.stderr,
        )
        raise SystemExit(1)
    with opened(args.conn_id) as records:
        require_reason(args.reason, args.model)
        _served(records, args.model, args.version)
        with _may_have_begun():
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
    from airflow_mlops.core.promotion import retire as lifecycle

    change = lifecycle.unretire if args.undo else lifecycle.retire
    with opened(args.conn_id) as records:
        change(records, records, registered_model=args.model, by=asker(), reason=args.reason, now=now())
        events = records.events(args.model)
    event = next((event for event in reversed(events) if event.kind in {"retired", "unretired"}), None)
    if event is None:
        print(f"{args.model} was never retired; nothing was changed", file=sys.stderr)
        raise SystemExit(1)
    ended = (
        "is trained again" if args.undo else "is retired: its train DAG skips from now on; its champion goes on serving"
    )
    since = f"since {event.at:%Y-%m-%d %H:%M} UTC, {event.by}: {event.reason}"
    _say(args, event.to_json(), f"{args.model} {ended} ({since})")


@contextmanager
def _may_have_begun() -> Iterator[None]:
    """Say what to look at before the command is given again, when MLflow went away in the middle of a move."""
    try:
        yield
    except ConnectionError:
        print(
            "the move may have been begun, or even made: look at airflow mlops status before you ask again",
            file=sys.stderr,
        )
        raise


def _finish_others(records: MLflowStore, model: str) -> None:
    """Finish a move that was left in the middle, and stop: who asked may have meant the champion from before it.

    Most often it is the same person's own rollback, whose answer was lost; a second one would go back too far.
    """
    from airflow_mlops.core.promotion.audit_state import fold, named
    from airflow_mlops.core.promotion.verify import finish_unfinished

    begun = fold(records.events(model)).unfinished
    if begun is None:
        return
    state = finish_unfinished(records, records, registered_model=model, by=asker(), now=now())
    print(
        f"{model}: event {begun.number}, {begun.kind} of version {begun.version} by {begun.by} ({begun.reason}), was "
        f"not finished; it is now, and {named(state.champion)} serves. Nothing else was done: if that is not what you "
        "want, give the command again",
        file=sys.stderr,
    )
    raise SystemExit(1)


def _served(records: MLflowStore, model: str, version: int) -> ServingReport:
    """Serve the version's stored model once; what it showed decides with its own specification's bounds."""
    from airflow_mlops.core.gate.rules.serving import require
    from airflow_mlops.stores.serving_check.check import check_serving

    candidate = records.version(model, version).candidate
    spec = records.spec_of(candidate.run_id)
    report = check_serving(records, candidate, spec)
    require(report, spec.gate.serving, f"{model} version {version}")
    return report


def _say(args: Namespace, record: dict[str, Any], sentence: str) -> None:
    print(json.dumps(record, indent=2, ensure_ascii=False) if args.json else sentence)


def _named(version: int | None) -> str:
    return "no version served" if version is None else f"version {version} served"
