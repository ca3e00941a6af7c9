"""Calibration: bins, Wilson's intervals, the debiased error and how often its bounds are wrong."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve
from statsmodels.stats.proportion import proportion_confint

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.gate.rules.calibration import METRIC, judge
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.records.decision import RuleResult, Verdict
from airflow_mlops.core.records.evidence import Reliability
from airflow_mlops.core.stats.calibration_error import MAX_UNITS, calibration_error, equal_bins, wilson
from airflow_mlops.spec.problems import ReasonCode

RIDGE = "sklearn.linear_model.Ridge"
SVC = "sklearn.svm.LinearSVC"


def binary(labels: np.ndarray, said: np.ndarray, weights: np.ndarray | None = None) -> LabelledPredictions:
    return LabelledPredictions(
        "binary",
        labels.astype(int),
        (said > 0.5).astype(int),
        np.column_stack([1 - said, said]),
        weights,
        (False, True),
    )


class Makes:
    """Benches around predictions that are made up."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.made: dict[str, RuleInput] = {}

    def __call__(self, judged: LabelledPredictions, block: np.ndarray | None = None, **rule: Any) -> RuleInput:
        key = repr(sorted(rule.items()))
        if key not in self.made:
            champion = {"resamples": rule.pop("resamples", 400), "confidence": rule.pop("confidence", 0.95)}
            self.made[key] = self.loop.bench(gate={"calibration": rule, "champion": champion})
        return replace(self.made[key], judged=judged, block=block)


@pytest.fixture(scope="module")
def makes(loop: Any) -> Makes:
    return Makes(loop)


def drawn(rng: np.random.Generator, rows: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and probabilities; the true share is `shift` above what is said."""
    said = rng.uniform(0.05, 0.95 - shift, rows)
    return rng.random(rows) < said + shift, said


def only(bench: RuleInput, who: str = "candidate") -> Reliability:
    return next(one for one in judge(bench).evidence["reliability"] if one.who == who)


def rule(bench: RuleInput) -> RuleResult:
    (found,) = judge(bench).rules
    return found


def test_the_curve_is_scikit_learns_when_no_score_is_seen_twice(makes: Makes) -> None:
    labels, said = drawn(np.random.default_rng(0), 1000)
    found = only(makes(binary(labels, said)))
    observed, predicted = calibration_curve(labels, said, n_bins=10, strategy="quantile")
    assert [one.rows for one in found.bins] == [100] * 10
    np.testing.assert_allclose([one.predicted for one in found.bins], predicted)
    np.testing.assert_allclose([one.observed.value for one in found.bins], observed)
    assert (found.who, found.event) == ("candidate", "True")


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 100_000),
    share=st.floats(0, 1),
    confidence=st.sampled_from([0.8, 0.95, 0.975]),
)
def test_wilsons_interval_is_that_of_statsmodels(rows: int, share: float, confidence: float) -> None:
    hits = round(share * rows)
    found = wilson(hits / rows, rows, confidence)
    lower, upper = proportion_confint(hits, rows, alpha=2 * (1 - confidence), method="wilson")
    assert found.lower == pytest.approx(lower, abs=1e-9)
    assert found.upper == pytest.approx(upper, abs=1e-9)
    assert 0 <= found.lower <= found.value + 1e-12
    assert found.value - 1e-12 <= found.upper <= 1


@settings(max_examples=60, deadline=None)
@given(
    levels=st.lists(st.sampled_from(np.linspace(0, 1, 21).tolist()), min_size=1, max_size=200),
    bins=st.integers(2, 20),
    seed=st.integers(0, 99),
)
def test_bins_keep_equal_scores_together_in_order_and_about_equally_heavy(
    levels: list[float], bins: int, seed: int
) -> None:
    said = np.array(levels)
    weight = np.random.default_rng(seed).uniform(0.5, 2, len(said))
    found = equal_bins(said, weight, bins)
    assert set(found) == set(range(found.max() + 1))
    assert found.max() < bins
    order = np.argsort(said)
    assert (np.diff(found[order]) >= 0).all()
    heaviest = 0.0
    for level in np.unique(said):
        assert len(set(found[said == level])) == 1
        heaviest = max(heaviest, weight[said == level].sum())
    mass = np.bincount(found, weights=weight)
    assert mass.max() <= weight.sum() / bins + heaviest + 1e-9


def test_a_weight_is_so_many_equal_rows(makes: Makes) -> None:
    rng = np.random.default_rng(1)
    labels, said = drawn(rng, 400)
    weight = rng.integers(1, 4, 400)
    times = np.repeat(np.arange(400), weight)
    block, each = np.arange(400), only(makes(binary(labels[times], said[times]), np.repeat(np.arange(400), weight)))
    found = only(makes(binary(labels, said, weight.astype(float)), block))
    assert found.error == each.error  # each row is a block, however it is written
    for one, other in zip(found.bins, each.bins, strict=True):
        assert (one.predicted, one.observed.value) == pytest.approx((other.predicted, other.observed.value))
        # Kish: unequal weights are worth fewer rows than they sum up to
        assert one.observed.upper - one.observed.lower > other.observed.upper - other.observed.lower


def test_equal_weights_change_nothing_and_rows_without_weight_do_not_count(makes: Makes) -> None:
    labels, said = drawn(np.random.default_rng(2), 500)
    plain = only(makes(binary(labels, said)))
    same = only(makes(binary(labels, said, np.full(500, 3.0))))
    assert same.error.value == pytest.approx(plain.error.value)
    assert [one.rows for one in same.bins] == [one.rows for one in plain.bins]
    weight = np.r_[np.ones(500), np.zeros(200)]
    more = only(makes(binary(np.r_[labels, np.ones(200, bool)], np.r_[said, np.full(200, 0.001)], weight)))
    assert [one.predicted for one in more.bins] == pytest.approx([one.predicted for one in plain.bins])


def plain_error(labels: np.ndarray, said: np.ndarray, bins: int) -> tuple[float, float]:
    """Plain error, and Kumar's normal correction of it, by a loop over bins and draws."""
    rng = np.random.default_rng(0)
    parts = np.array_split(np.argsort(said), bins)
    plain = sum(len(p) * abs(labels[p].mean() - said[p].mean()) for p in parts) / len(said)
    again = np.zeros(4000)
    for p in parts:
        share = labels[p].mean()
        deviation = math.sqrt(np.var(labels[p] - said[p]) / len(p))
        again += len(p) * np.abs(rng.normal(share, deviation, 4000) - said[p].mean()) / len(said)
    return plain, 2 * plain - again.mean()


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3])
def test_the_value_is_kumars_debiased_error(makes: Makes, shift: float) -> None:
    labels, said = drawn(np.random.default_rng(3), 2000, shift)
    plain, debiased = plain_error(labels.astype(float), said, 10)
    found = only(makes(binary(labels, said), resamples=1000)).error
    assert found.value == pytest.approx(max(0, debiased), abs=1e-3)
    assert found.lower <= found.value <= plain <= found.upper


