"""The search for weak segments: what was planted is found, on rows that the search had not seen."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.gate.rules.slices.judge import judge
from airflow_mlops.core.gate.rules.slices.weakest import weakest
from airflow_mlops.core.records.candidate import Feature
from tests.support.rule_inputs import bench_of, binary, numbers

FEATURES = (
    Feature(name="distance", role="numeric"),
    Feature(name="wind", role="numeric"),
    Feature(name="origin", role="categorical"),
)


def planted(where: Any, rows: int = 8000, seed: int = 0, **gate: Any) -> RuleInput:
    """A calibrated model, but for the rows where it is noise."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "distance": rng.uniform(100, 3000, rows),
            "wind": rng.normal(size=rows),
            "origin": rng.choice(["EWR", "JFK", "LGA", "SFO"], rows),
            "carrier": rng.choice(["AA", "UA"], rows),
        }
    )
    frame.loc[::9, "distance"] = np.nan
    frame.loc[1::9, "origin"] = None
    logits = rng.normal(0, 2, rows)
    truth = (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(int)
    noisy = np.where(where(frame), rng.normal(0, 3, rows), logits)
    block = rng.integers(0, 20, rows)
    return bench_of(frame, binary(truth, 1 / (1 + np.exp(-noisy))), block=block, features=FEATURES, slices=gate)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (lambda frame: (frame.distance > 1200) & frame.origin.isin(["EWR", "JFK"]), ["distance > 1", "EWR", "JFK"]),
        (lambda frame: frame.distance.isna(), ["missing"]),
        (lambda frame: frame.origin.isna(), ["origin is missing"]),
        (lambda frame: frame.wind > 1, ["wind > "]),
        (lambda frame: frame.origin.eq("LGA"), ["origin in {LGA}"]),
    ],
)
def test_a_planted_segment_is_found(where: Any, words: list[str]) -> None:
    bench = planted(where)
    found = weakest(bench)
    assert all(word in found[0].words for word in words), found[0].words
    assert "SFO" not in found[0].words
    assert found[0].metric > 2 * found[0].whole
    share = where(bench.rows).mean()
    assert found[0].share == pytest.approx(share, rel=0.25)


def test_noise_has_no_weak_segments_to_speak_of() -> None:
    """The best of many cuts of the rows that were searched always looks bad; on the others it is not."""
    found = []
    for seed in range(10):
        bench = planted(lambda frame: np.zeros(len(frame), dtype=bool), rows=2000, seed=seed, min_rows=40, weakest=50)
        tail = np.random.default_rng(seed).integers(0, 30, 2000).astype(str)  # values that can be chosen by chance
        features = (*FEATURES, Feature(name="tail", role="categorical"))
        bench = replace(bench, rows=bench.rows.assign(tail=tail), candidate=replace(bench.candidate, features=features))
        found += [(segment.metric - segment.whole) / segment.whole for segment in weakest(bench)]
        assert all(segment.metric > segment.whole for segment in weakest(bench))
    assert sum(found) / 10 < 0.2


def test_metric_and_rows_are_those_of_the_words() -> None:
    bench = planted(lambda frame: frame.origin.eq("LGA"))
    whole_rows = bench.rows[bench.block < 20]
    (first, *_) = weakest(bench)
    assert first.words == "origin in {LGA}"
    assert first.rows < (whole_rows.origin == "LGA").sum() * 0.7
    assert first.share == pytest.approx((whole_rows.origin == "LGA").mean(), rel=0.1)
    mine = (bench.rows.origin == "LGA").to_numpy()
    expected = log_loss(bench.judged.y_true[mine], bench.judged.known[mine])
    assert first.metric == pytest.approx(expected, rel=0.1)


def test_slice_columns_are_searched_too() -> None:
    assert "carrier in {AA}" in weakest(planted(lambda frame: frame.carrier.eq("AA"), columns=["carrier"]))[0].words
    assert all("carrier" not in one.words for one in weakest(planted(lambda frame: frame.carrier.eq("AA"))))


def test_the_limits_that_the_specification_sets() -> None:
    def where(frame: pd.DataFrame) -> Any:
        return (frame.wind > 0.5) | frame.origin.eq("LGA")

    every = weakest(planted(where))
    assert len(every) > 1
    assert weakest(planted(where, weakest=1)) == every[:1]
    assert weakest(planted(where, weakest=0)) == ()
    assert all(segment.rows >= 900 for segment in weakest(planted(where, min_rows=900)))
    assert weakest(planted(where, rows=300)) == ()


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_regression(metric: str) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"distance": rng.uniform(0, 10, 4000), "wind": rng.normal(size=4000), "origin": "EWR"})
    truth = rng.normal(size=4000)
    said = truth + rng.normal(0, 0.3, 4000) * np.where(frame.distance > 8, 6, 1)
    bench = bench_of(frame, numbers(truth, said), metric=metric, features=FEATURES)
    found = weakest(bench)
    assert found[0].words.startswith("distance > ")
    assert all(segment.words != found[0].words for segment in found[1:])
    order = [segment.metric for segment in found]
    assert order == sorted(order, reverse=metric != "r2")


def test_labels_only_and_odd_columns() -> None:
    bench = planted(lambda frame: frame.origin.eq("JFK"))
    rows = bench.rows.assign(
        distance=bench.rows.distance.where(bench.rows.distance < 2900, np.inf), wind=1.0, flag=bench.rows.wind > 0
    )
    features = (*FEATURES, Feature(name="flag", role="numeric"), Feature(name="gone", role="numeric"))
    odd = replace(
        bench,
        rows=rows,
        judged=replace(bench.judged, probabilities=None),
        metric=bench_of(rows, bench.judged, metric="accuracy").metric,
        candidate=replace(bench.candidate, features=features),
    )
    assert weakest(odd)[0].words.startswith("origin in {JFK}")


def test_nothing_to_search() -> None:
    bench = planted(lambda frame: frame.wind > 0)
    empty = np.zeros(len(bench.rows), dtype=bool)
    for kept in (empty, np.arange(len(empty)) < 3):
        few = replace(bench, rows=bench.rows[kept], judged=bench.judged.take(kept), block=bench.block[kept])
        assert weakest(few) == ()
    assert weakest(replace(bench, candidate=replace(bench.candidate, features=()))) == ()
    broken = replace(bench.judged, probabilities=np.full_like(bench.judged.known, np.nan))
    assert weakest(replace(bench, judged=broken)) == ()


def test_one_block_row_by_row_and_weights() -> None:
    bench = planted(lambda frame: frame.origin.eq("LGA"))
    weighted = replace(bench.judged, weights=np.random.default_rng(0).integers(0, 3, len(bench.rows)).astype(float))
    for block in (None, np.zeros(len(bench.rows), dtype=int)):
        assert weakest(replace(bench, block=block, judged=weighted))[0].words.startswith("origin in {LGA}")


def test_a_half_without_any_weight_is_not_searched() -> None:
    bench = planted(lambda frame: frame.origin.eq("LGA"), rows=2000)
    for only in range(6):  # in one half or in the other
        weights = (np.arange(2000) == only).astype(float)
        assert weakest(replace(bench, judged=replace(bench.judged, weights=weights))) == ()


def test_the_rule_lists_them_without_columns() -> None:
    bench = planted(lambda frame: frame.origin.eq("LGA"))
    assert judge(bench).evidence["segments"] == weakest(bench)
