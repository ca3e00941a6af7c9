"""Fairness against fairlearn and brute force, the verdicts, and the coverage of the intervals."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fl
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.gate.rules.fairness.group_rates import measures
from airflow_mlops.core.gate.rules.fairness.judge import judge
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import Disparity, Group
from airflow_mlops.core.rows.slicing import cut
from airflow_mlops.core.stats.multiple_testing import largest_difference
from airflow_mlops.core.stats.shared_resamples import weights_of
from airflow_mlops.spec.problems import ReasonCode
from tests.support.rule_inputs import bench_of, binary, numbers

PARITY, ODDS = "demographic_parity_difference", "equalized_odds_difference"


def sample(
    rng: np.random.Generator, rates: dict[str, float], rows: int, days: int = 30, weights: Any = None
) -> tuple[pd.DataFrame, LabelledPredictions, Any]:
    """Groups in equal parts, selected with these rates whatever the truth is."""
    sex = rng.choice(list(rates), rows)
    truth = rng.integers(0, 2, rows)
    said = rng.random(rows) < pd.Series(sex).map(rates).to_numpy()
    frame = pd.DataFrame({"sex": sex})
    return frame, binary(truth, np.where(said, 0.8, 0.2), weights), rng.integers(0, days, rows)


def bench_for(
    frame: pd.DataFrame, judged: LabelledPredictions, block: Any = None, metric: str = "log_loss", **rule: Any
) -> RuleInput:
    return bench_of(frame, judged, block=block, metric=metric, fairness={"columns": ["sex"], **rule})


def rule_for(found: RuleOutcome, metric: str) -> RuleResult:
    (result,) = (one for one in found.rules if one.metric == metric)
    return result


def disparity_of(found: RuleOutcome, measure: str) -> Disparity:
    (one,) = (each for each in found.evidence["disparities"] if each.measure == measure)
    return one  # type: ignore[no-any-return]


def groups_of(found: RuleOutcome) -> dict[str, Group]:
    return {group.value: group for group in found.evidence["groups"]}


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.integers(2, 5))
def test_values_are_those_of_fairlearn(seed: int, weighted: bool, groups: int) -> None:
    rng = np.random.default_rng(seed)
    rates = {f"g{number}": float(rate) for number, rate in enumerate(rng.uniform(0.2, 0.8, groups))}
    weights = rng.uniform(0, 2, 1500) if weighted else None
    frame, judged, _ = sample(rng, rates, 1500, weights=weights)
    found = judge(bench_for(frame, judged, min_rows=20))
    given = {"sensitive_features": frame.sex, "sample_weight": weights}
    parity = fl.demographic_parity_difference(judged.y_true, judged.y_pred, **given)
    odds = fl.equalized_odds_difference(judged.y_true, judged.y_pred, **given)
    assert disparity_of(found, PARITY).difference.value == pytest.approx(parity)
    assert disparity_of(found, ODDS).difference.value == pytest.approx(odds)
    for name, group in groups_of(found).items():
        rows = (frame.sex == name).to_numpy()
        mine = None if weights is None else weights[rows]
        assert group.rows == rows.sum()
        args = judged.y_true[rows], judged.y_pred[rows]
        assert group.metrics["true_positive_rate"] == pytest.approx(sk.recall_score(*args, sample_weight=mine))
        assert group.metrics["log_loss"] == pytest.approx(
            sk.log_loss(judged.y_true[rows], judged.known[rows], sample_weight=mine)
        )


def test_several_classes_are_each_taken_against_the_rest() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"sex": rng.choice(["F", "M", "X"], 3000)})
    truth = rng.integers(0, 3, 3000)
    said = np.where((frame.sex == "F") & (rng.random(3000) < 0.3), 2, rng.integers(0, 3, 3000))
    p = np.full((3000, 3), 0.1)
    p[np.arange(3000), said] = 0.8
    judged = LabelledPredictions("multiclass", truth, said, p, None, ("red", "green", "blue"))
    found = judge(bench_for(frame, judged, metric="f1", max_metric_difference=0.5))
    parity = [fl.demographic_parity_difference(truth == k, said == k, sensitive_features=frame.sex) for k in range(3)]
    odds = [fl.equalized_odds_difference(truth == k, said == k, sensitive_features=frame.sex) for k in range(3)]
    assert disparity_of(found, PARITY).difference.value == pytest.approx(max(parity))
    assert disparity_of(found, ODDS).difference.value == pytest.approx(max(odds))
    assert rule_for(found, PARITY).verdict is Verdict.REJECT
    assert "selection rate of class blue" in rule_for(found, PARITY).reason
    assert rule_for(found, "f1").verdict is Verdict.ACCEPT


def test_draws_are_those_of_a_loop_over_resamples() -> None:
    rng = np.random.default_rng(3)
    weights = rng.uniform(0, 2, 1200)
    frame, judged, block = sample(rng, {"F": 0.4, "M": 0.6}, 1200, weights=weights)
    bench = bench_for(frame, judged, block)
    parity, odds, _ = measures(bench, cut(frame.sex, 4, 20).judged)
    drawn = weights_of(block, 6, 1)
    assert len(drawn) == 6
    for number, row in enumerate(drawn):
        given = {"sensitive_features": frame.sex, "sample_weight": row[block] * weights}
        for measure, function in ((parity, fl.demographic_parity_difference), (odds, fl.equalized_odds_difference)):
            ours = measure.draws(block, drawn)[number]
            expected = function(judged.y_true, judged.y_pred, **given)
            assert (ours.max(axis=1) - ours.min(axis=1)).max() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rates", "rows", "verdict", "code"),
    [
        ({"F": 0.5, "M": 0.5}, 4000, Verdict.ACCEPT, None),
        ({"F": 0.3, "M": 0.7}, 4000, Verdict.REJECT, ReasonCode.GROUPS_DIFFER),
        ({"F": 0.42, "M": 0.58}, 400, Verdict.INCONCLUSIVE, ReasonCode.GROUPS_DIFFER),
    ],
)
def test_three_verdicts(rates: dict[str, float], rows: int, verdict: Verdict, code: ReasonCode | None) -> None:
    frame, judged, block = sample(np.random.default_rng(1), rates, rows)
    found = judge(bench_for(frame, judged, block))
    result = rule_for(found, PARITY)
    assert (result.verdict, result.code) == (verdict, code)
    assert result.bound == f"{PARITY} of sex <= 0.1"
    assert result.rows == rows
    for value in ("F (", "M ("):
        assert value in result.reason
    seen = disparity_of(found, PARITY).difference
    assert (result.value, result.lower, result.upper) == (seen.value, seen.lower, seen.upper)
    assert seen.lower <= seen.value <= seen.upper


def test_the_primary_metric_between_groups() -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"sex": rng.choice(["F", "M"], 3000)})
    truth = rng.integers(0, 2, 3000)
    right = rng.random(3000) < np.where(frame.sex == "F", 0.9, 0.6)
    judged = binary(truth, np.where(right == (truth == 1), 0.9, 0.1))
    result = rule_for(judge(bench_for(frame, judged, metric="accuracy", max_metric_difference=0.1)), "accuracy")
    assert result.verdict is Verdict.REJECT
    women = (frame.sex == "F").to_numpy()
    assert result.value == pytest.approx(right[women].mean() - right[~women].mean())
    assert "accuracy" not in {one.metric for one in judge(bench_for(frame, judged, metric="accuracy")).rules}


def test_regression_has_errors_and_no_rates() -> None:
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"sex": rng.choice(["F", "M"], 1000)})
    truth = rng.normal(size=1000)
    bias = np.where(frame.sex == "F", 1.0, 0.0)
    judged = numbers(truth, truth + bias + rng.normal(0, 0.1, 1000))
    found = judge(bench_for(frame, judged, metric="mae", max_metric_difference=0.3))
    assert [one.metric for one in found.rules] == ["mae"]
    assert rule_for(found, "mae").verdict is Verdict.REJECT
    assert groups_of(found)["F"].metrics["mean_error"] == pytest.approx(1, abs=0.02)
    (result,) = judge(bench_for(frame, judged, metric="mae")).rules
    assert (result.verdict, result.bound) == (Verdict.ACCEPT, "reported only")
    asked = judge(bench_for(frame, judged, metric="mae", **{f"max_{ODDS}": 0.2}))
    assert (asked.rules[0].verdict, asked.rules[0].code) == (Verdict.REJECT, ReasonCode.NOT_EVALUATED)


def test_bounds_of_null_are_reported_only() -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.1, "M": 0.9}, 2000)
    found = judge(bench_for(frame, judged, block, **{f"max_{PARITY}": None, f"max_{ODDS}": None}))
    (result,) = found.rules
    assert (result.verdict, result.bound) == (Verdict.ACCEPT, "reported only")
    assert len(found.evidence["disparities"]) == 3


def test_a_column_that_is_missing_is_rejected_and_one_whose_groups_are_small_is_undecided() -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.5, "M": 0.5}, 1000)
    found = judge(bench_of(frame, judged, block=block, fairness={"columns": ["race", "sex"], "min_rows": 600}))
    assert [(one.metric, one.verdict, one.code) for one in found.rules] == [
        ("race", Verdict.REJECT, ReasonCode.GROUP_MISSING),
        ("sex", Verdict.INCONCLUSIVE, ReasonCode.GROUPS_UNDECIDED),
    ]
    assert "no column 'race'" in found.rules[0].reason
    assert "0 of 2 groups of sex have at least 600 rows" in found.rules[1].reason
    assert {group.judged for group in found.evidence["groups"]} == {False}
    assert judge(bench_of(frame, judged, block=block)) == RuleOutcome()


@pytest.mark.parametrize("rows", [0, 500])
def test_predictions_that_are_not_finite_are_rejected(rows: int) -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.5, "M": 0.5}, 500)
    kept = np.arange(500) < rows
    broken = replace(judged.take(kept), probabilities=np.full((rows, 2), np.nan))
    (result,) = judge(bench_for(frame[kept], broken, block[kept])).rules
    assert (result.verdict, result.code) == (Verdict.REJECT, ReasonCode.METRIC_NOT_FINITE)


def test_a_rate_of_no_rows_is_undecided_and_not_zero() -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.5, "M": 0.5}, 1000)
    judged.y_true[(frame.sex == "F").to_numpy()] = 0
    result = rule_for(judge(bench_for(frame, judged, block)), ODDS)
    assert (result.verdict, result.code, result.rows_needed) == (
        Verdict.INCONCLUSIVE,
        ReasonCode.GROUPS_UNDECIDED,
        None,  # no number of such rows would do
    )
    assert "missing are rows of sex = F (0 of " in result.reason
    assert "rows where it is true)" in result.reason
    found = judge(bench_for(frame, judged, block, min_rows=100))
    result = rule_for(found, ODDS)
    assert (result.verdict, result.code) == (Verdict.REJECT, ReasonCode.METRIC_NOT_FINITE)
    assert "sex = F" in result.reason
    assert "has no true positive rate" in result.reason
    assert rule_for(found, PARITY).verdict is Verdict.ACCEPT


def test_small_groups_are_listed_and_not_judged() -> None:
    frame, judged, block = sample(np.random.default_rng(1), {"F": 0.5, "M": 0.5}, 1000)
    frame.loc[:49, "sex"] = "X"
    judged.y_pred[:50] = 1
    found = judge(bench_for(frame, judged, block))
    assert rule_for(found, PARITY).verdict is Verdict.ACCEPT
    assert "1 smaller groups are not judged" in rule_for(found, PARITY).reason
    assert (groups_of(found)["X"].judged, groups_of(found)["X"].rows) == (False, 50)


def test_missing_values_and_ages_are_groups() -> None:
    rng = np.random.default_rng(1)
    frame, judged, block = sample(rng, {"F": 0.5, "M": 0.5}, 2000)
    frame["sex"] = rng.normal(40, 10, 2000)
    frame.loc[:399, "sex"] = np.nan
    assert len([group for group in groups_of(judge(bench_for(frame, judged, block))).values() if group.judged]) == 5
    assert "missing" in groups_of(judge(bench_for(frame, judged, block)))


@pytest.mark.parametrize(("rates", "words"), [((0.2, 0.8), "above, but not"), ((0.5, 0.5), "not shown to be within")])
def test_few_blocks_give_no_interval_and_no_pass(rates: tuple[float, float], words: str) -> None:
    frame, judged, block = sample(np.random.default_rng(1), dict(zip("FM", rates, strict=True)), 2000, days=9)
    result = rule_for(judge(bench_for(frame, judged, block)), PARITY)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert words in result.reason
    assert "no interval" in result.reason
    assert result.lower is not None
    assert np.isnan(result.lower)


def test_many_groups_stay_a_small_list() -> None:
    rng = np.random.default_rng(1)
    frame, judged, block = sample(rng, {"F": 0.5, "M": 0.5}, 6000)
    frame["sex"] = np.where(np.arange(6000) < 4000, "most", rng.integers(0, 300, 6000).astype(str))
    frame.loc[:499, "sex"] = "some"
    found = judge(bench_for(frame, judged, block))
    assert len(groups_of(found)) == 101
    assert sum(group.rows for group in groups_of(found).values()) == 6000


# ------------------------------------------------------------------------------------------------ intervals


def brute_force(values: Any, draws: Any, units: int, confidence: float) -> tuple[float, float]:
    """The same interval, pair by pair in plain loops."""
    from scipy import stats

    pairs = [(f, i, j) for f in range(values.shape[0]) for i in range(values.shape[1]) for j in range(values.shape[1])]
    spread = {(f, i, j): np.std(draws[:, f, i] - draws[:, f, j], ddof=1) for f, i, j in pairs if i != j}
    worst = [
        max((abs(row[f, i] - row[f, j] - values[f, i] + values[f, j])) / s for (f, i, j), s in spread.items())
        for row in draws
    ]
    q = np.quantile(worst, confidence, method="higher")
    q = stats.t.ppf(stats.norm.cdf(q), units - 1) * np.sqrt(units / (units - 1))
    low = max(abs(values[f, i] - values[f, j]) - q * s for (f, i, j), s in spread.items())
    high = max(abs(values[f, i] - values[f, j]) + q * s for (f, i, j), s in spread.items())
    return max(0.0, low), high


def test_interval_is_that_of_plain_loops() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 4))
    draws = values + rng.normal(0, 0.3, (300, 2, 4))
    found = largest_difference(values, draws, 30, 0.95)
    assert (found.lower, found.upper) == pytest.approx(brute_force(values, draws, 30, 0.95))
    assert found.value == pytest.approx(np.ptp(values, axis=1).max())


def test_draws_that_are_not_defined_widen_and_then_void_the_interval() -> None:
    rng = np.random.default_rng(0)
    values = np.array([[0.2, 0.5]])
    draws = values + rng.normal(0, 0.05, (2000, 1, 2))
    plain = largest_difference(values, draws, 100, 0.95)
    draws[:60, 0, 0] = np.nan
    wider = largest_difference(values, draws, 100, 0.95)
    assert wider.lower < plain.lower < plain.upper < wider.upper
    draws[:150, 0, 0] = np.nan
    assert np.isnan(largest_difference(values, draws, 100, 0.95).lower)


def test_rates_that_never_vary_are_no_trouble() -> None:
    found = largest_difference(np.array([[0.0, 1.0]]), np.tile([[0.0, 1.0]], (500, 1, 1)), 30, 0.95)
    assert (found.lower, found.value, found.upper) == (1, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("true", "days"),
    [([0.35, 0.6], 20), ([0.35, 0.6], 150), ([0.5] * 8, 20), ([0.5] * 8, 150), ([0.4, 0.5, 0.6], 20), ([0.3] * 20, 20)],
)
def test_coverage_of_the_difference(true: list[float], days: int) -> None:
    """Each bound is wrong in at most 5 % of samples; days shift all groups, and whole days are resampled."""
    times, rows, wrong = 200, 150, np.zeros(2)
    for seed in range(times):
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(rows, np.full(days, 1 / days), size=len(true))  # groups, days
        shift = rng.uniform(-0.2, 0.2, days) if days == 20 else 0.0
        hits = rng.binomial(counts, np.array(true)[:, None] + shift)
        drawn = weights_of(np.arange(days), 300, seed)
        draws = (drawn @ hits.T) / (drawn @ counts.T)
        values = hits.sum(axis=1) / counts.sum(axis=1)
        units = min(days / (1 + np.var(each) / np.mean(each) ** 2) for each in counts)
        seen = largest_difference(values[None], draws[:, None], units, 0.95)
        wrong += seen.upper < np.ptp(true), seen.lower > np.ptp(true)
    assert wrong.max() <= 16  # 5 % of 200 samples: more than 16 has probability 3 %


def test_an_attribute_that_gets_less_equal_never_turns_reject_into_accept() -> None:
    rng = np.random.default_rng(4)
    frame, judged, block = sample(rng, {"F": 0.35, "M": 0.5}, 3000)
    order = [Verdict.ACCEPT, Verdict.INCONCLUSIVE, Verdict.REJECT]
    seen = []
    men = np.flatnonzero((frame.sex == "M").to_numpy() & (judged.y_pred == 0))
    for more in range(0, len(men), 200):
        said = judged.y_pred.copy()
        said[men[:more]] = 1
        found = judge(bench_for(frame, binary(judged.y_true, np.where(said, 0.8, 0.2)), block))
        seen.append(order.index(rule_for(found, PARITY).verdict))
    assert seen == sorted(seen)
    assert seen[-1] == 2
