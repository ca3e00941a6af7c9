"""`airflow mlops validate`: no database, no network, nothing imported that a file names, unless it is asked for."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path


def validate(args: Namespace) -> None:
    """Print `ok` or every problem of each file; with `--against-data` also what a training on its rows would find.

    Raises
    ------
    SystemExit
        With status 1 when any file has a problem, or when there is no file.
    """
    from airflow_mlops.spec import SpecError, load_spec

    failed = 0
    for path in _files(args.paths):
        try:
            spec = load_spec(path)
        except SpecError as error:
            failed += 1
            print(f"{path}: {len(error.problems)} problem{'s' if len(error.problems) != 1 else ''}")
            print("\n".join(f"  {problem}" for problem in error.problems))
        else:
            print(f"{path}: ok ({spec.name}, {spec.fingerprint[:12]})")
            if args.against_data:
                from airflow_mlops.cli._against_data import try_training

                failed += not try_training(spec, _instant(args.as_of))
    if failed:
        raise SystemExit(1)


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    from airflow_mlops.asof import parse_as_of

    return parse_as_of(text)


def _files(paths: Iterable[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        found = sorted((*path.glob("*.yaml"), *path.glob("*.yml")))
        if not found:
            print(f"{path}: no .yaml file in this folder", file=sys.stderr)
            raise SystemExit(1)
        yield from found
