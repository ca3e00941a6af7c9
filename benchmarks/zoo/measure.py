"""The whole zoo: streams side by side, one core each, and what is finished is not run again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from airflow_mlops.core.backtest.pool import end_with_parent
from benchmarks.report import RESULTS, Table
from benchmarks.zoo.facts import Facts
from benchmarks.zoo.folders import KnownStream, write_stream
from benchmarks.zoo.referee import Finding, judge
from benchmarks.zoo.streams import ZOO, Variant
from benchmarks.zoo.table import make_table, score_of

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SHORT = ("stable_binary", "stable_calendar", "small", "sudden", "unit_fault", "vanishing_class")
"""Streams of the short zoo: those that half a year can tell of."""
SHORT_WEEKS = 26


@dataclass(frozen=True, kw_only=True)
class Zoo:
    """Which streams, and where they and what is finished of them are kept."""

    seed: int = 1
    variant: Variant = "shared"
    weeks: int = 52
    folder: Path = RESULTS / "zoo"
    own: bool = False
    """Whether only the specification's own policy is replayed, and none that it is compared with."""

    @property
    def name(self) -> str:
        """Folder of a zoo with these numbers."""
        return f"{self.variant}-{self.seed}-{self.weeks}"

    @property
    def runs(self) -> Path:
        """Folder of the finished work; code that decides otherwise has another one."""
        from airflow_mlops.core.source_digest import source_digest

        return self.folder.resolve() / "runs" / source_digest()[:12] / self.name

    def stream(self, name: str) -> KnownStream:
        """Write a stream, unless it was, and read its truth."""
        place = self.folder.resolve() / "streams" / self.name / name
        return write_stream(name, place, self.seed, self.variant, self.weeks)


def measure(zoo: Zoo, names: Sequence[str] = tuple(ZOO), workers: int = 2) -> tuple[Table, dict[str, Any]]:
    """Run the streams, and hold each against its truth.

    Parameters
    ----------
    names
        Which streams.
    workers
        Streams that are run side by side, each in a process of its own with one thread.
    """
    findings = judge_streams(zoo, names, workers)
    score = score_of(findings)
    title = f"Zoo of {len(findings)} streams, {zoo.variant} numbers, seed {zoo.seed}, {zoo.weeks} weeks"
    found = {"seed": zoo.seed, "variant": zoo.variant, "weeks": zoo.weeks, "score": score}
    return make_table(title, findings), {**found, "findings": [asdict(finding) for finding in findings]}


def judge_streams(zoo: Zoo, names: Sequence[str], workers: int) -> list[Finding]:
    """Run the streams; return what the referee says of each, in the order of the names."""
    facts = {}
    with _one_thread_each(), ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        running = [pool.submit(run, zoo, name) for name in names]
        for ended in as_completed(running):
            found = ended.result()
            facts[found.name] = found
            print(f"  {found.name}: {found.crash or f'{found.seconds:.0f} s'}", file=sys.stderr, flush=True)
    return [judge(facts[name], zoo.stream(name).truth) for name in names]


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that are started meanwhile use one thread: there is one for each core."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def run(zoo: Zoo, name: str) -> Facts:
    """Run one stream, unless it is finished; what crashed is run again."""
    import warnings

    from benchmarks.zoo.run import run_stream

    # What a stream makes scikit-learn say of a class without rows, or of values never seen, is no news here.
    warnings.filterwarnings("ignore")
    kept = zoo.runs / f"{name}.{'own.' if zoo.own else ''}json"
    if kept.exists():
        found = Facts.from_text(kept.read_text())
        if found.crash is None:
            return found
    found = run_stream(zoo.stream(name), zoo.runs / name, own=zoo.own)
    half = kept.with_suffix(".half")
    half.write_text(found.to_text())
    half.replace(kept)
    return found
