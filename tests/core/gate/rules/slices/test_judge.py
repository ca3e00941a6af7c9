"""Slices: what is cut, what is shown, and how often the rule is wrong."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.multitest import multipletests

from airflow_mlops.core.gate.decide import failed_closed
from airflow_mlops.core.gate.rule_input import RuleInput, RuleOutcome
from airflow_mlops.core.gate.rules.slices.judge import LISTED, judge
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import SliceResult
from airflow_mlops.core.rows.slicing import LARGEST, cut, in_words
from airflow_mlops.core.stats.multiple_testing import effective, exceeds, holm
from airflow_mlops.core.stats.shared_resamples import MAX_UNITS, on_units, units_of, weights_of
from airflow_mlops.spec.problems import ReasonCode
from tests.support.rule_inputs import bench_of, binary, numbers


def slices_of(found: RuleOutcome) -> tuple[SliceResult, ...]:
    return tuple(found.evidence["slices"])


def only(found: RuleOutcome) -> RuleResult:
    (result,) = found.rules
    return result


def sample(rng: np.random.Generator, rows: int, slices: int = 4, days: int = 20) -> tuple[pd.DataFrame, Any, Any, Any]:
    """Rows of equal slices and days, true labels, and the logits of a good model."""
    frame = pd.DataFrame({"origin": [f"A{number}" for number in np.arange(rows) % slices]})
    logits = rng.normal(0, 1.2, rows)
    truth = (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(int)
    return frame, truth, logits, rng.integers(0, days, rows)


def model(truth: Any, logits: Any, noise: Any) -> LabelledPredictions:
    return binary(truth, 1 / (1 + np.exp(-(logits + noise))))


def two(
    rng: np.random.Generator, rows: int, harm: float, **sizes: int
) -> tuple[pd.DataFrame, LabelledPredictions, LabelledPredictions, Any]:
    """Two equally noisy models; the candidate is biased by `harm` in slice A0."""
    frame, truth, logits, block = sample(rng, rows, **sizes)
    bad = harm * (frame.origin == "A0").to_numpy()
    first, second = (model(truth, logits, rng.normal(0, 0.4, rows) + extra) for extra in (bad, 0.0))
    return frame, first, second, block


# ---------------------------------------------------------------------------------------------- statistics


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_of_nothing() -> None:
    assert holm([]) == []


def test_p_value_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    losses = rng.normal(0.1, 1, 200)
    drawn = (weights_of(np.arange(200), 5000, 0) @ losses) / 200
    ours = exceeds(losses.mean(), 0.0, drawn, 200)
    assert ours == pytest.approx(stats.ttest_1samp(losses, 0, alternative="greater").pvalue, rel=0.15)


def test_p_value_at_the_edges() -> None:
    same = np.full(500, 0.1)
    assert exceeds(0.1, 0.1, same, 20) == exceeds(0.1 + 1e-17, 0.1, same, 20) == exceeds(0.1, 0.2, same, 20) == 1.0
    assert exceeds(0.1, 0.0, same, 20) == 0.0
    assert np.isnan(exceeds(0.1, 0.0, np.where(np.arange(500) < 30, np.nan, same), 20))


def test_effective_units_are_fewer_when_they_are_of_unequal_size() -> None:
    assert effective(np.repeat(np.arange(10), 5)) == 10
    assert effective(np.repeat([0, 1, 2], [98, 1, 1])) < 1.05
    assert effective(np.array([0, 0, 1]), np.array([0.5, 0.5, 1.0])) == 2


def test_groups_of_units_have_the_standard_error_of_rows() -> None:
    rng = np.random.default_rng(2)
    units = units_of(None, 20_000, seed=5)
    assert len(np.unique(units)) == MAX_UNITS
    truth, said = rng.normal(size=20_000), np.zeros(20_000)
    _, drawn = on_units(METRICS["mae"], numbers(truth, said), np.arange(2000), units, weights_of(units, 4000, 1))
    assert drawn.std() == pytest.approx(np.abs(truth[:2000]).std() / np.sqrt(2000), rel=0.12)


@pytest.mark.parametrize("name", ["log_loss", "f1", "roc_auc", "average_precision", "balanced_accuracy"])
@pytest.mark.parametrize("days", [20, 300])
def test_draws_of_a_slice_spread_like_a_loop_over_resampled_blocks(name: str, days: int) -> None:
    rng = np.random.default_rng(3)
    _, truth, logits, block = sample(rng, 6000, days=days)
    judged, index = model(truth, logits, 0.0), np.arange(0, 6000, 3)
    weights = weights_of(block, 600, 4)
    value, drawn = on_units(METRICS[name], judged, index, block, weights)
    assert value == pytest.approx(METRICS[name](judged.take(index)))
    function, mine = METRICS[name].weighted(judged.take(index)), block[index]
    loop = np.concatenate([function(row[None, mine]) for row in weights[: len(drawn)]])
    assert drawn.std() == pytest.approx(loop.std(), rel=0.05)
    assert np.corrcoef(drawn, loop)[0, 1] > 0.99
    assert len(drawn) >= 400


# ------------------------------------------------------------------------------------------------- cutting


def test_values_are_slices_and_missing_is_one() -> None:
    found = cut(pd.Series(["a", None, "b", "a", "missing"], name="c"), 4, 2)
    assert [(one.value, one.index.tolist()) for one in found.judged] == [("a", [0, 3])]
    assert {one.value: one.index.tolist() for one in found.small} == {"b": [2], "'missing'": [4], "missing": [1]}


@pytest.mark.parametrize(
    "values",
    [
        [True, False, None],
        [1, 2, None],
        [1.0, 2.0, np.nan],
        ["x", 1, None],
        [Decimal(1), Decimal(2), None],
        [[1], [2], None],
    ],
)
def test_few_values_of_any_type_are_cut_by_value(values: list[Any]) -> None:
    found = cut(pd.Series(values * 30, name="c"), 4, 20)
    assert len(found.judged) == 3
    assert sum(len(one.index) for one in found.judged) == 90


def test_nullable_and_categorical_columns() -> None:
    for column in (pd.Series([1, 2, None] * 30, dtype="Int64"), pd.Series(["u", "v", None] * 30, dtype="category")):
        assert len(cut(column.rename("c"), 4, 20).judged) == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=200), st.integers(2, 10))
def test_slices_are_a_partition_of_the_rows(values: list[float], bins: int) -> None:
    found = cut(pd.Series(values, name="c"), bins, 1)
    parts = [one.index for one in (*found.judged, *found.small, *found.others)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(values)))
    assert len({one.value for one in found.judged}) == len(found.judged) or len(set(values)) > 20


def test_bins_hold_equal_numbers_of_rows() -> None:
    found = cut(pd.Series(np.random.default_rng(0).exponential(size=1000), name="d"), 4, 10)
    assert [len(one.index) for one in found.judged] == [250] * 4


def test_many_values_are_capped_and_required_ones_kept() -> None:
    column = pd.Series(np.repeat(np.arange(150).astype(str), 30).tolist() + ["rare"] * 25, name="c")
    found = cut(column, 4, 20, ["rare"])
    assert len(found.judged) == LARGEST
    assert "rare" in {one.value for one in found.judged}
    assert len(found.others) == 51


# ------------------------------------------------------------------------------------------------ the rule


def test_no_columns_no_rule() -> None:
    frame, first, second, block = two(np.random.default_rng(0), 400, 0)
    found = judge(bench_of(frame, first, second, block=block))
    assert found.rules == ()
    assert set(found.evidence) == {"segments"}


@pytest.mark.parametrize("by_block", [False, True])
@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "average_precision", "f1", "accuracy"])
def test_a_planted_bad_slice_is_found_and_named(metric: str, by_block: bool) -> None:
    rng = np.random.default_rng(7)
    frame, truth, logits, block = sample(rng, 8000)
    mine = (frame.origin == "A0").to_numpy()
    second = model(truth, logits, rng.normal(0, 0.4, 8000))
    first = model(truth, logits, rng.normal(0, 0.4, 8000) + mine * rng.normal(0, 3, 8000))
    rule, comparison = {"columns": ["origin"]}, {} if by_block else {"block": None}
    found = judge(
        bench_of(frame, first, second, block=block if by_block else None, metric=metric, slices=rule,
                 comparison=comparison)
    )  # fmt: skip
    result, worst = only(found), slices_of(found)[0]
    assert (result.verdict, result.code) == (Verdict.REJECT, ReasonCode.SLICE_WORSE)
    assert "1 of 4 slices of origin are worse than champion v3" in result.reason
    assert worst.value == "A0"
    assert worst.drop is not None
    values = [METRICS[metric](one.take(mine)) for one in (second, first)]
    sign = 1 if METRICS[metric].greater_is_better else -1
    assert result.value == worst.drop.value == pytest.approx(sign * (values[0] - values[1]))
    assert worst.drop.lower < worst.drop.value < worst.drop.upper


def test_values_are_those_of_scikit_learn() -> None:
    frame, first, second, block = two(np.random.default_rng(8), 3000, 0)
    bench = bench_of(frame, first, second, block=block, metric="roc_auc", slices={"columns": ["origin"], "max_gap": 1})
    found = slices_of(judge(bench))
    assert sorted(one.value for one in found) == sorted(frame.origin.unique())
    for one in found:
        rows = (frame.origin == one.value).to_numpy()
        expected = [sk.roc_auc_score(each.y_true[rows], each.known[rows, 1]) for each in (first, second)]
        assert (one.candidate, one.champion) == pytest.approx(tuple(expected))
        assert one.gap is not None
        assert one.gap.value == pytest.approx(sk.roc_auc_score(first.y_true, first.known[:, 1]) - expected[0])


def test_weights_count() -> None:
    rng = np.random.default_rng(9)
    frame, first, second, block = two(rng, 4000, 2.0)
    weights = np.where(frame.origin == "A0", rng.random(4000) < 0.5, 1.0)
    kept = weights > 0
    bench = bench_of(
        frame, replace(first, weights=weights), replace(second, weights=weights), block=block,
        slices={"columns": ["origin"]},
    )  # fmt: skip
    without = bench_of(
        frame[kept].reset_index(drop=True), first.take(kept), second.take(kept), block=block[kept],
        slices={"columns": ["origin"]},
    )  # fmt: skip
    found = slices_of(judge(bench))
    assert sorted(one.value for one in found) == sorted(frame.origin.unique())
    for one, other in zip(found, slices_of(judge(without)), strict=True):
        assert one.value == other.value
        assert one.candidate == pytest.approx(other.candidate)
        assert one.drop_p == pytest.approx(other.drop_p, rel=1e-6)


def test_gap_against_the_whole() -> None:
    rng = np.random.default_rng(10)
    frame, truth, logits, block = sample(rng, 8000)
    weak = model(truth, logits, rng.normal(0, 3, 8000) * (frame.origin == "A1").to_numpy())
    bench = bench_of(frame, weak, None, block=block, slices={"columns": ["origin"], "max_gap": 0.05})
    drop, gap = judge(bench).rules
    assert (drop.verdict, drop.bound) == (Verdict.ACCEPT, "slices of >= 200 rows")
    assert "no champion yet" in drop.reason
    assert (gap.verdict, gap.code) == (Verdict.REJECT, ReasonCode.SLICE_WEAK)
    assert "A1 (gap" in gap.reason


def test_a_champion_that_is_not_compared_is_never_a_pass() -> None:
    frame, first, second, block = two(np.random.default_rng(0), 2000, 0)
    rule = {"columns": ["origin"]}
    result = only(judge(bench_of(frame, first, None, block=block, champion=True, slices=rule)))
    assert (result.verdict, result.code) == (Verdict.INCONCLUSIVE, ReasonCode.NOT_EVALUATED)
    broken = replace(second, probabilities=np.full_like(second.known, np.nan))
    result = only(judge(bench_of(frame, first, broken, block=block, slices=rule)))
    assert (result.verdict, result.code) == (Verdict.REJECT, ReasonCode.METRIC_NOT_FINITE)


@pytest.mark.parametrize("rows", [0, 500])
def test_predictions_that_are_not_finite_are_rejected(rows: int) -> None:
    frame, first, second, block = two(np.random.default_rng(0), 500, 0)
    kept = np.arange(500) < rows
    broken = replace(first.take(kept), probabilities=np.full((rows, 2), np.nan))
    bench = bench_of(frame[kept], broken, second.take(kept), block=block[kept], slices={"columns": ["origin", "x"]})
    found = judge(bench)
    assert [(one.verdict, one.code) for one in found.rules] == [(Verdict.REJECT, ReasonCode.METRIC_NOT_FINITE)] * 2


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"columns": ["nothing"]}, "no column 'nothing'"),
        ({"columns": ["origin"], "required": {"origin": ["A0", "JFK"]}}, "no row has origin = JFK"),
        ({"columns": ["origin"], "required": {"origin": "small"}}, "small is required and has 30 rows, fewer than 200"),
        ({"columns": ["origin"], "required": {"origin": ["oneday"]}}, "oneday is required and has 300 rows, in fewer"),
        ({"columns": ["origin"], "required": {"origin": ["oneclass"]}}, "without a defined roc auc"),
        ({"columns": ["origin"], "min_rows": 5000}, "no slice of origin could be judged: 7 fewer than 5,000 rows"),
        ({"columns": ["origin"], "required": {"origin": [None]}}, "no row has origin = missing"),
    ],
)
def test_what_is_asked_for_and_missing_is_rejected(rule: dict[str, Any], words: str) -> None:
    frame, first, second, block = two(np.random.default_rng(4), 4000, 0)
    for value, start, stop in (("small", 0, 30), ("oneday", 100, 400), ("oneclass", 500, 900)):
        frame.loc[start : stop - 1, "origin"] = value
    block[100:400] = 3
    first.y_true[500:900] = 1
    found = judge(bench_of(frame, first, second, block=block, metric="roc_auc", slices=rule))
    result = found.rules[0]
    assert (result.verdict, result.code, result.value) == (Verdict.REJECT, ReasonCode.SLICE_MISSING, None)
    assert words in result.reason
    assert result.metric == rule["columns"][0]


@pytest.mark.parametrize("empty", [np.nan, None, pd.NA])
def test_a_column_without_any_value_is_missing_too(empty: Any) -> None:
    frame, first, second, block = two(np.random.default_rng(4), 2000, 0)
    nothing = frame.assign(origin=pd.Series([empty] * 2000))
    result = judge(bench_of(nothing, first, second, block=block, slices={"columns": ["origin"]})).rules[0]
    assert (result.verdict, result.code) == (Verdict.REJECT, ReasonCode.SLICE_MISSING)
    assert "no row has a value in origin" in result.reason


def test_an_interval_that_is_not_finite_is_not_told_and_makes_no_verdict() -> None:
    frame, _, logits, _ = sample(np.random.default_rng(4), 2400, slices=2)
    block = np.arange(2400) // 2 % 12
    rare = (frame.origin == "A0").to_numpy()
    truth = np.where(rare, block < 3, logits > 0)  # 3 of 12 blocks of A0 have a positive: 3 % of the resamples none
    second = model(truth, logits, np.where(rare, 2.0 * truth, 0))
    first = model(truth, logits, np.where(rare, 1.9 * truth, 0))
    rule = {"columns": ["origin"], "max_drop": 0.5}
    sure = {"confidence": 0.975}
    found = judge(bench_of(frame, first, second, block=block, metric="roc_auc", slices=rule, comparison=sure))
    (seen,) = (one.drop for one in slices_of(found) if one.value == "A0")
    assert seen is not None
    assert np.isinf(seen.lower)
    result = only(found)
    assert (result.verdict, result.value, result.lower) == (Verdict.ACCEPT, seen.value, None)
    assert failed_closed(result) is result


def test_what_cannot_be_judged_is_listed_and_counted() -> None:
    frame, first, second, block = two(np.random.default_rng(4), 4000, 0)
    frame.loc[:29, "origin"] = "small"
    frame.loc[100:399, "origin"] = "oneday"
    block[100:400] = 3
    found = judge(bench_of(frame, first, second, block=block, slices={"columns": ["origin"], "max_drop": 0.1}))
    assert only(found).verdict is Verdict.ACCEPT
    assert "not judged: 1 in fewer than 10 blocks, 1 fewer than 200 rows" in only(found).reason
    assert {one.value: one.drop for one in slices_of(found) if not one.judged} == {"small": None, "oneday": None}


def test_required_values_of_a_binned_column_lie_in_a_bin() -> None:
    frame, first, second, block = two(np.random.default_rng(4), 4000, 0)
    frame["distance"] = np.random.default_rng(1).uniform(10, 2000, 4000)
    for value, verdict in ((500, Verdict.ACCEPT), (5000, Verdict.REJECT)):
        rule = {"columns": ["distance"], "required": {"distance": [value]}, "max_drop": 0.1}
        assert judge(bench_of(frame, first, second, block=block, slices=rule)).rules[0].verdict is verdict


def test_without_bounds_slices_are_listed() -> None:
    frame, first, second, block = two(np.random.default_rng(4), 4000, 3)
    found = judge(bench_of(frame, first, second, block=block, slices={"columns": ["origin"], "max_drop": None}))
    assert only(found).verdict is Verdict.ACCEPT
    assert [one.drop_p for one in slices_of(found)] == [None] * 4
    assert all(one.drop is not None for one in slices_of(found))


def test_evidence_stays_small_and_failed_slices_come_first() -> None:
    rng = np.random.default_rng(5)
    frame, first, second, block = two(rng, 20_000, 3.0, slices=20)
    frame["tail"] = rng.integers(0, 600, 20_000).astype(str)
    found = judge(bench_of(frame, first, second, block=block, slices={"columns": ["origin", "tail"], "min_rows": 20}))
    listed = slices_of(found)
    assert len(listed) <= LISTED
    assert (listed[0].column, listed[0].value) == ("origin", "A0")
    assert listed[-1].value.endswith("others")
    for column in ("origin", "tail"):
        assert sum(one.rows for one in listed if one.column == column) == 20_000


def test_equal_models_pass_exactly() -> None:
    frame, first, _, block = two(np.random.default_rng(6), 4000, 0)
    found = judge(bench_of(frame, first, first, block=block, slices={"columns": ["origin"]}))
    assert only(found).verdict is Verdict.ACCEPT
    assert {one.drop_p for one in slices_of(found)} == {1.0}


# ---------------------------------------------------------------------------------------------- properties


def worse_in(bench: RuleInput, value: str, factor: float) -> RuleInput:
    """The candidate with less probability for what happened, in one slice."""
    judged, rows = bench.judged, (bench.rows.origin == value).to_numpy()
    p = judged.known.copy()
    at = np.flatnonzero(rows), judged.y_true[rows]
    p[at] *= factor
    p[at[0], 1 - at[1]] = 1 - p[at]
    return replace(bench, judged=replace(judged, probabilities=p))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    harm=st.floats(0, 1.5),
    factor=st.floats(0.3, 1.0),
    value=st.sampled_from(["A0", "A1"]),
    bound=st.floats(0, 0.05),
)
def test_a_candidate_that_gets_worse_in_a_slice_never_turns_reject_into_accept(
    seed: int, harm: float, factor: float, value: str, bound: float
) -> None:
    frame, first, second, block = two(np.random.default_rng(seed), 1600, harm)
    rule = {"columns": ["origin"], "max_drop": bound, "weakest": 0}
    bench = bench_of(frame, first, second, block=block, slices=rule, champion=True)
    before, after = only(judge(bench)), only(judge(worse_in(bench, value, factor)))
    assert not (before.verdict is Verdict.REJECT and after.verdict is Verdict.ACCEPT)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame, first, second, block = two(rng, 1200, 1.0)
    order = rng.permutation(1200)
    rule = {"columns": ["origin"], "max_gap": 0.01, "weakest": 0}
    one = judge(bench_of(frame, first, second, block=block, slices=rule))
    shuffled = frame.iloc[order].reset_index(drop=True)
    other = judge(bench_of(shuffled, first.take(order), second.take(order), block=block[order], slices=rule))
    assert [result.verdict for result in one.rules] == [result.verdict for result in other.rules]
    for a, b in zip(slices_of(one), slices_of(other), strict=True):
        assert a.value == b.value
        assert a.drop_p == pytest.approx(b.drop_p, rel=1e-6, abs=1e-9)


# ---------------------------------------------------------------------------------------------- error rates


def rejections(times: int, harm: float, by_block: bool, rows: int = 6000) -> float:
    """Share of samples in which the rule rejects; 40 equal slices, day effects that all rows of a day share."""
    rejected = 0
    for seed in range(times):
        rng = np.random.default_rng(seed)
        frame, truth, logits, block = sample(rng, rows, slices=40)
        days = rng.normal(0, 0.3, (2, 20))[:, block] if by_block else np.zeros((2, rows))
        bad = harm * (frame.origin == "A0").to_numpy()
        first, second = (
            model(truth, logits, rng.normal(0, 0.4, rows) + day + extra)
            for day, extra in zip(days, (bad, 0.0), strict=True)
        )
        rule = {"columns": ["origin"], "weakest": 0, "min_rows": 100}
        comparison = {"resamples": 400} | ({} if by_block else {"block": None})
        found = judge(
            bench_of(frame, first, second, block=block if by_block else None, slices=rule, comparison=comparison)
        )
        rejected += only(found).verdict is Verdict.REJECT
    return rejected / times


@pytest.mark.slow
@pytest.mark.parametrize("by_block", [False, True])
def test_family_wise_error_rate_of_forty_equal_slices(by_block: bool) -> None:
    # 5 % of 80 samples: more than 8 has probability 2 % at a level of exactly 5 %
    assert rejections(80, 0.0, by_block) <= 8 / 80


@pytest.mark.slow
@pytest.mark.parametrize("by_block", [False, True])
def test_power_on_one_bad_slice_of_forty(by_block: bool) -> None:
    assert rejections(15, 2.5, by_block) >= 0.8


def test_a_whole_without_a_metric_is_never_a_pass() -> None:
    frame, first, second, block = two(np.random.default_rng(4), 2000, 0)
    first.y_true[:] = 1
    rule = {"columns": ["origin"], "max_gap": 0.1}
    results = judge(bench_of(frame, first, second, block=block, metric="roc_auc", slices=rule)).rules
    assert [(one.verdict, one.code) for one in results] == [(Verdict.REJECT, ReasonCode.SLICE_MISSING)]
    assert "4 without a defined roc auc" in results[0].reason


def test_words_of_values() -> None:
    assert [in_words(value) for value in (np.True_, np.int64(3), 2.5, "EWR", pd.Timestamp("2024-01-02"))] == [
        "true", "3", "2.5", "EWR", "2024-01-02 00:00:00",
    ]  # fmt: skip
