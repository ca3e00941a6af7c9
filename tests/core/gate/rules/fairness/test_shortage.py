"""A bound that rows are missing for: they are named, and so many would do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.gate.rules.fairness.judge import judge
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.spec.problems import ReasonCode
from tests.core.gate.rules.fairness.test_judge import ODDS, PARITY, bench_for, rule_for, sample

WAYS = ("wait", "record", "pool")


def small(rows: int = 160, **rule: Any) -> RuleResult:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.5, "M": 0.5}, rows)
    return rule_for(judge(bench_for(frame, judged, block, **rule)), PARITY)


def test_the_missing_rows_are_named_and_how_long_a_holdout_has_them() -> None:
    found = small()
    assert (found.verdict, found.code, found.value) == (Verdict.INCONCLUSIVE, ReasonCode.GROUPS_UNDECIDED, None)
    assert "the bound 0.1 takes 192 rows in each of two groups" in found.reason
    assert "missing are rows of sex = " in found.reason
    assert " of 192 rows)" in found.reason
    assert "a gate.holdout of about " in found.reason
    assert "gate.fairness.undecided = wait: the champion stays" in found.reason
    assert found.rows_needed is not None
    assert 380 < found.rows_needed < 480


def test_with_the_rows_that_it_names_it_is_decided() -> None:
    needed = small().rows_needed
    assert needed is not None
    assert small(needed + 30).code is not ReasonCode.GROUPS_UNDECIDED


def test_a_wider_bound_and_a_rarer_prediction_need_fewer_rows() -> None:
    assert small(**{f"max_{PARITY}": 0.3}).verdict is Verdict.ACCEPT
    frame, judged, block = sample(np.random.default_rng(2), {"F": 0.05, "M": 0.05}, 160)
    assert rule_for(judge(bench_for(frame, judged, block)), PARITY).verdict is Verdict.ACCEPT


def test_odds_count_the_rows_that_a_rate_is_of() -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.5, "M": 0.5}, 2000)
    judged.y_true[:] = (np.arange(2000) % 40 == 0).astype(int)  # 25 of 1,000 rows of a group are true
    found = judge(bench_for(frame, judged, block))
    assert rule_for(found, PARITY).verdict is Verdict.ACCEPT
    result = rule_for(found, ODDS)
    assert result.code is ReasonCode.GROUPS_UNDECIDED
    assert "rows where it is true)" in result.reason
    assert {group.value: group.judged for group in found.evidence["groups"]} == {"F": True, "M": True}


@pytest.mark.parametrize("way", WAYS)
def test_what_was_seen_above_its_bound_is_never_waived(way: str) -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.42, "M": 0.58}, 400)
    inputs = bench_for(frame, judged, block, undecided="wait" if way == "pool" else way)
    result = rule_for(judge(inputs), PARITY)
    assert (result.verdict, result.code, result.enforced) == (Verdict.INCONCLUSIVE, ReasonCode.GROUPS_DIFFER, True)
    assert result.rows_needed is not None
    assert result.rows_needed > 400


def test_so_many_rows_would_have_made_a_difference_sure() -> None:
    rng = np.random.default_rng(1)
    frame, judged, block = sample(rng, {"F": 0.42, "M": 0.58}, 400)
    needed = rule_for(judge(bench_for(frame, judged, block)), PARITY).rows_needed
    assert needed is not None
    many = [np.tile(part, -(-needed // 400)) for part in (frame.sex.to_numpy(), judged.y_true, judged.y_pred)]
    again = replace(judged, y_true=many[1], y_pred=many[2], probabilities=None)
    wide = pd.DataFrame({"sex": many[0]})
    found = rule_for(judge(bench_for(wide, again, rng.integers(0, 200, len(wide)))), PARITY)
    assert found.verdict is Verdict.REJECT


def test_one_group_only_is_still_a_rejection() -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.5}, 500)
    (result,) = judge(bench_for(frame, judged, block, undecided="record")).rules
    assert (result.verdict, result.code) == (Verdict.REJECT, ReasonCode.GROUP_MISSING)


def test_a_difference_of_the_primary_metric_needs_the_rows_of_its_own_spread() -> None:
    rng = np.random.default_rng(3)
    frame, judged, block = sample(rng, {"F": 0.5, "M": 0.5}, 400)
    off = {f"max_{PARITY}": None, f"max_{ODDS}": None}
    wide = rule_for(judge(bench_for(frame, judged, block, max_metric_difference=0.5, **off)), "log_loss")
    assert wide.verdict is Verdict.ACCEPT
    tight = rule_for(judge(bench_for(frame, judged, block, max_metric_difference=0.01, **off)), "log_loss")
    assert tight.code is ReasonCode.GROUPS_UNDECIDED


def test_a_difference_that_is_sure_on_few_rows_needs_no_more() -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.1, "M": 0.9}, 160)
    for way in ("wait", "record"):
        result = rule_for(judge(bench_for(frame, judged, block, undecided=way)), PARITY)
        assert (result.verdict, result.code, result.enforced) == (Verdict.REJECT, ReasonCode.GROUPS_DIFFER, True)