def test_the_bias_is_small_where_the_plain_error_is_all_chance() -> None:
    """Perfectly calibrated: whatever error is seen is chance."""
    rng = np.random.default_rng(4)
    values, plains, lowers = [], [], []
    for _ in range(100):
        labels, said = drawn(rng, 1000)
        bins = equal_bins(said, np.ones(1000), 10)
        found = calibration_error(said, labels.astype(float), np.ones(1000), bins, None, rng=rng, resamples=200)
        values.append(found.value)
        lowers.append(found.lower)
        plains.append(plain_error(labels.astype(float), said, 10)[0])
    assert np.mean(values) < 0.62 * np.mean(plains)
    assert np.mean(np.array(lowers) == 0) > 0.95  # 0 is the truth, and no bound is above it but by chance


def coverage(rng: np.random.Generator, times: int, shift: Any, blocks: int | None, rows: int = 1000) -> tuple[int, int]:
    """How often the true error lay below the lower and above the upper bound."""
    below = above = 0
    for _ in range(times):
        said = rng.uniform(0.1, 0.9, rows)
        truth = np.clip(said + shift(said), 0, 1)
        block = None
        if blocks is not None:  # a block shares its luck, which evens out over blocks
            block = np.sort(rng.integers(0, blocks, rows))
            truth = np.clip(truth + rng.choice([-0.08, 0.08], blocks)[block], 0, 1)
        labels = (rng.random(rows) < truth).astype(float)
        bins = equal_bins(said, np.ones(rows), 10)
        found = calibration_error(said, labels, np.ones(rows), bins, block, rng=rng, resamples=200)
        grid = np.linspace(0.1, 0.9, 2001)
        edges = equal_bins(grid, np.ones(2001), 10)
        error = np.mean([abs(shift(grid[edges == b]).mean()) for b in range(10)])
        below += found.lower > error + 1e-12
        above += found.upper < error
    return below, above


