"""A coverage-guided fuzzer of specifications: what reaches new lines of the reader is kept, and changed further.

The one that is kept for Python (atheris) comes with a compiler's runtime of its own, for some interpreters, and
hypothesis knows no lines; so this is the loop of such a fuzzer and nothing else: a corpus, mutations of bytes and of
YAML's own pieces, and the arcs between lines of `airflow_mlops/spec` that an input takes, told by `sys.settrace`.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from airflow_mlops import spec as spec_package
from airflow_mlops.spec import ModelSpec, SpecError, load_spec

WATCHED = str(Path(spec_package.__file__).parent)
MOST_SECONDS = 5.0
"""CPU of one file: what takes longer would make Airflow's parsing of a folder slow."""
LONGEST_WORDS = 200_000
PIECES = [
    *(
        "\n",
        "  ",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "!!python/object:os.system ",
        "!!set ",
        "| ",
        "> ",
    ),
    *(
        "null",
        "true",
        "~",
        "1e999",
        ".nan",
        "-0",
        "0x1F",
        "2026-01-01",
        "60d",
        "-1d",
        "''",
        '"\\ud800"',
        "\0",
        "\u2028",
    ),
    *("<<: ", "? ", "%YAML 1.2\n", "---\n", "...\n", "#", "\ufeff", "@daily", "*/0 * * * *", "0 0 31 2 *", "\t", "\r"),
    *("https://ada:pw@h/x", "s3://k:a/b@c", "{{ event }}", "{{ ''.__class__ }}", "os.system", "sklearn.svm.SVC"),
    *("a: b == 1 and not c", "a == @x", "SELECT * FROM t WHERE a >= :window_start", "x" * 300, "9" * 400, "\U0001f600"),
]


@dataclass
class Found:
    """What a search came to."""

    tried: int = 0
    arcs: set[tuple[str, int, int]] = field(default_factory=set)
    corpus: list[bytes] = field(default_factory=list)
    accepted: int = 0
    failures: list[tuple[str, bytes]] = field(default_factory=list)


def fuzz(seeds: Sequence[bytes], *, seconds: float, most: int = sys.maxsize, seed: int = 0) -> Found:
    """Search for files that break the reader, for so many seconds of CPU or so many files.

    A failure is an exception that is no SpecError, one whose words are not bounded or hold a half pair, or a file that
    takes too long.
    """
    chance, found = random.Random(seed), Found()  # noqa: S311 - a search that can be repeated
    until = time.process_time() + seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.yaml"
        for content in seeds:
            _try(content, path, found)
        found.corpus = found.corpus or [*seeds]
        while time.process_time() < until and found.tried < most:
            _try(_mutated(chance, found.corpus), path, found)
    return found


def _try(content: bytes, path: Path, found: Found) -> None:
    path.write_bytes(content)
    arcs: set[tuple[str, int, int]] = set()
    begun = time.process_time()
    problem = _traced(lambda: _read(path, found), arcs)
    if problem is None and time.process_time() - begun > MOST_SECONDS:
        problem = f"{time.process_time() - begun:.1f} seconds"
    found.tried += 1
    if problem is not None:
        found.failures.append((problem, content))
    if not arcs <= found.arcs:
        found.arcs |= arcs
        found.corpus.append(content)


def _read(path: Path, found: Found) -> str | None:
    try:
        made = load_spec(path)
    except SpecError as error:
        words = str(error)
        words.encode()
        if len(words) > LONGEST_WORDS or not error.problems or "\0" in words:
            return f"words that are not bounded: {len(words)}"
        return next((words for problem in error.problems if "reading it raised" in problem.found), None)
    except BaseException as error:  # noqa: BLE001 - that is what is searched for
        return f"{type(error).__name__}: {error}"
    found.accepted += 1
    return None if ModelSpec.model_validate(made.model_dump(mode="json")) == made else "read again, it is another one"


def _traced(run: Callable[[], str | None], arcs: set[tuple[str, int, int]]) -> str | None:
    last: dict[int, int] = {}

    def line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            now = frame.f_lineno
            arcs.add((frame.f_code.co_filename, last.get(id(frame), 0), now))
            last[id(frame)] = now
        return line

    def call(frame: FrameType, _event: str, _: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(WATCHED) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - what reading again raises
        return f"{type(error).__name__}: {error}"
    finally:
        sys.settrace(before)


def _mutated(chance: random.Random, corpus: Sequence[bytes]) -> bytes:
    content = bytearray(chance.choice(corpus[-200:] if chance.random() < 0.5 else corpus))
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        content = bytearray(chance.choice(_MUTATIONS)(chance, content, corpus))
    return bytes(content[:300_000])


def _span(chance: random.Random, content: bytes | bytearray, most: int = 200) -> tuple[int, int]:
    start = chance.randrange(len(content) + 1)
    return start, min(len(content), start + chance.randrange(1, most))


def _insert(chance: random.Random, content: bytearray, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(content) + 1)
    return bytes(content[:at]) + chance.choice(PIECES).encode() + bytes(content[at:])


def _flip(chance: random.Random, content: bytearray, _: Sequence[bytes]) -> bytes:
    if content:
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


def _delete(chance: random.Random, content: bytearray, _: Sequence[bytes]) -> bytes:
    start, end = _span(chance, content)
    return bytes(content[:start] + content[end:])


def _repeat(chance: random.Random, content: bytearray, _: Sequence[bytes]) -> bytes:
    start, end = _span(chance, content)
    return bytes(content[:end] + content[start:end] * chance.choice((1, 2, 30, 500)) + content[end:])


def _cross(chance: random.Random, content: bytearray, corpus: Sequence[bytes]) -> bytes:
    other = chance.choice(corpus)
    start, end = _span(chance, other)
    at = chance.randrange(len(content) + 1)
    return bytes(content[:at]) + other[start:end] + bytes(content[at:])


def _replace_line(chance: random.Random, content: bytearray, corpus: Sequence[bytes]) -> bytes:
    lines, others = bytes(content).split(b"\n"), chance.choice(corpus).split(b"\n")
    lines[chance.randrange(len(lines))] = chance.choice(others)
    return b"\n".join(lines)


def _replace_value(chance: random.Random, content: bytearray, _: Sequence[bytes]) -> bytes:
    lines = bytes(content).split(b"\n")
    at = chance.randrange(len(lines))
    name, colon, _value = lines[at].partition(b":")
    if colon:
        lines[at] = name + b": " + chance.choice(PIECES).encode()
    return b"\n".join(lines)


_MUTATIONS = (_insert, _insert, _flip, _delete, _repeat, _cross, _replace_line, _replace_value, _replace_value)
