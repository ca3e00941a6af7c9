"""Curves against scikit-learn's, and what is left of their shape in so few points; constant predictions."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score, roc_curve

from airflow_mlops.core.gate.curves import MAX_CLASSES, RESIDUALS, curves, ranking, thin
from airflow_mlops.core.gate.rule_input import RuleInput
from airflow_mlops.core.gate.rules import bounds
from airflow_mlops.core.metrics.labelled import LabelledPredictions
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.evidence import MAX_POINTS, Curve
from airflow_mlops.spec.problems import ReasonCode


@pytest.fixture(scope="module")
def bench(loop: Any) -> RuleInput:
    found: RuleInput = loop.bench()
    return found


def binary(labels: np.ndarray, said: np.ndarray, weights: np.ndarray | None = None) -> LabelledPredictions:
    return LabelledPredictions(
        "binary", labels, (said > 0.5).astype(int), np.column_stack([1 - said, said]), weights, ("no", "yes")
    )


def scored(rng: np.random.Generator, rows: int, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, 2, rows)
    said = np.clip(rng.normal(0.4 + 0.2 * labels, 0.15), 0, 1)
    return labels, said if levels is None else np.round(said * levels) / levels


def expected(name: str, labels: np.ndarray, said: np.ndarray, weights: np.ndarray | None) -> tuple[Any, Any]:
    if name == "roc":
        x, y, _ = roc_curve(labels, said, sample_weight=weights, drop_intermediate=False)
        return x, y
    precision, recall, _ = precision_recall_curve(labels, said, sample_weight=weights)
    return recall[::-1], precision[::-1]


def off(curve: Curve, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance of each point of a line to the curve, which is another line: the nearest of its segments."""
    start = np.column_stack([curve.x, curve.y])
    step = np.diff(start, axis=0)
    points = np.column_stack([x, y])
    along = ((points[:, None] - start[None, :-1]) * step).sum(-1) / np.maximum((step**2).sum(-1), 1e-300)
    nearest = start[None, :-1] + np.clip(along, 0, 1)[..., None] * step
    found: np.ndarray = np.hypot(*np.moveaxis(points[:, None] - nearest, -1, 0)).min(axis=1)
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(2, 90),
    levels=st.sampled_from([None, 3, 10]),
    weighted=st.booleans(),
)
def test_few_points_are_all_of_scikit_learns(
    bench: RuleInput, seed: int, rows: int, levels: int | None, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    labels, said = scored(rng, rows, levels)
    weights = rng.integers(0, 4, rows).astype(float) if weighted else None
    mass = np.ones(rows) if weights is None else weights
    found = {curve.name: curve for curve in curves(replace(bench, judged=binary(labels, said, weights)))}
    if not (mass[labels == 1].sum() and mass[labels == 0].sum()):
        assert found == {}
        return
    kept = mass > 0  # scikit-learn leaves rows without weight out of one curve, and not of the other
    for name in ("roc", "precision_recall"):
        x, y = expected(name, labels[kept], said[kept], None if weights is None else weights[kept])
        points = set(zip(np.round(x, 12), np.round(y, 12), strict=True))
        curve = found[name]
        assert {(round(a, 12), round(b, 12)) for a, b in zip(curve.x, curve.y, strict=True)} >= points
        assert (curve.who, curve.of) == ("candidate", "yes")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("levels", [None, 500])
@pytest.mark.parametrize("name", ["roc", "precision_recall"])
def test_of_many_points_those_are_kept_that_the_shape_needs(
    bench: RuleInput, name: str, levels: int | None, weighted: bool
) -> None:
    rng = np.random.default_rng(1)
    labels, said = scored(rng, 20_000, levels)
    weights = rng.uniform(0, 2, 20_000) if weighted else None
    x, y = expected(name, labels, said, weights)
    curve = next(one for one in curves(replace(bench, judged=binary(labels, said, weights))) if one.name == name)
    assert len(curve.x) == len(curve.y) == MAX_POINTS
    points = set(zip(np.round(x, 12), np.round(y, 12), strict=True))
    assert {(round(a, 12), round(b, 12)) for a, b in zip(curve.x, curve.y, strict=True)} <= points
    assert (curve.x[0], curve.x[-1]) == (x[0], x[-1])
    assert (curve.y[0], curve.y[-1]) == pytest.approx((y[0], y[-1]))
    assert list(curve.x) == sorted(curve.x)
    assert off(curve, x, y)[x > 0.02].max() < 0.006
    assert off(curve, x, y).max() < 0.05  # precision of the first few rows jumps
    if name == "roc":
        assert auc(curve.x, curve.y) == pytest.approx(roc_auc_score(labels, said, sample_weight=weights), abs=2e-3)


def farthest(x: np.ndarray, y: np.ndarray, points: int) -> list[int]:
    """The same choice, by going over every point each time."""
    kept = [0, len(x) - 1]
    while len(kept) < points:
        best, place = 0.0, None
        for start, end in zip(sorted(kept), sorted(kept)[1:], strict=False):
            for at in range(start + 1, end):
                across, up = x[end] - x[start], y[end] - y[start]
                length = np.hypot(across, up)
                dx, dy = x[at] - x[start], y[at] - y[start]
                far = abs(across * dy - up * dx) / length if length else np.hypot(dx, dy)
                if far > best + 1e-12:
                    best, place = far, at
        if place is None:
            break
        kept.append(place)
    return sorted(kept)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 40), points=st.integers(2, 12))
