"""`airflow mlops verify`: whether what serves is what was judged, by everything that is kept of it."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from airflow_mlops.cli._common import opened
from airflow_mlops.cli.printed import say

if TYPE_CHECKING:
    from airflow_mlops.stores.mlflow.sealing import Verification


def verify(args: Namespace) -> None:
    """Check models one after the other, and say of each what is wrong, and what could not be proved.

    Raises
    ------
    SystemExit
        With status 1 when anything is wrong.
    """
    from airflow_mlops.config import open_configured_storage
    from airflow_mlops.stores.mlflow.sealing import verify_model

    with opened(args.conn_id) as records:
        storage = open_configured_storage()
        names = args.models or records.trail.registered_models()
        found = [verify_model(records, storage, name) for name in names]
    if args.json:
        say(json.dumps([_as_json(one) for one in found], indent=2, ensure_ascii=False))
    else:
        for one in found:
            _tell(one)
    if any(one.problems for one in found):
        raise SystemExit(1)


def _tell(one: Verification) -> None:
    for problem in one.problems:
        say(f"{one.model}: {problem}", file=sys.stderr)
    for note in one.notes:
        say(f"{one.model}: note: {note}")
    if not one.problems:
        versions = ", ".join(map(str, one.versions)) or "none"
        say(f"{one.model}: whole: {one.events} events, versions {versions}")


def _as_json(one: Verification) -> dict[str, Any]:
    return {
        "model": one.model,
        "events": one.events,
        "versions": list(one.versions),
        "problems": [str(problem) for problem in one.problems],
        "notes": list(one.notes),
    }
