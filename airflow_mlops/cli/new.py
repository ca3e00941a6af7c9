"""`airflow mlops new`: a specification to begin with, short, or proposed from the data."""

from __future__ import annotations

import re
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow_mlops.cli.printed import say

if TYPE_CHECKING:
    from airflow_mlops.core.ports import DataStore
    from airflow_mlops.core.proposal import Proposal, Wishes


def new(args: Namespace) -> None:
    """Write a specification; a file that exists is never replaced.

    Parameters
    ----------
    args
        `name`, `owner`, `output`; `source` (a path, or ``conn_id:table``), and of it `time`, `key`, `label`,
        `interactive`.

    Raises
    ------
    SystemExit
        With status 1 when the name is none, the source says too little, or the file exists or cannot be written.
    """
    from airflow_mlops.spec.problems import Refusal
    from airflow_mlops.spec.template import new_text

    target = Path(args.output or f"{args.name}.yaml")
    try:
        if target.exists():
            raise FileExistsError
        short = new_text(args.name, args.owner)  # refuses a bad name before any row is read
        proposal = _proposed(args) if args.source else None
        text = short if proposal is None else _text(proposal, args)
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from None
    except FileExistsError:
        anew = f"to write it anew take it away first (rm {shlex.quote(str(target))})"
        raise SystemExit(f"{target}: exists already; {anew}, or choose another file with --output") from None
    except OSError as error:
        raise SystemExit(f"{target}: cannot be written ({error.strerror})") from None
    if proposal is None:
        say(f"{target}: written; now edit it, and run: airflow mlops validate {target}")
        return
    say("\n".join(_summary(proposal, target, args.source)))


def _proposed(args: Namespace) -> Proposal:
    from airflow_mlops.cli._common import look_up_connections, now
    from airflow_mlops.config import settings
    from airflow_mlops.core.proposal import Wishes, propose
    from airflow_mlops.spec.data import source_from
    from airflow_mlops.stores.open_source import open_source
    from airflow_mlops.stores.storage.storage import open_storage

    look_up_connections()
    data_root = settings().data_root
    source = source_of(args.source, data_root)

    def open_store(told: Mapping[str, Any]) -> DataStore:
        return open_source(source_from(told), data_root=data_root)

    wishes = Wishes(time=args.time, key=tuple(args.key or ()), label=args.label)
    about: dict[str, Any] = {"name": args.name, "owner": args.owner, "source": source, "now": now()}
    with TemporaryDirectory(prefix="mlops-new-") as folder:
        storage = open_storage(folder)
        proposal = propose(open_store, storage, wishes=wishes, **about)
        if args.interactive:
            asked = _asked(proposal, wishes)
            if asked != wishes:
                proposal = propose(open_store, storage, wishes=asked, **about)
    return proposal


def source_of(text: str, data_root: str) -> dict[str, str]:
    """Read `--from`: a path or URI of files, or ``conn_id:table``.

    A path is written as it is found from anywhere: relative to `data_root` where it lies below it, else absolute.

    Examples
    --------
    >>> source_of("warehouse:sales.orders", "/srv")
    {'conn_id': 'warehouse', 'table': 'sales.orders'}
    >>> source_of("s3://bucket/orders/", "/srv")
    {'path': 's3://bucket/orders/'}
    """
    table = re.fullmatch(r"([\w.-]+):(\w+(?:\.\w+)*)", text)
    if table is not None and not Path(text).exists():
        return {"conn_id": table[1], "table": table[2]}
    if "://" in text:
        return {"path": text}
    found, root = Path(text).expanduser().resolve(), Path(data_root).expanduser().resolve()
    return {"path": str(found.relative_to(root) if found.is_relative_to(root) else found)}


def _asked(proposal: Proposal, wishes: Wishes) -> Wishes:
    """Ask for what was found; an empty answer keeps it."""
    time = _answer("event-time column", proposal.time.columns, proposal.time.reason)
    key = _answer("key columns", proposal.key.columns, proposal.key.reason)
    label = _answer("label column", proposal.target.label.columns, proposal.target.label.reason)
    return replace(
        wishes,
        time=time[0] if time != proposal.time.columns else wishes.time,
        key=key if key != proposal.key.columns else wishes.key,
        label=label[0] if label != proposal.target.label.columns else wishes.label,
    )


def _answer(what: str, found: tuple[str, ...], reason: str) -> tuple[str, ...]:
    say(f"{what} [{' '.join(found)}] ({reason}): ", end="", file=sys.stderr, flush=True)
    return _words(sys.stdin.readline()) or found


def _words(line: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[,\s]+", line.strip()) if word)


def _text(proposal: Proposal, args: Namespace) -> str:
    from airflow_mlops.core.proposal import to_yaml
    from airflow_mlops.spec import parse_spec

    command = shlex.join(["airflow", "mlops", "new", args.name, "--from", args.source])
    text = to_yaml(proposal, command)
    parse_spec(text, where="airflow mlops new")
    return text


def _summary(proposal: Proposal, target: Path, source: str) -> Iterator[str]:
    roles = {"time": proposal.time, "key": proposal.key, "label": proposal.target.label}
    yield f"{target}: written from {proposal.rows}"
    for name, role in roles.items():
        guess = "" if role.sure else "A GUESS: "
        yield f"  {name:9} {', '.join(role.columns)} ({guess}{role.reason})"
    yield f"  task      {proposal.target.task} ({proposal.target.task_reason})"
    for column, why in proposal.codes.items():
        yield f"  text      {column} ({why})"
    for column, why in proposal.excluded.items():
        yield f"  left out  {column} ({why})"
    yield from (f"  a first model {line}" for line in _first_model(proposal))
    guessed = [f"--{name} COLUMN" for name, role in roles.items() if not role.sure]
    if guessed:
        file = shlex.quote(str(target))
        again = shlex.join(["airflow", "mlops", "new", proposal.name, "--from", source])
        yield f"where a guess is wrong, say it: rm {file}, then {again} -o {file} {' '.join(guessed)}"
    yield f"look through it, and run it through once: airflow mlops validate {target} --against-data"
    end = proposal.document()["schedule"].get("end")
    conf = f""" --conf '{{"as_of": "{end}T00:00:00Z"}}'""" if end else ""
    dag = f"{proposal.name}.train"
    yield f"then, with the file in the folder of models: airflow dags unpause {dag} --yes"
    yield f"  and for the first model: airflow dags trigger {dag}{conf}"


def _first_model(proposal: Proposal) -> Iterator[str]:
    found = proposal.rehearsal
    if found is None:
        return
    if found.decision is None:
        yield from (f"cannot be trained yet: {problem}" for problem in found.problems)
        return
    verdict = {"accept": "would be accepted", "reject": "would be refused"}.get(found.decision.verdict.value, "is open")
    yield f"{verdict}: {found.reason}"
