"""The rule about serving, and the golden batch that it rests on: what is missing, differs or is slow does not pass."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.gate.rules.serving import judge, require_serving
from airflow_mlops.core.pipeline.predict import predict
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.core.records.evidence import ServingReport
from airflow_mlops.core.training.fit import fit
from airflow_mlops.core.training.golden_batch import (
    Golden,
    as_numbers,
    from_parquet,
    largest_difference,
    make_golden,
    read_golden,
    sample,
    to_parquet,
)
from airflow_mlops.spec.gate import ServingRule
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.model_files.loader import load_file, measure, predictions

SERVED = ServingReport(
    model_uri="models:/m-1",
    environment="current",
    rows=200,
    max_difference=1e-12,
    load_seconds=0.5,
    row_ms=(2.0, 4.0),
    batch_ms=(5.0, 9.0),
    size_bytes=3_000_000,
    python="3.11.2",
)
ALL = {"max_load_seconds": 1.0, "max_row_ms": 5.0, "max_batch_ms": 10.0, "max_size_mb": 3.0}
METRICS = ["predictions", "load_seconds", "row_ms", "batch_ms", "size_mb"]
NUMBER, TEXT = Feature(name="n", role="numeric"), Feature(name="t", role="categorical")


def judged(report: ServingReport | None, **rule: Any) -> Any:
    bench: Any = SimpleNamespace(
        serving=report, spec=SimpleNamespace(gate=SimpleNamespace(serving=ServingRule.model_validate(rule)))
    )
    return judge(bench)


def test_predictions_alone_are_judged_when_no_bound_is_set() -> None:
    found = judged(SERVED)
    (rule,) = found.rules
    assert (rule.rule, rule.metric, rule.verdict, rule.rows) == ("serving", "predictions", Verdict.ACCEPT, 200)
    assert (rule.value, rule.bound, rule.code) == (1e-12, "<= 1e-09", None)
    assert found.evidence == {"serving": SERVED}


def test_every_bound_that_is_set_has_its_result() -> None:
    found = judged(SERVED, **ALL)
    assert [rule.metric for rule in found.rules] == METRICS
    assert {rule.verdict for rule in found.rules} == {Verdict.ACCEPT}
    assert [rule.value for rule in found.rules] == [1e-12, 0.5, 4.0, 9.0, 3.0]


@pytest.mark.parametrize(
    ("change", "metric", "code"),
    [
        ({"max_difference": 2e-9}, "predictions", ReasonCode.SERVING_DIFFERS),
        ({"max_difference": math.nan}, "predictions", ReasonCode.SERVING_DIFFERS),
        ({"load_seconds": 1.01}, "load_seconds", ReasonCode.SERVING_TOO_SLOW),
        ({"load_seconds": math.nan}, "load_seconds", ReasonCode.SERVING_TOO_SLOW),
        ({"row_ms": (1.0, 5.1)}, "row_ms", ReasonCode.SERVING_TOO_SLOW),
        ({"batch_ms": (1.0, math.inf)}, "batch_ms", ReasonCode.SERVING_TOO_SLOW),
        ({"size_bytes": 3_000_001}, "size_mb", ReasonCode.SERVING_TOO_LARGE),
    ],
)
def test_what_is_beyond_its_bound_rejects(change: dict[str, Any], metric: str, code: ReasonCode) -> None:
    found = judged(replace(SERVED, **change), **ALL)
    rejected = {rule.metric: rule for rule in found.rules if rule.verdict is not Verdict.ACCEPT}
    assert list(rejected) == [metric]
    assert (rejected[metric].verdict, rejected[metric].code) == (Verdict.REJECT, code)
    with pytest.raises(RecordError) as error:
        require_serving(replace(SERVED, **change), ServingRule.model_validate(ALL), "m version 2")
    assert [problem.code for problem in error.value.problems] == [code]


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (None, ReasonCode.NOT_EVALUATED),
        (replace(SERVED, failure="it burned down"), ReasonCode.SERVING_FAILED),
        (replace(SERVED, rows=0), ReasonCode.SERVING_FAILED),
    ],
)
def test_what_could_not_be_served_rejects_every_bound(report: ServingReport | None, code: ReasonCode) -> None:
    found = judged(report, **ALL)
    assert [rule.metric for rule in found.rules] == METRICS
    assert {(rule.verdict, rule.code) for rule in found.rules} == {(Verdict.REJECT, code)}
    with pytest.raises(RecordError) as error:
        require_serving(report, ServingRule.model_validate(ALL), "m version 2")
    assert len(error.value.problems) == 5
    if report is not None and report.failure:
        assert report.failure in str(error.value)


def test_what_may_serve_is_not_refused() -> None:
    require_serving(SERVED, ServingRule.model_validate(ALL), "m version 2")


@given(
    a=st.floats(0, 1, allow_nan=False), b=st.floats(0, 1, allow_nan=False), tolerance=st.floats(0, 1, allow_nan=False)
)
def test_a_larger_difference_never_turns_a_rejection_into_an_acceptance(a: float, b: float, tolerance: float) -> None:
    low, high = sorted((a, b))
    verdicts = [
        judged(replace(SERVED, max_difference=gap), tolerance=tolerance).rules[0].verdict for gap in (low, high)
    ]
    assert verdicts != [Verdict.REJECT, Verdict.ACCEPT]
    assert (verdicts[1] is Verdict.ACCEPT) == (high <= tolerance)


# the golden batch ------------------------------------------------------------------------------------------

ROWS = st.lists(
    st.tuples(
        st.floats(allow_infinity=False),
        st.one_of(st.just(math.nan), st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
    ),
    min_size=1,
    max_size=20,
)


@given(rows=ROWS)
@example(rows=[(math.nan, math.nan)])
@example(rows=[(-0.0, ""), (5e-324, "nan"), (1.7976931348623157e308, "1")])
def test_rows_come_back_exactly(rows: list[tuple[float, Any]]) -> None:
    frame = pd.DataFrame(
        {"n": np.array([n for n, _ in rows], dtype=float), "t": np.array([t for _, t in rows], dtype=object)}
    )
    back = from_parquet(to_parquet(frame, (NUMBER, TEXT)), (NUMBER, TEXT))
    assert back["n"].to_numpy().tobytes() == frame["n"].to_numpy().tobytes() or frame["n"].isna().any()
    pd.testing.assert_frame_equal(back, frame, check_exact=True)
    assert [type(value) for value in back["t"]] == [type(value) for value in frame["t"]]


@given(size=st.integers(1, 2000), seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 50))
def test_a_sample_is_spread_over_the_rows(size: int, seed: int, rows: int) -> None:
    frame = pd.DataFrame({"place": np.arange(size)})
    places = sample(frame, seed, rows)["place"].to_numpy()
    assert len(places) == min(size, rows)
    assert (np.diff(places) > 0).all()
    assert np.array_equal(places, sample(frame, seed, rows)["place"])
    if size > rows:  # one of each stretch: none is twice as far from the next as a stretch is long
        assert np.diff(np.concatenate(([0], places, [size]))).max() <= 2 * math.ceil(size / rows)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_golden_batch_and_what_the_fresh_interpreter_computes(loop: Any, tmp_path: Path, kind: str) -> None:
    import skops.io

    estimator = "sklearn.linear_model.Ridge" if kind == "regression" else "sklearn.linear_model.LogisticRegression"
    spec, frame = loop.spec(estimator), loop.frame(1500, kind=kind)
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    record, content = make_golden(fitted.pipeline, fitted.holdout_frame, fitted, name="m", seed=1)
    assert Golden.from_json(record.to_text()) == record
    batch = read_golden(record, content)
    skops.io.dump(fitted.pipeline, tmp_path / "model.skops")
    pipeline = load_file(tmp_path / "model.skops", "skops", fitted.trusted_types, ())
    served = predictions(pipeline, batch.rows, fitted.task)
    assert np.array_equal(served, as_numbers(predict(fitted.pipeline, batch.rows, fitted))[1])
    assert largest_difference(record.output, record.predictions, served) == 0
    result = measure(pipeline, batch.rows, fitted.task)
    assert largest_difference(record.output, record.predictions, result["batch"]) == 0
    assert largest_difference(record.output, record.predictions[: len(result["alone"])], result["alone"]) < 1e-12
    with pytest.raises(RecordError, match="not those of golden"):
        read_golden(record, content + b"\0")


def test_labels_of_a_classifier_without_probabilities_are_places_of_classes(loop: Any) -> None:
    spec, frame = loop.spec("sklearn.svm.LinearSVC", gate={"primary": "accuracy"}), loop.frame(1500, kind="multiclass")
    fitted = fit(spec, loop.snapshot(spec, frame), frame)
    record, _ = make_golden(fitted.pipeline, fitted.holdout_frame, fitted, name="m", seed=1)
    assert record.output == "labels"
    assert {row[0] for row in record.predictions} <= {0.0, 1.0, 2.0}
    rows = sample(fitted.holdout_frame, 1)
    assert largest_difference("labels", record.predictions, predictions(fitted.pipeline, rows, fitted.task)) == 0


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        ([[0.2, 0.8], [0.5, 0.5]], 0.25),
        ([[0.2, math.nan], [0.5, 0.5]], math.nan),
        ([[0.2, math.inf], [0.5, 0.5]], math.nan),
        ([[0.2, 0.8]], math.nan),
        ([[0.2, 0.8, 0.0], [0.5, 0.5, 0.0]], math.nan),
    ],
)
def test_the_largest_difference(served: Any, expected: float) -> None:
    assert largest_difference("probabilities", [[0.2, 0.8], [0.75, 0.25]], served) == pytest.approx(
        expected, nan_ok=True
    )
    assert math.isnan(largest_difference("values", np.empty((0, 1)), np.empty((0, 1))))


def test_a_file_that_needs_code_that_is_not_here_is_broken(tmp_path: Path) -> None:
    from airflow_mlops.stores.model_files.loader import BrokenModelError

    (tmp_path / "model.pkl").write_bytes(pickle.dumps(ServingRule())[:2] + b"cnowhere.at.all\nThing\n.")
    with pytest.raises(BrokenModelError, match="needs the module 'nowhere', which cannot be imported"):
        load_file(tmp_path / "model.pkl", "cloudpickle", (), ())