SHIFTS = {
    "everywhere": lambda said: np.full_like(said, 0.1),
    "half of the bins": lambda said: np.where(said > 0.5, -0.12, 0.0),
    "hardly": lambda said: np.full_like(said, 0.02),
    "turned": lambda said: 0.3 * (0.5 - said),
}


@pytest.mark.slow
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("blocks", [None, 40])
def test_each_bound_is_wrong_about_as_seldom_as_it_says(shift: str, blocks: int | None) -> None:
    times = 120
    below, above = coverage(np.random.default_rng(5), times, SHIFTS[shift], blocks)
    most = stats.binom.ppf(0.999, times, 0.05)  # 5 % each, with room for the simulation's own chance
    assert below <= most
    assert above <= most


@pytest.mark.slow
def test_max_error_seldom_refuses_what_is_calibrated_and_finds_what_is_not(makes: Makes) -> None:
    rng = np.random.default_rng(6)
    times = 60
    refused = {0.0: 0, 0.03: 0, 0.15: 0}
    accepted = dict.fromkeys(refused, 0)
    for shift in refused:
        for _ in range(times):
            found = rule(makes(binary(*drawn(rng, 1500, shift)), max_error=0.03, resamples=200))
            refused[shift] += found.verdict is Verdict.REJECT
            accepted[shift] += found.verdict is Verdict.ACCEPT
    assert refused[0.0] == 0
    assert accepted[0.0] > 0.75 * times
    assert refused[0.03] <= stats.binom.ppf(0.999, times, 0.05)
    assert refused[0.15] == times


def test_rows_of_one_block_err_together_and_the_interval_knows(makes: Makes) -> None:
    rng = np.random.default_rng(7)
    block = np.repeat(np.arange(30), 100)
    said = rng.uniform(0.2, 0.8, 3000)
    labels = rng.random(3000) < np.clip(said + rng.choice([-0.2, 0.2], 30)[block], 0, 1)
    alone, together = (only(makes(binary(labels, said), one)).error for one in (None, block))
    assert together.upper - together.lower > 1.5 * (alone.upper - alone.lower)


def test_many_blocks_are_put_together_at_random(makes: Makes) -> None:
    labels, said = drawn(np.random.default_rng(8), 3 * MAX_UNITS, 0.1)
    rows, grouped = (only(makes(binary(labels, said), one)).error for one in (None, np.arange(3 * MAX_UNITS) * 7))
    assert rows == grouped
    few = only(makes(binary(labels, said), np.arange(3 * MAX_UNITS) % MAX_UNITS)).error
    assert few.upper - few.lower == pytest.approx(rows.upper - rows.lower, rel=0.15)


def test_of_several_classes_it_is_about_the_confidence(makes: Makes) -> None:
    rng = np.random.default_rng(9)
    said = rng.dirichlet([1, 1, 1], 1200)
    truth = np.array([rng.choice(3, p=p) for p in said])
    truth[:5] = -1  # a class that the model does not know never is the predicted one
    found = only(makes(LabelledPredictions("multiclass", truth, said.argmax(axis=1), said)))
    confidence, hit = said.max(axis=1), said.argmax(axis=1) == truth
    observed, predicted = calibration_curve(hit, confidence, n_bins=10, strategy="quantile")
    assert found.event == "predicted class"
    np.testing.assert_allclose([one.predicted for one in found.bins], predicted)
    np.testing.assert_allclose([one.observed.value for one in found.bins], observed)


def test_the_champion_has_a_curve_and_no_verdict(makes: Makes) -> None:
    rng = np.random.default_rng(10)
    labels, said = drawn(rng, 1500)
    bench = replace(makes(binary(labels, said), max_error=0.05), other=binary(labels, np.clip(said - 0.2, 0, 1)))
    assert [one.who for one in judge(bench).evidence["reliability"]] == ["candidate", "champion"]
    assert only(bench, "champion").error.lower > 0.1
    assert rule(bench).verdict is Verdict.ACCEPT
    assert rule(bench).value == only(bench).error.value


