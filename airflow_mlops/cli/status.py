"""`airflow mlops status` and `history`: what serves, what happened, and whether the trail is whole."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_mlops.cli._common import (
    LONGEST_REASON,
    LONGEST_WHO,
    columns,
    opened,
    shortened,
    to_the_minute,
    version_label,
)
from airflow_mlops.cli.printed import say
from airflow_mlops.core.text import visible

if TYPE_CHECKING:
    from airflow_mlops.core.promotion import ModelStatus


def status(args: Namespace) -> None:
    """Say of each model which version serves, since when, by whom, and what is not as it should be.

    Raises
    ------
    SystemExit
        With status 1 when a model is unknown, or something is wrong with one.
    """
    from airflow_mlops.core.promotion import status_of

    with opened(args.conn_id) as records:
        names = args.models or records.trail.registered_models()
        found = [_as_json(status_of(records.registry, records.trail, name)) for name in names]
    if args.json:
        say(json.dumps(found, indent=2, ensure_ascii=False))
    elif not found:
        say("no model has been registered yet: the first run of a <model>.train does")
    else:
        heads = ("model", "champion", "as of", "since", "by", "previous", "challenger", "last event", "why")
        say(columns(heads, [_row(one) for one in found]))
        for one in found:
            for line in _lines(one):
                say(line)
    if any(one["problems"] for one in found):
        raise SystemExit(1)


def _lines(one: dict[str, Any]) -> Iterator[str]:
    """Yield what a row of the table has no place for: a line each, whatever somebody wrote into a tag."""
    said = [f": {problem}" for problem in one["problems"]]
    said += [f" belongs to {one['owner']}"] if one["owner"] else []
    said += [f" is retired: {one['retired']}"] if one["retired"] else []
    yield from (visible(f"{one['model']}{line}", keep="") for line in said)


def _as_json(one: ModelStatus) -> dict[str, Any]:
    event, version = one.last_event or (None, None)
    return {
        "model": one.model,
        "champion": one.champion,
        "judged_as": one.judged_as,
        "as_of": None if one.as_of is None else one.as_of.isoformat(),
        "since": None if one.since is None else one.since.isoformat(),
        "by": one.by,
        "why": one.why,
        "previous": one.previous,
        "challenger": one.challenger,
        "last_event": None if event is None else f"{event} {version_label(version)}".strip(),
        "retired": one.retired,
        "owner": one.owner,
        "problems": [str(problem) for problem in one.problems],
    }


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    versions = {name: version_label(one[name]) or "none" for name in ("champion", "previous", "challenger")}
    refitted = f" (judged as {version_label(one['judged_as'])})" if one["judged_as"] else ""
    return (
        one["model"],
        versions["champion"] + refitted,
        to_the_minute(one["as_of"]),
        to_the_minute(one["since"]),
        shortened(one["by"] or "", LONGEST_WHO),
        versions["previous"],
        versions["challenger"],
        one["last_event"] or "none",
        shortened(one["why"] or "", LONGEST_REASON),
    )