def test_the_farthest_point_is_kept_first(seed: int, rows: int, points: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.random(rows)), rng.random(rows)
    found = thin(x, y, points).tolist()
    if rows <= points:
        assert found == list(range(rows))
    else:
        assert found == farthest(x, y, points)


def test_points_on_a_line_and_points_on_one_another_are_not_needed() -> None:
    line = np.linspace(0, 1, 500)
    assert thin(line, line * 0.3).tolist() == [0, 499]
    same = np.zeros(300)
    assert thin(same, same).tolist() == [0, 299]
    back = np.r_[np.linspace(0, 1, 150), np.linspace(1, 0, 151)[1:]]  # ends where it starts
    assert thin(back, back**2, 3).tolist() == [0, 149, 299]


def test_of_several_classes_the_most_frequent_have_curves_against_the_rest(bench: RuleInput) -> None:
    rng = np.random.default_rng(2)
    classes, rows = 7, 3000
    truth = rng.choice(classes, rows, p=np.arange(1, 8) / 28)
    truth[:20] = -1  # of no class that the model knows
    said = rng.dirichlet(np.ones(classes), rows)
    said[np.arange(rows), truth] += 0.5
    said /= said.sum(axis=1, keepdims=True)
    names = tuple("abcdefg")
    judged = LabelledPredictions("multiclass", truth, said.argmax(axis=1), said, None, (*names, "strange"))
    found = curves(replace(bench, judged=judged, other=judged))
    assert [curve.who for curve in found] == ["candidate"] * 2 * MAX_CLASSES + ["champion"] * 2 * MAX_CLASSES
    assert [curve.of for curve in found[::2]] == ["g", "f", "e", "d", "c"] * 2
    for curve in found:
        number = names.index(curve.of)
        x, y = expected(curve.name, (truth == number).astype(int), said[:, number], None)
        points = set(zip(np.round(x, 12), np.round(y, 12), strict=True))
        assert {(round(a, 12), round(b, 12)) for a, b in zip(curve.x, curve.y, strict=True)} <= points


@pytest.mark.parametrize("rows", [3, 60, 5000])
@pytest.mark.parametrize("weighted", [False, True])
def test_residuals_are_numpys_quantiles(bench: RuleInput, rows: int, weighted: bool) -> None:
    rng = np.random.default_rng(3)
    truth, said = rng.normal(size=rows), rng.normal(size=rows)
    weights = rng.integers(0, 4, rows).astype(float) + (np.arange(rows) == 0) if weighted else None
    judged = LabelledPredictions("regression", truth, said, None, weights)
    (curve,) = curves(replace(bench, judged=judged))
    assert (curve.name, curve.of, len(curve.x)) == ("residuals", RESIDUALS, MAX_POINTS)
    np.testing.assert_allclose(curve.x, np.linspace(0, 1, MAX_POINTS))
    kept = np.ones(rows, bool) if weights is None else weights > 0
    residual = (truth - said)[kept]
    levels = np.clip(np.asarray(curve.x) - 1e-12, 0, 1)
    weight = None if weights is None else weights[kept]
    np.testing.assert_allclose(curve.y, np.quantile(residual, levels, weights=weight, method="inverted_cdf"))
    assert (curve.y[0], curve.y[-1]) == (residual.min(), residual.max())


