"""Where a backtest keeps what it has finished, so that after any interruption nothing of it is computed again."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
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
RECENT = 256
"""Answers that a process keeps in memory: the next steps ask for the same ones."""
FIX_OTHER = "name another folder, or leave --state out: then each has its own"
FIX_DAMAGED = "remove the whole folder, and run again"
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
    for batch in store.read(known, time, [column.name for column in store.schema(known, time)]):
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
        spec=digest(plan.spec.fingerprint, plan.spec.model_dump(mode="json")["validation"]),
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


class UnfinishedError(Exception):
    """An answer is not there yet, and the cache that was asked may only look."""


class KeyLocks:
    """A lock for each key, that all processes of a machine share: a byte each of one file, however many keys.

    The system frees what a process held when it ends, however it ends.
    """

    def __init__(self, path: Path) -> None:
        # Open as long as the process lives: to close it would free everything that the process holds.
        self._file = os.open(path, os.O_RDWR)

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Wait until no other process holds the key, and hold it.

        Parameters
        ----------
        key
            Hexadecimal digits, 15 at least: the first ones say the byte. Keys that begin alike wait for each other.
        """
        import fcntl

        place = int(key[:15], 16)
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, place)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)


class ResultCache:
    """The folder of finished work: `state.json`, and one file for each answer and each model.

    Every file appears whole or not at all, so that a process may be killed at any place; none is ever changed.

    Parameters
    ----------
    storage
        The folder.
    locks
        Shared with the other processes that work on the folder. None: nobody else does.
    frozen
        Whether to compute nothing: an answer that is missing is an `UnfinishedError` then.
    """

    def __init__(self, storage: Storage, locks: KeyLocks | None = None, *, frozen: bool = False) -> None:
        self.storage, self._locks, self._frozen = storage, locks, frozen
        self._recent: Any = lru_cache(maxsize=RECENT)(self._read)

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
        problems = [
            self._conflict(f"a backtest with {what} {one}", f"one with {other}", FIX_OTHER)
            for what, one, other in _differences(found, here)
        ]
        if problems:
            raise RecordError(problems, subject=f"backtest of {identity.model}")

    def remember(self, kind: type[Found], task: str, on: Sequence[Any], compute: Callable[[], Found]) -> Found:
        """Return the answer to a task; compute it if nobody has, and keep it with the seconds that it took.

        Parameters
        ----------
        kind
            Record of the answer.
        task
            In words, for whoever reads of its failure.
        on
            What the answer depends on beside the folder's identity: plain JSON data. With `kind` it is the key.
        compute
            Called at most once for a key, by whichever process comes first; the others wait for its answer.

        Raises
        ------
        RecordError
            If a finished answer cannot be read: it was changed or cut off.
        UnfinishedError
            If there is no answer, and the cache is frozen.
        Exception
            What `compute` raises, with a note that names the task.
        """
        found = self.find(kind, on)
        if found is not None:
            return found
        if self._frozen:
            raise UnfinishedError(task)
        with nullcontext() if self._locks is None else self._locks.hold(digest(kind.__name__, on)):
            return self.find(kind, on) or self._compute(task, _path(kind, on), compute)

    def find(self, kind: type[Found], on: Sequence[Any]) -> Found | None:
        """Return a finished answer; None while there is none."""
        path = _path(kind, on)
        found: Found | None = self._recent(kind, path) if self.storage.exists(path) else None
        return found

    def _compute(self, task: str, path: str, compute: Callable[[], Found]) -> Found:
        began = time.perf_counter()
        try:
            made = compute()
        except Exception as error:
            error.add_note(f"while at work on: {task}")
            raise
        answer = replace(made, seconds=round(time.perf_counter() - began, 4))
        self.storage.write_text(path, answer.to_text())
        return answer

    def _read(self, kind: type[Found], path: str) -> Found:
        try:
            return kind.from_json(self.storage.read_text(path))
        except RecordError as error:
            raise self._damaged(path) from error

    def keep_model(self, version: int, pipeline: Any, spec: ModelSpec) -> None:
        """Write a fitted pipeline, in the format that the specification names, below the digest of its text."""
        if spec.training.format == "skops":
            import skops.io

            content = skops.io.dumps(pipeline)
        else:
            import cloudpickle  # type: ignore[import-untyped]

            content = cloudpickle.dumps(pipeline)
        text = base64.b64encode(content).decode()
        self.storage.write_text(f"models/{version}.{spec.training.format}", f"{_sha256(text)}\n{text}")

    def read_model(self, version: int, spec: ModelSpec) -> Any:
        """Read a fitted pipeline; skops takes only types that are trusted.

        Raises
        ------
        RecordError
            If the file is not what was written.
        """
        path = f"models/{version}.{spec.training.format}"
        written, _, text = self.storage.read_text(path).partition("\n")
        if written != _sha256(text):
            raise self._damaged(path)
        content = base64.b64decode(text)
        if spec.training.format == "skops":
            import skops.io

            from airflow_mlops.core.pipeline.trusted_types import trusted_types

            return skops.io.loads(content, trusted=list(trusted_types(spec)))
        import pickle

        return pickle.loads(content)  # noqa: S301 - the specification chose this format: it trusts its own folders

    def _damaged(self, path: str) -> RecordError:
        return RecordError(self._conflict(f"a damaged file {path}", "files as they were written", FIX_DAMAGED))

    def _conflict(self, holds: str, allowed: str, fix: str) -> Problem:
        found = f"{self.storage.root} holds {holds}"
        return Problem(code=ReasonCode.RECORD_CONFLICT, field="--state", found=found, allowed=allowed, fix=fix)


def _path(kind: type[Answer], on: Sequence[Any]) -> str:
    return f"answers/{kind.__name__.lower()}/{digest(on)}.json"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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
