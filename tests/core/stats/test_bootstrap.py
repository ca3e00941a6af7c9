"""The paired bootstrap against a loop that resamples rows or blocks one by one, and its error rate."""

import tracemalloc
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk
from sklearn.utils import resample
from statsmodels.stats.contingency_tables import mcnemar

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.metrics.measure import METRICS
from airflow_mlops.core.metrics.ranking import MANY_ROWS
from airflow_mlops.core.stats import bootstrap
from airflow_mlops.core.stats.bootstrap import (
    EXACT_UNITS,
    MIN_BLOCKS,
    Gain,
    blocks_of,
    bounds,
    differences,
    entity_blocks,
    gain,
    panel_entities,
    panel_key,
    resample_weights,
    time_blocks,
    wider,
)
from airflow_mlops.spec import ModelSpec


def ranks_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    positive = labels == 1
    return stats.mannwhitneyu(scores[positive], scores[~positive], method="asymptotic").statistic / (
        positive.sum() * (~positive).sum()
    )


LOOP = {
    "log_loss": lambda y, p: -np.mean(np.where(y == 1, np.log(p), np.log(1 - p))),
    "roc_auc": ranks_auc,
    "average_precision": sk.average_precision_score,
    "f1": lambda y, p: 2 * (y * (p > 0.5)).sum() / (y.sum() + (p > 0.5).sum()),
}


def judged(labels: np.ndarray, scores: np.ndarray) -> LabelledPredictions:
    return LabelledPredictions("binary", labels, (scores > 0.5).astype(int), np.column_stack([1 - scores, scores]))


