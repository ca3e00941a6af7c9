"""What differs between a candidate and the champion, and nothing else."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.gate.changes import ABSENT, MAX_CHANGES, MAX_TEXT, changes
from airflow_mlops.core.records.candidate import Candidate, Champion, Feature
from airflow_mlops.core.records.evidence import Change
from airflow_mlops.core.records.snapshot import Window
from tests.support.builders import make_candidate, make_champion


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    return make_candidate(
        train_rows=900, snapshot_fingerprint="f", spec_fingerprint="s", seed=42,
        features=(Feature(name="a", role="numeric"), Feature(name="c", role="categorical")), classes=(False, True),
        parameters={"max_iter": 10, "C": 1.0, "inner": {"depth": 3, "deeper": {"on": True}}, "class_weight": None},
        metrics={"log_loss": 0.4},
    )  # fmt: skip


def champion(candidate: Candidate, **others: Any) -> Champion:
    return make_champion(replace(candidate, run_id="old", **others))


def test_nothing_differs_from_itself_or_from_no_champion(candidate: Candidate) -> None:
    assert changes(candidate, champion(candidate)) == ()
    assert changes(candidate, None) == ()
    again = Candidate.from_json(candidate.to_text())
    assert changes(again, champion(candidate, metrics={"log_loss": 0.9}, convergence={"warnings": ["x"]})) == ()


def test_every_kind_of_difference_in_order(candidate: Candidate) -> None:
    moved = Window(start=candidate.train.start - timedelta(days=30), end=candidate.train.end - timedelta(days=30))
    other = champion(
        candidate, train=moved, as_of=candidate.as_of - timedelta(days=30), train_rows=800, seed=1,
        snapshot_fingerprint="g", spec_fingerprint="t", task="multiclass", classes=("x", "y", "z"),
        features=(Feature(name="a", role="categorical"), Feature(name="d", role="numeric"),
                  Feature(name="e", role="numeric")),
        parameters={"max_iter": 20, "C": 1.0, "inner": {"depth": 3, "deeper": {"on": False}}, "class_weight": None,
                    "tol": 0.1},
    )  # fmt: skip
    packages = {"pandas": "2.3", "numpy": "2.4", "new": "1"}, {"pandas": "2.3", "numpy": "2.3", "old": "1"}
    found = changes(candidate, other, packages)
    assert [(one.what, one.candidate, one.champion) for one in found] == [
        ("as of", "2024-03-01T00:00:00+00:00", "2024-01-31T00:00:00+00:00"),
        ("classes", "2", "3"),
        ("seed", "42", "1"),
        ("snapshot", "f", "g"),
        ("specification", "s", "t"),
        ("task", "binary", "multiclass"),
        ("train rows", "900", "800"),
        ("train window", str(candidate.train), str(moved)),
        ("feature a", "numeric", "categorical"),
        ("feature c", "categorical", ABSENT),
        ("feature d", ABSENT, "numeric"),
        ("feature e", ABSENT, "numeric"),
        ("features", "2", "3"),
        ("training.parameters.inner.deeper.on", "True", "False"),
        ("training.parameters.max_iter", "10", "20"),
        ("training.parameters.tol", ABSENT, "0.1"),
        ("package new", "1", ABSENT),
        ("package numpy", "2.4", "2.3"),
        ("package old", ABSENT, "1"),
    ]
    assert changes(candidate, other) == found[:-3]


def test_the_list_is_bounded_and_says_how_many_are_left_out(candidate: Candidate) -> None:
    many = {f"p{number:03d}": number for number in range(200)}
    long = {"p000": "x" * 500}
    found = changes(replace(candidate, parameters=many), champion(candidate, parameters=long))
    assert len(found) == MAX_CHANGES
    assert found[-1] == Change(what="further differences", candidate="141", champion="141")
    assert len(found[0].champion) == MAX_TEXT
    assert found[0].champion.endswith("…")


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=True, allow_infinity=True), st.text(max_size=3)
)
PARAMETERS = st.dictionaries(st.sampled_from("abcd"), VALUES | st.dictionaries(st.sampled_from("xy"), VALUES))


@settings(max_examples=150, deadline=None)
@given(ours=PARAMETERS, theirs=PARAMETERS)
def test_the_two_sides_mirror_each_other(candidate: Candidate, ours: Any, theirs: Any) -> None:
    first, second = replace(candidate, parameters=ours), replace(candidate, parameters=theirs)
    there = changes(first, champion(second))
    back = changes(second, champion(first))
    assert [(one.what, one.candidate, one.champion) for one in there] == [
        (one.what, one.champion, one.candidate) for one in back
    ]
    assert changes(first, champion(first)) == ()


def test_true_is_not_one(candidate: Candidate) -> None:
    found = changes(replace(candidate, parameters={"on": True}), champion(candidate, parameters={"on": 1}))
    assert [(one.candidate, one.champion) for one in found] == [("True", "1")]
    same = changes(replace(candidate, parameters={"c": 1}), champion(candidate, parameters={"c": 1.0}))
    assert same == ()
