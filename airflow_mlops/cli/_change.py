"""What the commands that change a model share."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_mlops.cli._common import asker, now, people
from airflow_mlops.cli.printed import say

if TYPE_CHECKING:
    from airflow_mlops.core.records.evidence import ServingReport
    from airflow_mlops.stores.mlflow.store import MLflowStore


@contextmanager
def may_have_begun() -> Iterator[None]:
    """Say what to look at before the command is given again, when MLflow went away in the middle of a move."""
    try:
        yield
    except ConnectionError:
        say(
            "the move may have been begun, or even made: look at airflow mlops status before you ask again",
            file=sys.stderr,
        )
        raise


def finish_others(records: MLflowStore, model: str) -> None:
    """Finish a move that was left in the middle, and stop: who asked may have meant the champion from before it.

    Most often it is the same person's own rollback, whose answer was lost; a second one would go back too far.
    """
    from airflow_mlops.core.promotion import finish_unfinished, fold, version_words

    begun = fold(records.trail.events(model)).unfinished
    if begun is None:
        return
    state = finish_unfinished(
        records.registry, records.trail, registered_model=model, by=asker(), now=now(), people=people()
    )
    say(
        f"{model}: event {begun.number}, {begun.kind} of version {begun.version} by {begun.by} ({begun.reason}), was "
        f"not finished; it is now, and {version_words(state.champion)} serves. Nothing else was done: if that is not "
        "what you want, give the command again",
        file=sys.stderr,
    )
    raise SystemExit(1)


def served(records: MLflowStore, model: str, version: int) -> ServingReport:
    """Serve the version's stored model once; what it showed decides with its own specification's bounds."""
    from airflow_mlops.core.gate import require_serving
    from airflow_mlops.stores.serving_check.check import check_serving

    candidate = records.registry.version(model, version).candidate
    spec = records.lineage.spec_of(candidate.run_id)
    report = check_serving(records, candidate, spec)
    require_serving(report, spec.gate.serving, f"{model} version {version}")
    return report


def print_outcome(args: Namespace, record: dict[str, Any], sentence: str) -> None:
    say(json.dumps(record, indent=2, ensure_ascii=False) if args.json else sentence)


def served_before(version: int | None) -> str:
    return "no version served" if version is None else f"version {version} served"
