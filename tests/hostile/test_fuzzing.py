"""Specifications that nobody has thought of: a coverage-guided search, short here, half an hour in `make chaos`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.fuzzing import Found, fuzz
from tests.spec.samples import TEN_LINES

ROOT = Path(__file__).parents[2]
SEEDS = [
    TEN_LINES.encode(),
    *(path.read_bytes() for path in sorted((ROOT / "dags" / "models").glob("*.yaml"))),
    *(path.read_bytes() for path in sorted((ROOT / "tests" / "spec" / "broken").glob("*.yaml"))),
]


def told(found: Found) -> str:
    return "\n".join(f"{problem[:300]}\n{content[:2000]!r}" for problem, content in found.failures[:5])


def test_a_short_search_finds_nothing_and_goes_further_than_its_seeds() -> None:
    begun = fuzz(SEEDS, seconds=60, most=len(SEEDS))
    found = fuzz(SEEDS, seconds=60, most=len(SEEDS) + 400)
    assert found.failures == [], told(found)
    assert len(found.arcs) > len(begun.arcs)
    assert found.accepted > 0


@pytest.mark.chaos
def test_half_an_hour_of_search_finds_nothing() -> None:
    found = fuzz(SEEDS, seconds=1800, seed=1)
    print(f"{found.tried:,} files, {len(found.arcs):,} arcs, {len(found.corpus):,} kept, {found.accepted:,} accepted")
    assert found.failures == [], told(found)
    assert found.tried > 1000