def test_what_has_no_curve_has_none(bench: RuleInput) -> None:
    labels, said = scored(np.random.default_rng(4), 50)
    none: list[LabelledPredictions] = [
        binary(np.ones(50, int), said),
        binary(np.zeros(50, int), said),
        binary(labels, np.r_[np.nan, said[1:]]),
        binary(labels[:0], said[:0]),
        LabelledPredictions("binary", labels, labels, None),
        LabelledPredictions("regression", said, np.r_[np.inf, said[1:]], None),
    ]
    for judged in none:
        assert curves(replace(bench, judged=judged)) == ()


def test_a_champion_of_other_classes_keeps_their_names(bench: RuleInput) -> None:
    rng = np.random.default_rng(5)
    said = rng.dirichlet([1, 1, 1], 300)
    judged = LabelledPredictions(
        "multiclass", rng.integers(0, 3, 300), said.argmax(axis=1), said, None, (False, True, "new")
    )
    assert {curve.of for curve in curves(replace(bench, judged=judged))} == {"False", "True", "new"}
    unnamed = replace(judged, names=())
    assert {curve.of for curve in curves(replace(bench, judged=unnamed))} == {"False", "True", "2"}


def test_the_ranking_is_of_distinct_scores() -> None:
    found = ranking(np.array([True, False, True, False]), np.array([0.9, 0.9, 0.5, 0.1]), None)
    assert found is not None
    hit_rate, false_rate, precision = (part.tolist() for part in found)
    assert hit_rate == [0.5, 1, 1]
    assert false_rate == [0.5, 0.5, 1]
    assert precision == pytest.approx([1 / 2, 2 / 3, 1 / 2])


Make = Callable[[np.ndarray], LabelledPredictions]
MAKES: dict[str, Make] = {
    "binary": lambda said: binary(np.arange(len(said)) % 2, said),
    "labels only": lambda said: LabelledPredictions("binary", np.arange(len(said)) % 2, (said > 0.5).astype(int), None),
    "regression": lambda said: LabelledPredictions("regression", np.arange(len(said)) * 1.0, said, None),
    "multiclass": lambda said: LabelledPredictions(
        "multiclass",
        np.arange(len(said)) % 3,
        np.zeros(len(said), int),
        np.column_stack([said / 2, said / 2, 1 - said]),
    ),
}


@pytest.mark.parametrize("kind", MAKES)
def test_predictions_that_are_all_equal_are_refused(bench: RuleInput, kind: str) -> None:
    for said, distinct in (
        (np.full(60, 0.3), 1),
        (np.r_[np.full(59, 0.3), 0.7], 2),
        (np.full(60, np.nan), 1),
        (np.zeros(0), 0),
        (np.zeros(1), 1),
    ):
        found = bounds.distinct_predictions(replace(bench, judged=MAKES[kind](said)))
        assert (found.rule, found.metric, found.value) == ("finite", "distinct_predictions", distinct)
        assert found.verdict is (Verdict.ACCEPT if distinct > 1 else Verdict.REJECT)
        assert found.code is (None if distinct > 1 else ReasonCode.PREDICTIONS_CONSTANT)
        assert found.rows == len(said)


def test_a_rare_event_may_never_be_predicted_and_is_no_constant(bench: RuleInput) -> None:
    said = np.linspace(0.001, 0.1, 200)
    found = bounds.distinct_predictions(replace(bench, judged=binary(np.zeros(200, int), said)))
    assert (found.verdict, found.value) == (Verdict.ACCEPT, 200)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.sampled_from([(0.5, 0.25, 0.25), (0.25, 0.5, 0.25), (0.25, 0.25, 0.5)]), max_size=30))
def test_distinct_rows_are_counted(rows: list[tuple[float, ...]]) -> None:
    said = np.array(rows).reshape(len(rows), 3)
    judged = LabelledPredictions("multiclass", np.zeros(len(rows), int), np.zeros(len(rows), int), said)
    assert bounds._distinct(judged) == len(set(rows))
