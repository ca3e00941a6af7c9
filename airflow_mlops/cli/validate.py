"""`airflow mlops validate`: no database, no network, nothing imported that a file names, unless data is asked for."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from airflow_mlops.cli.printed import say

if TYPE_CHECKING:
    from airflow_mlops.core.records.snapshot import Snapshot
    from airflow_mlops.core.rehearsal import Rehearsal
    from airflow_mlops.spec import ModelSpec
    from airflow_mlops.spec.problems import Problem


_SHOWN = 20
"""Names that are listed at most."""


def validate(args: Namespace) -> None:
    """Print `ok` or every problem of each file; with `against_data`, also what its first training run would find.

    Parameters
    ----------
    args
        `paths`, `against_data`, `as_of`.

    Raises
    ------
    SystemExit
        With status 1 when any file has a problem, or when there is no file.
    """
    from airflow_mlops.spec import SpecError, load_spec
    from airflow_mlops.spec.platform_checks import problems_of_platform
    from airflow_mlops.spec.problems import Refusal

    failed = 0
    files = list(_files(args.paths))
    shared = _shared_with_others(files)
    for path in files:
        try:
            spec = load_spec(path)
            if path in shared:
                raise SpecError(shared[path])
            # A package that is not here is said better by the rehearsal, which asks for it.
            foreign = problems_of_platform(spec, everything=not args.against_data)
            if foreign:
                raise SpecError(foreign)
            rehearsal = _rehearsed(spec, args.as_of) if args.against_data else None
        except Refusal as refusal:
            failed += 1
            _print_problems(path, refusal.problems)
            continue
        problems = () if rehearsal is None else rehearsal.problems
        failed += bool(problems)
        if problems:
            _print_problems(path, problems)
        else:
            say(f"{path}: ok ({spec.name}, {spec.fingerprint[:12]})")
        if rehearsal is not None:
            say("\n".join(f"  {line}" for line in _seen(spec, rehearsal)))
    if failed:
        raise SystemExit(1)


def _shared_with_others(files: Sequence[Path]) -> dict[Path, tuple[Problem, ...]]:
    """Files that name a registered model or an experiment of another file among those that are looked at."""
    from airflow_mlops.spec import SpecError, load_spec
    from airflow_mlops.spec.shared_places import shared_places

    read: dict[str, ModelSpec] = {}
    for path in files:
        try:
            spec = load_spec(path)
        except SpecError:
            continue  # it is told when its turn comes
        if not any(spec.name == other.name for other in read.values()):
            read[str(path)] = spec
    return {Path(name): problems for name, problems in shared_places(read).items()}


def _print_problems(path: Path, problems: tuple[Problem, ...]) -> None:
    say(f"{path}: {len(problems)} problem{'s' if len(problems) != 1 else ''}")
    say("\n".join(f"  {problem}" for problem in problems))


def _rehearsed(spec: ModelSpec, as_of: str | None) -> Rehearsal:
    from airflow_mlops.asof import parse_as_of
    from airflow_mlops.cli._common import look_up_connections, now
    from airflow_mlops.config import settings
    from airflow_mlops.core.rehearsal import newest_as_of, rehearse
    from airflow_mlops.stores.open_source import open_rows
    from airflow_mlops.stores.storage.storage import open_storage

    look_up_connections()
    moment = now()
    store = open_rows(spec, data_root=settings().data_root)
    instant = newest_as_of(spec, store, moment) if as_of is None else parse_as_of(as_of)
    with TemporaryDirectory(prefix="mlops-validate-") as folder:
        return rehearse(spec, store, open_storage(folder), as_of=instant, now=moment)


def _seen(spec: ModelSpec, found: Rehearsal) -> Iterator[str]:
    """What the first training run would have, for a person to look through."""
    yield f"as of       {found.as_of:%Y-%m-%d %H:%M} UTC"
    snapshot, candidate = found.snapshot, found.candidate
    if snapshot is not None:
        yield f"rows        {snapshot.rows:,} with a label in {snapshot.window}, {snapshot.unlabelled:,} without"
        yield from (f"known       {issue}" for issue in snapshot.known_issues)
    if candidate is not None and snapshot is not None:
        yield f"training    {candidate.train_rows:,} rows; {candidate.holdout_rows:,} are judged on"
        for role in ("numeric", "categorical", "time"):
            names = [feature.name for feature in candidate.features if feature.role == role]
            if role == "time" and not names:
                continue
            rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            yield f"{role:<12}{', '.join(names[:_SHOWN]) or 'none'}{rest}"
        used = {feature.name for feature in candidate.features}
        yield from _left_out(spec, snapshot, used)
        if candidate.classes:
            shown = [f"{one} (positive)" if one == candidate.positive else str(one) for one in candidate.classes[:10]]
            yield f"label       {spec.data.label}: {', '.join(shown)}"
    if found.decision is not None:
        words = {"accept": "would accept", "reject": "would refuse", "inconclusive": "would leave open"}
        yield f"the gate    {words[found.decision.verdict.value]} a first model: {found.reason}"


def _files(paths: Iterable[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        found = sorted((*path.glob("*.yaml"), *path.glob("*.yml")))
        if not found:
            say(f"{path}: no .yaml file in this folder", file=sys.stderr)
            raise SystemExit(1)
        yield from found


def _left_out(spec: ModelSpec, snapshot: Snapshot, used: set[str]) -> Iterator[str]:
    """Columns of the source that the model does not see, and why."""
    roles = {spec.data.time, spec.data.label, *spec.data.key, spec.data.weight, spec.gate.champion.entity}
    listed = bool(spec.features.numeric or spec.features.categorical)
    for column in snapshot.source_columns:
        if column.name in used or column.name in roles:
            continue
        why = f"{column.type} is no feature by itself"
        if column.name in spec.features.exclude:
            why = "features.exclude"
        elif listed:
            why = "not listed in features"
        yield f"left out    {column.name} ({why})"