def pair(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = rng.integers(0, 2, rows)
    first, second = (np.clip(rng.normal(0.35 + lift * labels, 0.2), 0.02, 0.98) for lift in (0.35, 0.25))
    return labels, first, second


@pytest.mark.parametrize("by_block", [False, True])
@pytest.mark.parametrize("name", LOOP)
def test_bounds_are_those_of_a_loop_over_resamples(name: str, by_block: bool) -> None:
    rng = np.random.default_rng(3)
    labels, first, second = pair(rng, 240)
    block = np.sort(np.r_[np.arange(20), rng.integers(0, 20, 220)]) if by_block else None
    metric = METRICS[name]
    resamples = 3000
    found = gain(metric, judged(labels, first), judged(labels, second), block, resamples=resamples, seed=1)
    sign = 1 if metric.greater_is_better else -1
    groups = [np.flatnonzero(block == b) for b in range(20)] if by_block else [np.array([i]) for i in range(240)]
    draws = []
    loops = 500
    for number in range(loops):
        picked = np.concatenate(resample(groups, random_state=number))
        y = labels[picked]
        draws.append(sign * (LOOP[name](y, first[picked]) - LOOP[name](y, second[picked])))
    lower, upper = bounds(np.array(draws), len(groups), 0.95)
    # standard error of the difference of two 5 % quantiles of draws that are about normal
    error = np.std(draws) * np.sqrt(0.05 * 0.95 * (1 / loops + 1 / resamples)) / stats.norm.pdf(1.645)
    assert found.value == pytest.approx(sign * (LOOP[name](labels, first) - LOOP[name](labels, second)), rel=1e-9)
    assert found.lower == pytest.approx(lower, abs=4 * error)
    assert found.upper == pytest.approx(upper, abs=4 * error)
    assert (found.rows, found.units) == (240, len(groups))


def test_weights_are_exact_draws_with_replacement() -> None:
    drawn = np.concatenate(list(resample_weights(np.random.default_rng(0), 50, 4000)))
    assert drawn.shape == (4000, 50)
    assert (drawn.sum(axis=1) == 50).all()
    found = np.bincount(drawn.astype(int).ravel(), minlength=6)[:6]
    expected = stats.binom.pmf(np.arange(6), 50, 1 / 50) * drawn.size
    np.testing.assert_allclose(found, expected, rtol=0.08)


def test_the_same_seed_gives_the_same_bounds() -> None:
    labels, first, second = pair(np.random.default_rng(0), 300)
    models = judged(labels, first), judged(labels, second)
    found = [gain(METRICS["brier"], *models, None, resamples=300, seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_the_gain_is_positive_when_the_candidate_is_better_whatever_the_direction() -> None:
    labels, first, second = pair(np.random.default_rng(0), 2000)
    for name in ("log_loss", "roc_auc", "accuracy"):
        there = gain(METRICS[name], judged(labels, first), judged(labels, second), None, resamples=400)
        back = gain(METRICS[name], judged(labels, second), judged(labels, first), None, resamples=400)
        assert there.lower > 0 > back.upper
        assert there.value == -back.value


@pytest.mark.parametrize("blocks", [0, 1, MIN_BLOCKS - 1])
def test_few_blocks_have_no_interval(blocks: int) -> None:
    labels, first, second = pair(np.random.default_rng(0), 300 if blocks else 0)
    block = np.arange(len(labels)) % max(blocks, 1)
    found = gain(METRICS["log_loss"], judged(labels, first), judged(labels, second), block)
    assert not found.conclusive
    assert np.isnan(found.lower)
    assert np.isnan(found.upper)


def test_undefined_resamples_count_against_both_bounds() -> None:
    draws = np.r_[np.full(200, np.nan), np.linspace(0.1, 0.2, 800)]
    assert bounds(draws, 1000, 0.95) == (-np.inf, np.inf)
    few = np.r_[np.full(20, np.nan), np.linspace(0.1, 0.2, 980)]
    low, high = bounds(few, 1000, 0.95)
    clean_low, clean_high = bounds(few[20:], 1000, 0.95)
    assert low < clean_low
    assert high > clean_high


def test_one_positive_row_gives_no_finite_bounds_for_the_auc() -> None:
    rng = np.random.default_rng(0)
    labels = np.r_[1, np.zeros(99, dtype=int)]
    found = gain(METRICS["roc_auc"], judged(labels, rng.random(100)), judged(labels, rng.random(100)), None)
    assert np.isinf(found.lower)
    assert np.isinf(found.upper)


@pytest.mark.parametrize(("blocks", "most"), [(14, 0.08), (40, 0.075)])
def test_the_error_rate_under_no_difference_is_about_the_nominal_one(blocks: int, most: float) -> None:
    """Days differ: the models' difference has a component common to a day. 400 worlds, nominal 5 %."""
    rng = np.random.default_rng(11)
    errors, naive, worlds, rows = 0, 0, 400, 20
    block = np.repeat(np.arange(blocks), rows)
    for world in range(worlds):
        shift = np.repeat(rng.normal(0, 1, blocks), rows)
        losses = shift + rng.normal(0, 1, blocks * rows)
        truth = np.zeros(blocks * rows)
        # with absolute errors as metric the gain of each row is exactly `losses`
        other, candidate = (LabelledPredictions("regression", truth, 50 + part, None) for part in (losses, 0 * losses))
        found = gain(METRICS["mae"], candidate, other, block, resamples=400, seed=world)
        errors += found.lower > 0
        if world < 100:
            naive += gain(METRICS["mae"], candidate, other, None, resamples=200, seed=world).lower > 0
    assert errors / worlds <= most
    assert errors / worlds >= 0.015
    assert naive / 100 > 0.15  # what resampling rows would have done


def test_memory_does_not_grow_with_resamples_times_rows() -> None:
    labels, first, second = pair(np.random.default_rng(0), 200_000)
    models = judged(labels, first), judged(labels, second)
    tracemalloc.start()
    for name in ("log_loss", "roc_auc"):
        gain(METRICS[name], *models, None, resamples=20)
    gain(METRICS["average_precision"], *models, np.arange(200_000) // 4000, resamples=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6  # 10,000 resamples of a million rows at once would be 80 GB


@pytest.mark.parametrize("length", [timedelta(days=1), timedelta(hours=6), timedelta(days=7)])
def test_blocks_are_cut_from_the_epoch_and_numbered_without_gaps(length: timedelta) -> None:
    rng = np.random.default_rng(0)
    times = pd.Series(pd.Timestamp("2024-02-27", tz="UTC") + pd.to_timedelta(rng.uniform(0, 40, 200), unit="D"))
    found: Any = time_blocks(times, length)
    by_hand = [int(t.timestamp() // length.total_seconds()) for t in times]
    ranks = {step: number for number, step in enumerate(sorted(set(by_hand)))}
    assert found.tolist() == [ranks[step] for step in by_hand]
    assert time_blocks(times, None) is None


def test_entities_are_numbered_without_gaps_and_rows_without_one_stand_alone() -> None:
    for values in (
        pd.Series(["b", None, "a", "b", np.nan, "a"]),
        pd.Series([2.0, np.nan, 1.0, 2.0, np.nan, 1.0]),
        pd.Series(pd.to_datetime(["2024-01-02", None, "2024-01-01", "2024-01-02", None, "2024-01-01"])),
        pd.Series(["b", None, "a", "b", None, "a"], dtype="category"),
        pd.Series([2, None, 1, 2, None, 1], dtype="Int64"),
    ):
        assert entity_blocks(values).tolist() == [0, 2, 1, 0, 3, 1]


def test_the_specification_says_what_is_resampled_together(loop: Any) -> None:
    rows = loop.frame(300)
    by_time = blocks_of(loop.spec(), rows)
    np.testing.assert_array_equal(by_time, time_blocks(rows["t"], timedelta(days=1)))
    by_entity = blocks_of(loop.spec(gate={"champion": {"entity": "c"}}), rows)
    np.testing.assert_array_equal(by_entity, entity_blocks(rows["c"]))
    assert blocks_of(loop.spec(gate={"champion": {"block": None}}), rows) is None
    with pytest.raises(DataError, match=r"gate\.champion\.entity: found no column 'tail'"):
        blocks_of(loop.spec(gate={"champion": {"entity": "tail"}}), rows)


def panel_spec(key: list[str], **champion: Any) -> ModelSpec:
    data = {"source": {"path": "x/"}, "time": "t", "key": key, "label": "y"}
    whole = {"name": "m", "owner": "o", "data": data, "training": {"estimator": "a.B"}, "gate": {"champion": champion}}
    return ModelSpec.model_validate(whole)


def panel(shops: int = 4, goods: int = 5, days: int = 6) -> pd.DataFrame:
    """A row for each shop, good and day."""
    grid = pd.MultiIndex.from_product([range(days), range(shops), [f"g{n}" for n in range(goods)]])
    rows = grid.to_frame(index=False, name=["day", "shop", "good"])
    return rows.assign(t=pd.Timestamp("2024-01-01T06:00Z") + pd.to_timedelta(rows["day"], unit="D"))


def test_a_key_with_the_event_time_names_who_is_observed_again() -> None:
    rows = panel()
    assert panel_key(panel_spec(["shop", "t", "good"])) == ("shop", "good")
    found: Any = panel_entities(panel_spec(["shop", "t", "good"]), rows)
    expected = rows.groupby(["shop", "good"]).ngroup().to_numpy()
    assert len(np.unique(found)) == len(np.unique(expected)) == 20
    assert len(np.unique(np.column_stack([found, expected]), axis=0)) == 20
    assert found.max() == 19


@pytest.mark.parametrize(
    ("key", "champion", "rows"),
    [
        (["shop", "good"], {}, panel()),
        (["t"], {}, panel()),
        (["shop", "t", "good"], {"panel": False}, panel()),
        (["shop", "t", "good"], {"entity": "shop"}, panel()),
        (["shop", "t", "good"], {"block": None}, panel()),
        (["shop", "t", "good"], {}, panel().drop(columns="good")),
        (["shop", "t", "good"], {}, panel(shops=3, goods=3)),
        (["shop", "t", "good"], {}, panel(days=1)),
        (["shop", "t", "good"], {}, panel().head(0)),
    ],
    ids=["no time", "time alone", "not wanted", "entity", "by row", "no column", "few", "one day", "no row"],
)
def test_else_there_are_no_entities(key: list[str], champion: dict[str, Any], rows: pd.DataFrame) -> None:
    assert panel_entities(panel_spec(key, **champion), rows) is None


def test_the_wider_of_two_intervals_counts_if_there_are_two() -> None:
    days = Gain(value=0.1, lower=0.0, upper=0.2, rows=900, units=14, error=0.05)
    machines = Gain(value=0.1, lower=-0.1, upper=0.3, rows=900, units=90, error=0.1, by="machine")
    few = Gain(value=0.1, lower=np.nan, upper=np.nan, rows=900, units=5)
    assert wider(days, machines) is machines
    assert wider(machines, days) is machines
    assert wider(days, few) is days
    assert wider(few, machines) is machines
    assert wider(few, few) is few


def compare_draws(found: np.ndarray, brute: np.ndarray) -> None:
    """The bounds agree within Monte Carlo error, and so does the spread."""
    smaller = min(len(found), len(brute))
    for level in (0.05, 0.95):
        density = stats.norm.pdf(stats.norm.ppf(level))
        error = brute.std() * np.sqrt(level * (1 - level) * (1 / len(found) + 1 / len(brute))) / density
        assert np.quantile(found, level) == pytest.approx(np.quantile(brute, level), abs=4.5 * error)
    assert found.std() == pytest.approx(brute.std(), rel=4.5 / np.sqrt(2 * smaller))


def drawn(
    name: str, models: tuple[LabelledPredictions, LabelledPredictions], block: Any, resamples: int
) -> tuple[np.ndarray, Any, int]:
    first, second = (METRICS[name].weighted(model) for model in models)
    rows = len(models[0].y_true)
    units = rows if block is None else int(block.max()) + 1
    if block is not None:
        first, second = first.collapse(block, units), second.collapse(block, units)
    found = differences(np.random.default_rng(1), first, second, units, rows=rows, resamples=resamples)
    return np.concatenate(list(found)), (first, second), units


def many(name: str, rows: int, case: str) -> tuple[LabelledPredictions, LabelledPredictions]:
    rng = np.random.default_rng(8)
    weights = rng.exponential(size=rows) if "weighted" in case else None
    if METRICS[name].kind == "regression":
        truth = rng.normal(0, 3, rows)
        noise = rng.standard_t(2.2, (2, rows)) if "heavy" in case else rng.normal(size=(2, rows))
        return tuple(LabelledPredictions("regression", truth, truth + part, None, weights) for part in noise)  # type: ignore[return-value]
    classes = 3 if "multiclass" in case else 2
    truth = rng.choice(classes, rows, p=[0.7, 0.3] if classes == 2 else [0.6, 0.37, 0.03])
    models = []
    for lift in (1.2, 1.0):
        raw = rng.exponential(size=(rows, classes)) + lift * np.eye(classes)[truth]
        p = raw / raw.sum(axis=1, keepdims=True)
        task: Any = "binary" if classes == 2 else "multiclass"
        models.append(LabelledPredictions(task, truth, p.argmax(axis=1), p, weights))
    return models[0], models[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("log_loss", "rows"),
        ("log_loss", "entities, weighted"),
        ("f1", "rows, multiclass"),
        ("f1", "rows, multiclass, weighted"),
        ("balanced_accuracy", "entities, multiclass"),
        ("rmse", "rows, heavy"),
        ("mae", "rows, heavy, weighted"),
        ("r2", "rows"),
    ],
)
def test_drawing_sums_of_many_units_is_drawing_the_units(name: str, case: str) -> None:
    rows = EXACT_UNITS + 1000
    block = None
    if "entities" in case:  # of 1 to some hundred rows each
        rng = np.random.default_rng(2)
        block = rng.permutation(np.repeat(np.arange(rows), np.minimum(rng.zipf(2.1, rows), 300)))
    models = many(name, rows if block is None else len(block), case)
    found, (first, second), units = drawn(name, models, block, 20_000)
    assert units == rows
    exact = [first(w) - second(w) for w in resample_weights(np.random.default_rng(2), units, 2500)]
    compare_draws(found, np.concatenate(exact))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("roc_auc", "rows"),
        ("roc_auc", "entities, weighted"),
        ("roc_auc", "rows, multiclass"),
        ("average_precision", "rows"),
        ("median_absolute_error", "rows, heavy"),
    ],
)
def test_first_order_draws_of_many_rows_have_the_bounds_of_drawing_them(name: str, case: str) -> None:
    rows = MANY_ROWS
    block = np.r_[np.arange(6000), np.random.default_rng(2).integers(0, 6000, rows - 6000)]
    if "entities" not in case:
        block = None
    models = many(name, rows, case)
    found, (first, second), units = drawn(name, models, block, 20_000)
    few = 400
    exact = [first(w) - second(w) for w in resample_weights(np.random.default_rng(2), units, few, rows)]
    compare_draws(found, np.concatenate(exact))


def test_a_rare_class_is_drawn_row_by_row_however_many_rows_there_are(monkeypatch: Any) -> None:
    rng = np.random.default_rng(0)
    rows = MANY_ROWS
    labels = (np.arange(rows) < 2).astype(int)
    models = judged(labels, rng.uniform(0.1, 0.9, rows)), judged(labels, rng.uniform(0.1, 0.9, rows))
    found = gain(METRICS["roc_auc"], *models, None, resamples=200)
    assert np.isinf(found.lower)  # some resamples have no positive row at all
    assert np.isinf(found.error)
    monkeypatch.setattr(bootstrap, "resample_weights", lambda *_: pytest.fail("drawn row by row"))
    even = rng.integers(0, 2, rows)
    models = judged(even, rng.uniform(0.1, 0.9, rows)), judged(even, rng.uniform(0.1, 0.9, rows))
    assert np.isfinite(gain(METRICS["roc_auc"], *models, None, resamples=200).lower)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("by_block", [False, True])
def test_weights_of_one_change_nothing_and_whole_weights_are_repeated_rows(name: str, by_block: bool) -> None:
    rows = 300
    models = many(name, rows, "rows")
    block = np.arange(rows) % 30
    rng = np.random.default_rng(0)
    for weights in (np.ones(rows), rng.integers(1, 4, rows).astype(float)):
        weighted = [LabelledPredictions(m.task, m.y_true, m.y_pred, m.probabilities, weights) for m in models]
        again = [model.take(np.repeat(np.arange(rows), weights.astype(int))) for model in models]
        # a block of all copies of a row is drawn as the weighted row is
        copies = np.repeat(block if by_block else np.arange(rows), weights.astype(int))
        found = gain(METRICS[name], weighted[0], weighted[1], block if by_block else None, resamples=300)
        expected = gain(METRICS[name], again[0], again[1], copies, resamples=300)
        assert found.value == pytest.approx(expected.value, abs=1e-9)
        if name in {"accuracy", "f1", "precision", "recall", "balanced_accuracy"} and not by_block:
            continue  # patterns without weights are drawn by pattern: the same distribution from other numbers
        np.testing.assert_allclose([found.lower, found.upper], [expected.lower, expected.upper], atol=1e-8)
        assert found.error == pytest.approx(expected.error)


def delong_error(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """DeLong, DeLong and Clarke-Pearson (1988), by midranks as Sun and Xu (2014) compute it."""
    placed = []
    for scores in (first, second):
        hit, miss = scores[labels == 1], scores[labels == 0]
        both = stats.rankdata(np.r_[hit, miss])
        v10 = (both[: len(hit)] - stats.rankdata(hit)) / len(miss)
        v01 = 1 - (both[len(hit) :] - stats.rankdata(miss)) / len(hit)
        placed.append((v10, v01))
    s10, s01 = (np.cov(placed[0][i], placed[1][i]) for i in (0, 1))
    contrast = np.array([1, -1])
    s = s10 / (labels == 1).sum() + s01 / (labels == 0).sum()
    return float(np.sqrt(contrast @ s @ contrast))


@pytest.mark.parametrize("rows", [600, MANY_ROWS + 10_000])
def test_the_aucs_standard_error_is_delongs(rows: int) -> None:
    labels, first, second = pair(np.random.default_rng(4), rows)
    found = gain(METRICS["roc_auc"], judged(labels, first), judged(labels, second), None, resamples=6000)
    exact = delong_error(labels, first, second)
    assert found.error == pytest.approx(exact, rel=0.04)  # 4 Monte Carlo errors
    z = stats.norm.ppf(0.95)
    assert found.lower == pytest.approx(found.value - z * exact, abs=0.12 * exact)
    assert found.upper == pytest.approx(found.value + z * exact, abs=0.12 * exact)


@pytest.mark.parametrize("seed", range(6))
def test_the_verdict_on_accuracy_is_mcnemars(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = 3000
    labels = rng.integers(0, 2, rows)
    first, second = (np.where(rng.random(rows) < share, labels, 1 - labels) for share in (0.81 + 0.01 * seed, 0.8))
    right = first == labels, second == labels
    table = [[(right[0] & right[1]).sum(), (right[0] & ~right[1]).sum()]]
    table.append([(~right[0] & right[1]).sum(), (~right[0] & ~right[1]).sum()])
    chi = mcnemar(table, exact=False, correction=False).statistic
    models = [LabelledPredictions("binary", labels, predicted, None) for predicted in (first, second)]
    found = gain(METRICS["accuracy"], models[0], models[1], None, resamples=10_000)
    # Wald's variance of a paired difference: McNemar's under the null, less the square of the difference
    wald = chi / (1 - chi / rows)
    assert (found.value / found.error) ** 2 == pytest.approx(wald, rel=0.06, abs=0.02)
    one_sided = stats.norm.sf(np.sign(found.value) * np.sqrt(chi))
    if abs(one_sided - 0.05) > 0.01:
        assert (found.lower > 0) == (one_sided < 0.05)


@pytest.mark.parametrize("units", [14, 60, EXACT_UNITS + 500])
def test_bounds_of_a_mean_are_those_of_the_paired_t_test(units: int) -> None:
    rng = np.random.default_rng(units)
    truth = np.zeros(units)
    losses = np.abs(rng.normal(5, 1, (2, units)))
    models = [LabelledPredictions("regression", truth, part, None) for part in losses]
    found = gain(METRICS["mae"], models[0], models[1], None, resamples=20_000)
    test = stats.ttest_rel(losses[1], losses[0], alternative="greater")
    error = (losses[1] - losses[0]).std(ddof=1) / np.sqrt(units)
    assert found.value == pytest.approx(test.statistic * error)
    assert found.error * np.sqrt(units / (units - 1)) == pytest.approx(error, rel=0.025)
    lower = test.confidence_interval(0.95).low
    assert found.lower == pytest.approx(lower, abs=(0.25 if units < 20 else 0.1) * error)


@pytest.mark.parametrize("name", ["log_loss", "roc_auc", "f1"])
def test_memory_of_many_units_does_not_grow_with_resamples(name: str) -> None:
    labels, first, second = pair(np.random.default_rng(0), 100_000)
    models = judged(labels, first), judged(labels, second)
    peaks = []
    for resamples in (500, 8000):
        tracemalloc.start()
        gain(METRICS[name], *models, None, resamples=resamples)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 20e6
    assert peaks[1] < 60e6
