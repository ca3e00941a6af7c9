"""Honest tasks are not refused, and planted leaks do not pass. The long version is benchmarks/leakage.py."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from airflow_mlops.core.records.decision import Verdict
from tests.support.leakage_worlds import ASKED_ONLY, HONEST, HONEST_TOO, PLANTED, look

REFUSED = 0.01
"""Share of honest tasks that may be refused."""
ASKED = 0.2


def test_honest_tasks_are_not_refused_and_few_are_asked_about() -> None:
    rng = np.random.default_rng(11)
    worlds = [family(rng) for family, count in (*HONEST, *HONEST_TOO) for _ in range(max(2, count // 7))]
    seen = [look(*world) for world in worlds]
    assert len(seen) >= 30
    refused = sum(one.verdict is Verdict.REJECT for one in seen)
    asked = sum(one.verdict is Verdict.INCONCLUSIVE for one in seen)
    # more would be seen once in a thousand times, if the shares are what is said
    assert refused <= binom.isf(0.001, len(seen), REFUSED)
    assert asked <= binom.isf(0.001, len(seen), ASKED)


@pytest.mark.parametrize("name", PLANTED)
def test_planted_leaks_do_not_pass(name: str) -> None:
    seen = look(*PLANTED[name](np.random.default_rng(12)))
    assert seen.verdict is (Verdict.INCONCLUSIVE if name in ASKED_ONLY else Verdict.REJECT)
    assert seen.words
