"""The rule on classes: what was not learned is no matter of luck."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from airflow_mlops.core.gate.rule import Seen
from airflow_mlops.core.gate.rules.classes import judge, sections
from airflow_mlops.core.metrics.measure import judge as bring_together
from airflow_mlops.core.pipeline.predict import Predicted
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.spec.problems import ReasonCode
from tests.support.builders import make_evaluation
from tests.support.rule_inputs import bench_of, binary, numbers


def inputs(train: dict[str, int], judged: dict[str, int], positive: str | None = None, **rule: Any) -> Any:
    """Rows by class in both parts; predictions are right."""
    classes = tuple(sorted(train))
    task = "binary" if len(classes) == 2 else "multiclass"
    held = pd.Series([label for label, count in judged.items() for _ in range(count)])
    place = [classes.index(label) if label in classes else 0 for label in held]
    said = Predicted(
        task=task, classes=classes, values=np.array(classes)[place], probabilities=np.eye(len(classes))[place]
    )
    bench = bench_of(pd.DataFrame({"t": range(len(held))}), bring_together(held, said), classes=rule)
    learned = pd.Series([label for label, count in train.items() for _ in range(count)])
    candidate = replace(bench.candidate, classes=classes, positive=positive)
    return replace(bench, labels=held, train_labels=learned, candidate=candidate)


def test_classes_with_rows_to_learn_from_pass() -> None:
    outcome = judge(inputs({"fraud": 10, "legit": 500}, {"fraud": 4, "legit": 200}, "fraud"))
    (result,) = outcome.rules
    assert (result.verdict, result.value) == (Verdict.ACCEPT, 0.0)
    fraud, legit = outcome.evidence["classes"]
    assert (fraud.label, fraud.train, fraud.judged, fraud.positive) == ("fraud", 10, 4, True)
    assert (legit.label, legit.train, legit.judged, legit.positive) == ("legit", 500, 200, False)


def test_of_two_classes_neither_may_be_rare_however_few_rows_that_is() -> None:
    (result,) = judge(inputs({"fraud": 9, "legit": 500}, {"fraud": 1, "legit": 999}, "fraud")).rules
    assert (result.verdict, result.code, result.value) == (Verdict.REJECT, ReasonCode.CLASS_RARE, 0.001)
    assert "'fraud' (9 to train, 1 judged)" in result.reason
    assert "neither may be so rare" in result.reason


@pytest.mark.parametrize(("rows", "verdict"), [(2, Verdict.ACCEPT), (3, Verdict.REJECT)])
def test_of_several_a_class_that_was_not_learned_may_be_a_small_share(rows: int, verdict: Verdict) -> None:
    (result,) = judge(inputs({"a": 50, "b": 50, "c": 50}, {"a": 100, "b": 100, "new": rows})).rules
    assert result.verdict is verdict
    assert f"'new' (0 to train, {rows} judged)" in result.reason


def test_the_bounds_are_the_specifications() -> None:
    given = inputs({"a": 50, "b": 50, "c": 5}, {"a": 50, "b": 50, "c": 10}, min_rows=5, max_share=0.0)
    assert judge(given).rules[0].verdict is Verdict.ACCEPT
    given = inputs({"a": 50, "b": 50, "c": 4}, {"a": 50, "b": 50, "c": 10}, min_rows=5, max_share=0.2)
    assert judge(given).rules[0].verdict is Verdict.ACCEPT


def test_a_regression_has_none() -> None:
    bench = bench_of(pd.DataFrame({"t": range(3)}), numbers([1, 2, 3], [1, 2, 3]), metric="rmse")
    (result,) = judge(bench).rules
    assert (result.verdict, result.value) == (Verdict.ACCEPT, 0.0)


def test_the_section_names_the_positive_class() -> None:
    outcome = judge(inputs({"fraud": 10, "legit": 500}, {"fraud": 4, "legit": 200}, "fraud"))
    bench = bench_of(pd.DataFrame({"t": range(4)}), binary([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8]))
    evaluation = make_evaluation(bench.candidate)
    seen = replace(evaluation, evidence=replace(evaluation.evidence, classes=outcome.evidence["classes"]))
    (section,) = sections(Seen(spec=bench.spec, candidate=bench.candidate, evaluation=seen))
    assert "'fraud', the positive class" in section.sentences[0]
    assert section.rows[0] == ("fraud", "10", "4")
