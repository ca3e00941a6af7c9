"""Where a backtest keeps what it has finished, so that after any interruption nothing of it is computed again."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.ports import DataStore, Storage
from airflow_mlops.core.records.backtest import Answer
from airflow_mlops.core.records.base import Record
from airflow_mlops.core.snapshot import ContentHash
from airflow_mlops.core.source_digest import source_digest
from airflow_mlops.spec.problems import Problem, ReasonCode

if TYPE_CHECKING:
    from airflow_mlops.core.backtest.plan import Plan
    from airflow_mlops.spec.model import ModelSpec

Found = TypeVar("Found", bound=Answer)
_PACKAGES = ("airflow-mlops", "scikit-learn", "numpy", "pandas", "pyarrow")


@dataclass(frozen=True, kw_only=True)
class Identity(Record):
    """What a folder of finished work is about: whatever differs here makes other results."""

    model: str
    spec: str
    """Fingerprint of what a training depends on: :attr:`ModelSpec.fingerprint`, and the expectations."""
    data: str
    """SHA-256 of every row that the replay may look at."""
    rows: int
    start: datetime
    end: datetime
    every_seconds: float
    packages: str
    """Versions that make the numbers."""
    code: str
    """SHA-256 of the stages and the specification's code: a version number does not tell two working trees apart."""
    place: str = ""
    """URI of the folder: records in it name files by their whole URI."""

    @property
    def name(self) -> str:
        """A folder of this name holds this work and no other."""
        return f"backtests/{self.model}/{self.digest[:16]}"


def identity_of(plan: Plan, store: DataStore) -> Identity:
    """Read every row of the span once, and say what the work is about.

    Raises
    ------
    DataError
        If the source cannot be read, or has no row in the span.
    """
    known, time = plan.known, plan.spec.data.time
    content = None
    for batch in store.read(known, time, [column.name for column in store.schema()]):
        content = content or ContentHash(batch.schema)
        content.update(batch)
    if content is None or not content.rows:
        raise DataError(
            Problem(
                code=ReasonCode.WINDOW_EMPTY,
                field="--from",
                found=f"no row of {store.description} in {known}",
                allowed="a span that the source has rows of",
                fix="choose --from and --to inside the history, or check data.source and [mlops] data_root",
            ),
            subject=f"backtest of {plan.spec.name}",
        )
    return Identity(
        model=plan.spec.name,
        spec=digest(plan.spec.fingerprint, _dump(plan.spec, "validation")),
        data=content.hexdigest(),
        rows=content.rows,
        start=plan.start,
        end=plan.end,
        every_seconds=plan.every.total_seconds(),
        packages=_versions(),
        code=source_digest(),
    )


def digest(*parts: Any) -> str:
    """Name a piece of work after everything that it depends on: plain JSON data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:24]


class State:
    """The folder of finished work: `state.json`, and one file for each answer and each model.

    Every file appears whole or not at all, so that a process may be killed at any place.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def claim(self, identity: Identity) -> None:
        """Begin, or go on with, the work that `identity` names.

        Raises
        ------
        RecordError
            If the folder holds other work: every difference.
        """
        here = replace(identity, place=self.storage.root)
        if not self.storage.exists("state.json"):
            self.storage.write_text("state.json", here.to_text())
            return
        found = Identity.from_json(self.storage.read_text("state.json"))
        problems = [self._other(*difference) for difference in _differences(found, here)]
        if problems:
            raise RecordError(problems, subject=f"backtest of {identity.model}")

    def _other(self, what: str, found: str, wanted: str) -> Problem:
        return Problem(
            code=ReasonCode.RECORD_CONFLICT,
            field="--state",
            found=f"{self.storage.root} holds a backtest with {what} {found}",
            allowed=f"one with {wanted}",
            fix="name another folder, or leave --state out: then each has its own",
        )

    def find(self, kind: type[Found], key: str) -> Found | None:
        """Return a finished answer; None while there is none."""
        path = f"answers/{kind.__name__.lower()}/{key}.json"
        return kind.from_json(self.storage.read_text(path)) if self.storage.exists(path) else None

    def get(self, kind: type[Found], key: str) -> Found:
        """Return an answer that must be there.

        Raises
        ------
        RecordError
            If it is not: somebody removed files from the folder.
        """
        found = self.find(kind, key)
        if found is None:
            raise RecordError(
                Problem(
                    code=ReasonCode.RECORD_CONFLICT,
                    field="--state",
                    found=f"no {kind.__name__} {key} in {self.storage.root}, though later work was built on it",
                    allowed="a folder that nobody removed files from",
                    fix="remove the whole folder, and run again",
                )
            )
        return found

    def keep(self, key: str, answer: Answer) -> None:
        """Write a finished answer."""
        self.storage.write_text(f"answers/{type(answer).__name__.lower()}/{key}.json", answer.to_text())

    def keep_model(self, version: int, pipeline: Any, spec: ModelSpec) -> None:
        """Write a fitted pipeline, in the format that the specification names."""
        if spec.training.format == "skops":
            import skops.io

            content = skops.io.dumps(pipeline)
        else:
            import cloudpickle  # type: ignore[import-untyped]

            content = cloudpickle.dumps(pipeline)
        self.storage.write_text(f"models/{version}.{spec.training.format}", base64.b64encode(content).decode())

    def model(self, version: int, spec: ModelSpec) -> Any:
        """Read a fitted pipeline; skops takes only types that are trusted."""
        content = base64.b64decode(self.storage.read_text(f"models/{version}.{spec.training.format}"))
        if spec.training.format == "skops":
            import skops.io

            from airflow_mlops.core.pipeline.trusted_types import trusted_types

            return skops.io.loads(content, trusted=list(trusted_types(spec)))
        import pickle

        return pickle.loads(content)  # noqa: S301 - the specification chose this format: it trusts its own folders


def _differences(found: Identity, wanted: Identity) -> Iterator[tuple[str, str, str]]:
    pairs = {
        "the model": (found.model, wanted.model),
        "the specification": (found.spec[:12], wanted.spec[:12]),
        "the data": (f"{found.data[:12]} ({found.rows:,} rows)", f"{wanted.data[:12]} ({wanted.rows:,} rows)"),
        "the span": (_span(found), _span(wanted)),
        "the packages": (found.packages, wanted.packages),
        "airflow_mlops code": (found.code[:12], wanted.code[:12]),
        "the place": (found.place, wanted.place),
    }
    yield from ((what, one, other) for what, (one, other) in pairs.items() if one != other)


def _span(identity: Identity) -> str:
    days = identity.every_seconds / 86400
    return f"{identity.start:%Y-%m-%dT%H:%M} to {identity.end:%Y-%m-%dT%H:%M} every {days:g} days"


def _dump(spec: ModelSpec, part: str) -> Any:
    return spec.model_dump(mode="json")[part]


@cache
def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # a source tree that was never installed
            continue
    return ", ".join(found)
