"""Reproduction: what differs between two trainings, and whether the same model came out."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.records.reproduction import Circumstances, Comparison, Difference, Reproduction
from airflow_mlops.core.source_digest import source_digest
from airflow_mlops.core.training.fit import fit
from airflow_mlops.core.training.golden_batch import as_numbers
from airflow_mlops.core.training.reproduce import (
    circumstance_differences,
    compare_predictions,
    conclude_reproduction,
    impossible_reproduction,
    read_environment,
    reproduction_text,
    training_differences,
)
from airflow_mlops.stores.model_files.format import environment

THEN = Circumstances(
    python="3.11.2", system="Linux x86_64", code="a" * 64, commit="c1", packages={"numpy": "2.0.0", "zope": "1"}
)


def test_what_is_written_about_the_environment_is_read_back() -> None:
    import sklearn

    now = read_environment(environment(), commit="c1")
    assert now.packages["scikit-learn"] == sklearn.__version__
    assert (now.code, now.commit) == (source_digest(), "c1")
    assert circumstance_differences(now, read_environment(environment(), commit="c1")) == ()


def test_an_environment_of_the_first_format_has_no_code() -> None:
    old = read_environment("# Python 3.11.2 on Linux x86_64\nnumpy==2.0.0\n")
    assert (old.python, old.system, old.code) == ("3.11.2", "Linux x86_64", None)
    assert read_environment("").python == "nothing recorded"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"python": "3.12.0"}, Difference(what="Python", recorded="3.11.2", now="3.12.0")),
        ({"system": "Darwin arm64"}, Difference(what="system", recorded="Linux x86_64", now="Darwin arm64")),
        ({"code": "b" * 64}, Difference(what="code of airflow_mlops", recorded="a" * 12, now="b" * 12)),
        ({"commit": "c2"}, Difference(what="commit of the DAG folder", recorded="c1", now="c2")),
        ({"commit": None}, Difference(what="commit of the DAG folder", recorded="c1", now="no git repository")),
        (
            {"packages": {"numpy": "2.1.0", "zope": "1"}},
            Difference(what="package numpy", recorded="2.0.0", now="2.1.0"),
        ),
        (
            {"packages": {"numpy": "2.0.0"}},
            Difference(what="package zope", recorded="1", now="not installed"),
        ),
        (
            {"packages": {**THEN.packages, "attrs": "1"}},
            Difference(what="package attrs", recorded="not installed", now="1"),
        ),
    ],
)
def test_one_change_is_one_difference(change: dict[str, Any], what: Difference) -> None:
    assert circumstance_differences(THEN, THEN) == ()
    assert circumstance_differences(THEN, replace(THEN, **change)) == (what,)


def test_what_decides_most_comes_first_and_uncommitted_changes_are_never_the_same() -> None:
    now = replace(THEN, packages={"numpy": "2.1.0", "attrs": "1"})
    assert [d.what for d in circumstance_differences(THEN, now)] == ["package numpy", "package attrs", "package zope"]
    dirty = replace(THEN, commit="c1-dirty")
    (found,) = circumstance_differences(dirty, dirty)
    assert found.recorded == "uncommitted changes"


def trained(loop: Any, kind: str = "binary", seed: int = 0) -> Any:
    name = "HistGradientBoosting" + ("Regressor" if kind == "regression" else "Classifier")
    spec, frame = loop.spec(f"sklearn.ensemble.{name}"), loop.frame(1200, seed=seed, kind=kind)
    return fit(spec, loop.snapshot(spec, frame), frame)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_the_same_training_is_identical_and_another_is_not(loop: Any, kind: str) -> None:
    one, again, other = trained(loop, kind), trained(loop, kind), trained(loop, kind, seed=1)
    rows = one.holdout_frame
    first = predict(one.pipeline, rows, one)
    same = compare_predictions("x", first, predict(again.pipeline, rows, again))
    assert same.identical
    assert (same.rows, same.differing, same.max_difference) == (len(rows), 0, 0.0)
    apart = compare_predictions("x", as_numbers(first), predict(other.pipeline, rows, other))
    assert not apart.identical
    assert apart.differing > 0
    assert apart.max_difference > 0


def test_one_bit_is_a_difference_and_one_nan_too(loop: Any) -> None:
    fitted = trained(loop)
    predicted = predict(fitted.pipeline, fitted.holdout_frame, fitted)
    assert predicted.probabilities is not None
    nudged = predicted.probabilities.copy()
    nudged[3, 1] = np.nextafter(nudged[3, 1], 1.0)
    found = compare_predictions("x", predicted, replace(predicted, probabilities=nudged))
    assert (found.differing, found.identical) == (1, False)
    assert 0 < found.max_difference < 1e-15
    nudged[3, 1] = math.nan
    found = compare_predictions("x", predicted, replace(predicted, probabilities=nudged))
    assert (found.differing, found.identical) == (1, False)
    both = compare_predictions("x", replace(predicted, probabilities=nudged), replace(predicted, probabilities=nudged))
    assert both.identical


def test_other_classes_or_rows_cannot_be_compared(loop: Any) -> None:
    binary, many = trained(loop), trained(loop, "multiclass")
    found = compare_predictions(
        "x",
        predict(binary.pipeline, binary.holdout_frame, binary),
        predict(many.pipeline, many.holdout_frame, many),
    )
    assert not found.identical
    assert math.isnan(found.max_difference)


def test_seed_rows_features_and_parameters_are_compared(loop: Any) -> None:
    fitted = trained(loop)
    candidate = loop.candidate(fitted)
    assert training_differences(candidate, fitted, seed=42) == ()
    changed = replace(
        candidate,
        train_rows=7,
        features=candidate.features[:1],
        parameters={**candidate.parameters, "max_iter": 11, "gone": 1},
    )
    found = {d.what: (d.recorded, d.now) for d in training_differences(changed, fitted, seed=43)}
    assert found["seed"] == ("42", "43")
    assert found["parameter max_iter"] == ("11", "10")
    assert found["parameter gone"] == ("1", "none")
    assert set(found) == {"seed", "training rows", "features", "parameter max_iter", "parameter gone"}


def test_the_verdict_and_its_words(loop: Any) -> None:
    candidate = loop.candidate(trained(loop))
    good = Comparison(what="whole holdout", rows=10, differing=0, max_difference=0.0)
    bad = replace(good, what="golden batch", differing=2, max_difference=0.125)
    change = Difference(what="package numpy", recorded="2.0.0", now="2.1.0")
    identical = conclude_reproduction(candidate, 3, comparisons=[good], differences=[], metrics={"log_loss": 0.5})
    assert identical.verdict == "identical"
    assert reproduction_text(identical).splitlines() == [
        "m version 3: identical: training again gives the same predictions, bit for bit",
        "  whole holdout: 10 rows, identical",
        "  packages, Python, code, seed and rows are those of the first training",
    ]
    different = conclude_reproduction(candidate, 3, comparisons=[good, bad], differences=[change], metrics={})
    assert different.verdict == "different"
    assert "  golden batch: 10 rows, 2 differ, by 0.125 at most" in reproduction_text(different)
    assert "    package numpy: 2.0.0, now 2.1.0" in reproduction_text(different)
    assert conclude_reproduction(candidate, 3, comparisons=[], differences=[], metrics={}).verdict == "different"
    none = conclude_reproduction(candidate, 3, comparisons=[replace(good, rows=0)], differences=[], metrics={})
    assert none.verdict == "different"
    lost = impossible_reproduction(candidate, 3, ["no file data.parquet"], [change])
    assert lost.verdict == "impossible"
    assert reproduction_text(lost).splitlines()[:2] == [
        "m version 3: could not be trained again",
        "  no file data.parquet",
    ]
    for found in (identical, different, lost):
        assert Reproduction.from_json(found.to_text()) == found


def test_two_equal_numbers_are_one_class_only_when_they_are_of_one_type() -> None:
    candidate: Any = SimpleNamespace(seed=1, task="binary", classes=(False, True), train_rows=1, holdout_rows=1)
    candidate.features, candidate.parameters = (), {}
    fitted: Any = SimpleNamespace(task="binary", classes=(0, 1), train_frame=[1], holdout_frame=[1], features=())
    fitted.parameters = {}
    assert [d.what for d in training_differences(candidate, fitted, seed=1)] == ["classes"]
