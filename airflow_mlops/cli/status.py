"""`airflow mlops status` and `history`: what serves, what happened, and whether the trail is whole."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from airflow_mlops.cli._common import columns, opened, shortened, to_the_minute, version_label

if TYPE_CHECKING:
    from airflow_mlops.stores.mlflow.store import MLflowStore


def status(args: Namespace) -> None:
    """Say of each model which version serves, since when, by whom, and what is not as it should be.

    Raises
    ------
    SystemExit
        With status 1 when a model is unknown, or something is wrong with one.
    """
    with opened(args.conn_id) as records:
        names = args.models or records.registered_models()
        found = [_state_of(records, name) for name in names]
    if args.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif not found:
        print("no model has been registered yet: the first run of a <model>.train does")
    else:
        heads = ("model", "champion", "as of", "since", "by", "previous", "challenger", "last event")
        print(columns(heads, [_row(one) for one in found]))
        for one in found:
            print("".join(f"\n{one['model']}: {problem}" for problem in one["problems"]), end="")
            if one["retired"]:
                print(f"\n{one['model']} is retired: {one['retired']}", end="")
        print()
    if any(one["problems"] for one in found):
        raise SystemExit(1)


def _state_of(records: MLflowStore, model: str) -> dict[str, Any]:
    from airflow_mlops.core.errors import RecordError
    from airflow_mlops.core.promotion import fold, no_trail, verify_trail

    try:
        events = records.events(model)
        state = fold(events)
        champion = records.champion(model)
        if not events and champion is None:
            raise no_trail(model)
    except RecordError as error:  # of one model: the others are shown all the same
        nothing = dict.fromkeys(("champion", "as_of", "since", "by", "previous", "challenger", "last_event", "retired"))
        return {"model": model, **nothing, "problems": [str(problem) for problem in error.problems]}
    version = None if champion is None else champion.version
    moved = next((e for e in reversed(events) if version is not None and e.version == version), None)
    return {
        "model": model,
        "champion": version,
        "as_of": None if champion is None else champion.candidate.as_of.isoformat(),
        "since": None if moved is None else moved.at.isoformat(),
        "by": None if moved is None else moved.by,
        "previous": records.alias(model, "previous"),
        "challenger": records.alias(model, "challenger"),
        "last_event": None if not events else f"{events[-1].kind} {version_label(events[-1].version)}".strip(),
        "retired": state.retired,
        "problems": [str(problem) for problem in verify_trail(records, records, model)],
    }


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    versions = {name: version_label(one[name]) or "none" for name in ("champion", "previous", "challenger")}
    return (
        one["model"],
        versions["champion"],
        to_the_minute(one["as_of"]),
        to_the_minute(one["since"]),
        shortened(one["by"] or "", 60),
        versions["previous"],
        versions["challenger"],
        one["last_event"] or "none",
    )