@pytest.mark.parametrize(
    ("bound", "verdict", "words"),
    [
        (0.2, Verdict.ACCEPT, "where gate.calibration.max_error allows 0.2"),
        (0.05, Verdict.REJECT, "calibrate it"),
        (0.085, Verdict.INCONCLUSIVE, "more holdout rows would tell"),
    ],
)
def test_the_verdict_and_its_words(makes: Makes, bound: float, verdict: Verdict, words: str) -> None:
    labels, said = drawn(np.random.default_rng(11), 1500, 0.1)
    found = rule(makes(binary(labels, said), max_error=bound))
    assert (found.rule, found.metric, found.bound) == ("calibration", METRIC, f"<= {bound:g}")
    assert found.verdict is verdict
    assert found.code is (None if verdict is Verdict.ACCEPT else ReasonCode.NOT_CALIBRATED)
    assert words in found.reason
    assert "expected calibration error 0.09" in found.reason or "expected calibration error 0.1" in found.reason
    assert found.rows == 1500


def test_with_too_few_blocks_there_is_a_value_and_no_verdict(makes: Makes) -> None:
    labels, said = drawn(np.random.default_rng(12), 900, 0.3)
    bench = makes(binary(labels, said), np.arange(900) % 9, max_error=0.02)
    found = rule(bench)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "an interval needs at least 10 blocks" in found.reason
    assert found.value == pytest.approx(0.3, abs=0.05)
    assert found.lower is not None
    assert math.isnan(found.lower)


def test_a_regression_has_no_calibration_error(loop: Any) -> None:
    assert judge(loop.bench(RIDGE, kind="regression")).rules == ()
    assert judge(loop.bench(RIDGE, kind="regression")).evidence == {}
    found = rule(loop.bench(RIDGE, kind="regression", gate={"calibration": {"max_error": 0.1}}))
    assert (found.verdict, found.code) == (Verdict.REJECT, ReasonCode.NOT_EVALUATED)
    assert "a regression has no calibration error" in found.reason


def test_without_probabilities_it_is_refused_when_asked_for(loop: Any) -> None:
    found = rule(loop.bench(SVC, gate={"primary": "accuracy", "calibration": {"max_error": 0.1}}))
    assert (found.verdict, found.code) == (Verdict.REJECT, ReasonCode.NOT_EVALUATED)
    assert "gives no probabilities" in found.reason


def test_what_is_not_finite_is_refused_when_asked_for(makes: Makes) -> None:
    labels, said = drawn(np.random.default_rng(13), 300)
    for judged in (binary(labels, np.r_[math.nan, said[1:]]), binary(labels[:0], said[:0])):
        found = rule(makes(judged, max_error=0.5))
        assert (found.verdict, found.code) == (Verdict.REJECT, ReasonCode.METRIC_NOT_FINITE)
        assert judge(makes(judged)).rules == ()


@pytest.mark.parametrize("rows", [1, 2, 3, 15])
def test_few_rows_never_raise(makes: Makes, rows: int) -> None:
    labels, said = drawn(np.random.default_rng(14), rows)
    found = rule(makes(binary(labels, said), max_error=0.5))
    assert found.verdict in set(Verdict)
    assert found.value is not None
    constant = rule(makes(binary(labels, np.full(rows, 0.25)), max_error=0.99))
    assert constant.verdict is (Verdict.ACCEPT if rows >= 10 else Verdict.INCONCLUSIVE)


@settings(max_examples=25, deadline=None)
@given(bound=st.floats(0.001, 0.5), wider=st.floats(1, 5), seed=st.integers(0, 9), shift=st.floats(0, 0.3))
def test_a_wider_bound_is_never_worse(makes: Makes, bound: float, wider: float, seed: int, shift: float) -> None:
    judged = binary(*drawn(np.random.default_rng(seed), 300, shift))
    bench = makes(judged, max_error=0.1, resamples=200)
    order = [Verdict.REJECT, Verdict.INCONCLUSIVE, Verdict.ACCEPT]
    found = [
        order.index(rule(replace(bench, spec=with_bound(bench, limit))).verdict) for limit in (bound, bound * wider)
    ]
    assert found[0] <= found[1]


def with_bound(bench: RuleInput, limit: float) -> Any:
    from airflow_mlops.spec import ModelSpec

    body = bench.spec.model_dump(mode="json")
    body["gate"]["calibration"]["max_error"] = min(limit, 1.0)
    return ModelSpec.model_validate(body)
