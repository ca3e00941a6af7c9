"""Holdouts of groups that a model selects with known rates, on thirty days that may shift all of them, or one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from airflow_mlops.core.gate.rules.fairness.judge import judge
from airflow_mlops.core.records.decision import Verdict
from tests.support.rule_inputs import bench_of, binary

PARITY = "demographic_parity_difference"
DAYS = 30


def verdict_of(
    rates: Sequence[float], rows: int, seed: int, *, shared: float = 0.0, own: float = 0.0, bound: float = 0.1
) -> Verdict:
    """What the rule says of groups of so many rows each.

    Parameters
    ----------
    rates
        With which each group is selected.
    shared, own
        Standard deviation of what a day adds to the rate of all groups, and to that of the first alone.
    """
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(rates)), rows)
    day = rng.integers(0, DAYS, len(group))
    rate = np.asarray(rates)[group] + shared * rng.normal(size=DAYS)[day]
    rate = rate + np.where(group == 0, own * rng.normal(size=DAYS)[day], 0.0)
    said = rng.random(len(group)) < rate
    judged = binary(rng.integers(0, 2, len(group)), np.where(said, 0.8, 0.2))
    inputs = bench_of(
        pd.DataFrame({"group": group.astype(str)}),
        judged,
        block=day,
        comparison={"resamples": 400},
        fairness={"columns": ["group"], f"max_{PARITY}": bound, "max_equalized_odds_difference": None},
    )
    (result,) = [one for one in judge(inputs).rules if one.metric == PARITY]
    return result.verdict
