"""`airflow mlops status` and `history`: what serves, what happened, and whether the trail is whole."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlops.cli.opening import columns, opened

if TYPE_CHECKING:
    from airflow_mlops.core.records.promotion import AuditEvent
    from airflow_mlops.spec.problems import Problem
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
    from airflow_mlops.core.promotion.audit_state import fold, no_trail
    from airflow_mlops.core.promotion.verify import verify

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
        "last_event": None if not events else f"{events[-1].kind} {_version(events[-1].version)}".strip(),
        "retired": state.retired,
        "problems": [str(problem) for problem in verify(records, records, model)],
    }


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    versions = {name: _version(one[name]) or "none" for name in ("champion", "previous", "challenger")}
    return (
        one["model"],
        versions["champion"],
        _minute(one["as_of"]),
        _minute(one["since"]),
        _short(one["by"] or "", 60),
        versions["previous"],
        versions["challenger"],
        one["last_event"] or "none",
    )


def history(args: Namespace) -> None:
    """Print a model's audit trail, export it as JSON lines, or verify it.

    Raises
    ------
    SystemExit
        With status 1 when the trail is not whole, or does not fit what MLflow shows.
    """
    if args.file:
        _verify_file(args.file, args.model)
        return
    from airflow_mlops.core.promotion.audit_chain import seal, to_lines
    from airflow_mlops.core.promotion.audit_state import no_trail
    from airflow_mlops.core.promotion.verify import verify

    with opened(args.conn_id) as records:
        events: Sequence[AuditEvent] = records.events(args.model)
        if not events:
            raise no_trail(args.model)
        problems = verify(records, records, args.model) if args.verify else ()
    if args.json_lines:
        print(to_lines(events), end="")
    elif not args.verify:
        print(columns(("no", "at", "what", "version", "before", "by", "why"), [_line(event) for event in events]))
    if args.verify:
        _answer(problems, f"{args.model}, {seal(events)}")


def _verify_file(name: str, model: str) -> None:
    from airflow_mlops.core.promotion.audit_chain import from_lines, seal, verify_lines

    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        print(f"{name}: cannot be read ({why})", file=sys.stderr)
        raise SystemExit(1) from None
    problems = verify_lines(text, model)
    _answer(problems, name if problems else f"{name}, {seal(from_lines(text))}")


def _answer(problems: Iterable[Problem], subject: str) -> None:
    found = list(problems)
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        raise SystemExit(1)
    print(f"{subject}: whole", file=sys.stderr)


def _line(event: AuditEvent) -> tuple[str, ...]:
    what = f"{event.kind}, forced" if event.forced else event.kind
    return (
        str(event.number),
        _minute(event.at.isoformat()),
        what,
        _version(event.version),
        _version(event.displaced),
        _short(event.by, 60),
        _short(event.reason, 100),
    )


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _version(number: int | None) -> str:
    return "" if number is None else f"v{number}"


def _minute(moment: str | None) -> str:
    return "" if moment is None else moment[:16].replace("T", " ")
