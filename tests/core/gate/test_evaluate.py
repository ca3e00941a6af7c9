"""The gate: identical unseen rows, every rule with its numbers, and nothing passes by being absent or worse."""

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_mlops.core.errors import RecordError
from airflow_mlops.core.gate.decide import decide
from airflow_mlops.core.gate.evaluate import evaluate
from airflow_mlops.core.gate.rules.champion import compare
from airflow_mlops.core.records.decision import Evaluation, GateDecision, RuleResult, Verdict
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.stats.bootstrap import Gain
from airflow_mlops.core.training.fit import Fitted, fit
from airflow_mlops.spec.problems import ReasonCode
from tests.support.core_loop import SERVED

LOGISTIC = "sklearn.linear_model.LogisticRegression"
RIDGE = "sklearn.linear_model.Ridge"
ORDER = [Verdict.REJECT, Verdict.INCONCLUSIVE, Verdict.ACCEPT]
RULES = {"holdout", "classes", "finite", "leakage", "baseline", "convergence", "serving"}


class Case:
    """A candidate that learned from the rows as they are, and a champion that learned less."""

    def __init__(self, loop: Any, kind: str = "binary", **gate: Any) -> None:
        self.loop = loop
        self.spec = loop.spec(RIDGE if kind == "regression" else LOGISTIC, gate=gate)
        self.frame = loop.frame(2000, kind=kind)
        self.fitted = self.fit(self.frame)
        self.candidate = loop.candidate(self.fitted)
        self.served: Any = SERVED

    def fit(self, frame: pd.DataFrame) -> Fitted:
        return fit(self.spec, self.loop.snapshot(self.spec, frame), frame)

    def worse(self) -> Fitted:
        return self.fit(self.frame.assign(a=np.random.default_rng(5).normal(size=len(self.frame))))

    def evaluate(self, champion: Any = None, champion_pipeline: Any = None, pipeline: Any = None) -> Evaluation:
        pipeline = pipeline or self.fitted.pipeline
        return self.judge(self.candidate, pipeline, champion, champion_pipeline)

    def judge(
        self,
        candidate: Any,
        pipeline: Any,
        champion: Any,
        champion_pipeline: Any,
        frame: pd.DataFrame | None = None,
        spec: Any = None,
    ) -> Evaluation:
        frame, spec = self.frame if frame is None else frame, spec or self.spec
        snapshot = self.loop.snapshot(spec, self.frame)
        return evaluate(
            spec, candidate, pipeline, champion, champion_pipeline, frame, snapshot=snapshot, served=self.served
        )

    def decide(self, *models: Any, **named: Any) -> GateDecision:
        return decide(self.spec, self.candidate, self.evaluate(*models, **named), now=self.loop.as_of)


def rule(decision: GateDecision, name: str) -> RuleResult:
    return next(r for r in decision.evaluation.rules if r.rule == name)


@pytest.fixture(scope="module")
def case(loop: Any) -> Case:
    return Case(loop)


@pytest.fixture(scope="module")
def old(case: Case) -> Fitted:
    """A champion worse than the case's candidate."""
    return case.worse()


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_better_candidate_is_accepted_and_the_record_survives_json(loop: Any, kind: str) -> None:
    case = Case(loop, kind)
    old = case.worse()
    found = case.decide(loop.champion(old), old.pipeline)
    assert found.verdict is Verdict.ACCEPT
    assert found.champion_version == 3
    assert {r.rule for r in found.evaluation.rules} == RULES | {"as_of", "champion"}
    champion = rule(found, "champion")
    assert champion.lower is not None
    assert champion.upper is not None
    assert 0 < champion.lower < champion.value < champion.upper
    ours, theirs = found.evaluation.candidate_metrics, found.evaluation.champion_metrics
    assert theirs is not None
    assert champion.value == pytest.approx(theirs[found.evaluation.primary] - ours[found.evaluation.primary])
    assert GateDecision.from_json(found.to_text()) == found
    assert Evaluation.from_json(found.evaluation.to_text()) == found.evaluation
    assert ours == pytest.approx(dict(case.fitted.metrics))  # the gate measures what training measured


def test_a_worse_candidate_is_rejected_with_the_numbers_in_a_sentence(case: Case, old: Fitted) -> None:
    candidate = case.loop.candidate(old)
    champion = case.loop.champion(case.fitted)
    evaluation = case.judge(candidate, old.pipeline, champion, case.fitted.pipeline)
    found = decide(case.spec, candidate, evaluation, now=case.loop.as_of)
    assert found.verdict is Verdict.REJECT
    assert rule(found, "champion").code is ReasonCode.CHAMPION_NOT_BEATEN
    for words in ("log loss 0.", "against champion v3's 0.", "95% lower bound -0.", "is not > 0", "blocks of 1d"):
        assert words in found.reasons[0]


def test_an_equal_candidate_is_not_better_but_not_worse_either(loop: Any) -> None:
    better = Case(loop)
    assert better.decide(loop.champion(better.fitted), better.fitted.pipeline).verdict is Verdict.REJECT
    rules = {"hypothesis": "noninferiority", "margin": 0.01}
    equal = Case(loop, champion=rules)
    assert equal.decide(loop.champion(equal.fitted), equal.fitted.pipeline).verdict is Verdict.ACCEPT


def test_a_difference_within_chance_is_inconclusive(case: Case) -> None:
    noisy = case.fit(case.frame[case.frame.index % 3 != 0])
    found = case.decide(case.loop.champion(noisy), noisy.pipeline)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert rule(found, "champion").code is ReasonCode.CHAMPION_INCONCLUSIVE


@pytest.mark.parametrize(("first_model", "verdict"), [("beat_baseline", Verdict.ACCEPT), ("reject", Verdict.REJECT)])
def test_the_first_model_follows_the_specification(loop: Any, first_model: str, verdict: Verdict) -> None:
    found = Case(loop, first_model=first_model).decide()
    assert found.verdict is verdict
    assert found.champion_version is None
    assert rule(found, "first_model").verdict is verdict
    assert f"gate.first_model = {first_model}" in rule(found, "first_model").reason


def test_a_first_model_that_knows_nothing_is_no_rubber_stamp(loop: Any) -> None:
    case = Case(loop)
    case.frame = case.frame.assign(y=np.random.default_rng(8).random(len(case.frame)) < 0.5)
    found = case.decide()
    assert found.verdict is Verdict.REJECT
    assert {rule(found, name).code for name in ("baseline", "first_model")} == {
        ReasonCode.BASELINE_NOT_BEATEN,
        ReasonCode.FIRST_MODEL_REFUSED,
    }


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [({"min": 0.5}, Verdict.ACCEPT), ({"min": 0.99}, Verdict.REJECT), ({"max": 0.6}, Verdict.REJECT)],
)
def test_absolute_bounds(loop: Any, bounds: dict[str, float], verdict: Verdict) -> None:
    found = Case(loop, absolute=[{"metric": "roc_auc", **bounds}]).decide()
    assert found.verdict is verdict
    assert rule(found, "absolute").code is (None if verdict is Verdict.ACCEPT else ReasonCode.METRIC_OUT_OF_BOUNDS)


def test_an_absolute_metric_without_probabilities_to_compute_it_from_is_a_rejection(loop: Any) -> None:
    case = Case(loop, primary="accuracy", absolute=[{"metric": "roc_auc", "min": 0.5}])

    class LabelsOnly:
        def predict(self, rows: pd.DataFrame) -> Any:
            return case.fitted.pipeline.predict(rows)

    found = case.decide(pipeline=LabelsOnly())
    assert found.verdict is Verdict.REJECT
    assert rule(found, "absolute").code is ReasonCode.METRIC_NOT_FINITE


def test_a_feature_made_from_the_label_is_named(loop: Any) -> None:
    case = Case(loop)
    case.frame = case.frame.assign(delay=case.frame["y"] * 30.0 + np.random.default_rng(0).normal(size=2000))
    case.fitted = case.fit(case.frame)
    case.candidate = loop.candidate(case.fitted)
    found = case.decide()
    assert found.verdict is Verdict.REJECT
    assert rule(found, "leakage").code is ReasonCode.LABEL_LEAKAGE
    assert "delay gives every label away" in found.reasons[0]


def test_only_rows_that_the_champion_was_not_trained_on_are_judged(case: Case, old: Fitted) -> None:
    start, end = case.candidate.holdout.start, case.candidate.holdout.end
    later = Window(start=case.candidate.train.start, end=start + timedelta(days=3))
    found = case.decide(case.loop.champion(old, train=later), old.pipeline)
    assert found.evaluation.window == Window(start=later.end, end=end)
    expected = ((case.frame["t"] >= later.end) & (case.frame["t"] < end)).sum()
    assert {r.rows for r in found.evaluation.rules if r.rule in {"champion", "baseline", "finite"}} == {expected}


@pytest.mark.parametrize("days", [13, 30])
def test_a_champion_that_has_seen_the_holdout_is_not_compared(case: Case, days: int) -> None:
    seen = Window(start=case.candidate.train.start, end=case.candidate.holdout.start + timedelta(days=days))
    found = case.decide(case.loop.champion(case.fitted, train=seen), case.fitted.pipeline)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert not any(r.rule == "champion" for r in found.evaluation.rules)
    assert ReasonCode.CHAMPION_TRAINED_ON_HOLDOUT in {r.code for r in found.evaluation.rules}
    assert "not compared" in found.reasons[0]


def test_too_few_blocks_after_the_cut_are_inconclusive(case: Case, old: Fitted) -> None:
    later = Window(start=case.candidate.train.start, end=case.candidate.holdout.start + timedelta(days=7))
    found = case.decide(case.loop.champion(old, train=later), old.pipeline)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "an interval needs at least 10" in found.reasons[0]


class Broken:
    def predict_proba(self, rows: pd.DataFrame) -> Any:
        raise RuntimeError("from another version")


@pytest.mark.parametrize("pipeline", [None, Broken()])
def test_a_champion_that_cannot_be_read_or_scored_rejects(case: Case, pipeline: Any) -> None:
    found = case.decide(case.loop.champion(case.fitted), pipeline)
    assert found.verdict is Verdict.REJECT
    assert rule(found, "champion").code is ReasonCode.CHAMPION_UNREADABLE


def test_a_champion_with_other_columns_is_scored_as_long_as_they_are_there(loop: Any) -> None:
    case = Case(loop)
    case.frame = case.frame.assign(old=np.random.default_rng(2).normal(size=2000))
    other = loop.spec(LOGISTIC, features={"numeric": ["old"]})
    old = fit(other, loop.snapshot(other, case.frame), case.frame)
    assert case.decide(loop.champion(old), old.pipeline).verdict is Verdict.ACCEPT
    case.frame = case.frame.drop(columns="old")
    found = case.decide(loop.champion(old), old.pipeline)
    assert rule(found, "champion").code is ReasonCode.CHAMPION_UNREADABLE
    assert "no column 'old'" in found.reasons[0]


def test_a_champion_of_another_task_cannot_be_compared(loop: Any, case: Case) -> None:
    numbers = Case(loop, "regression")
    found = case.decide(loop.champion(numbers.fitted), numbers.fitted.pipeline)
    assert rule(found, "champion").code is ReasonCode.CHAMPION_UNREADABLE
    assert "regression" in rule(found, "champion").reason


def test_a_champion_that_knew_fewer_classes_is_compared_over_all(loop: Any) -> None:
    case = Case(loop, "multiclass")
    old = case.fit(case.frame.assign(y=case.frame["y"].clip(upper=1)))
    found = case.decide(loop.champion(old), old.pipeline)
    assert found.verdict is Verdict.ACCEPT
    assert rule(found, "champion").value > 1  # a class given no chance at all costs dearly


@pytest.mark.parametrize("primary", ["log_loss", "accuracy"])
@pytest.mark.parametrize("kinds", [("bool", int), ("bool", str), (int, "bool")])
def test_a_champion_that_knows_none_of_the_classes_is_not_judged_by_them(loop: Any, primary: str, kinds: Any) -> None:
    case = Case(loop, primary=primary)
    old = case.fit(case.frame.astype({"y": kinds[0]}))
    case.frame = case.frame.assign(a=0.0).astype({"y": kinds[1]})  # worse, and its label has another type
    case.fitted = case.fit(case.frame)
    case.candidate = loop.candidate(case.fitted)
    found = case.decide(loop.champion(old), old.pipeline)
    assert found.verdict is Verdict.REJECT
    assert rule(found, "champion").code is ReasonCode.CHAMPION_UNREADABLE
    assert "the label has changed" in found.reasons[0]


@pytest.mark.parametrize("primary", ["log_loss", "roc_auc"])
def test_rows_that_all_have_one_label_are_refused_with_that_reason(case: Case, loop: Any, primary: str) -> None:
    spec = loop.spec(LOGISTIC, gate={"primary": primary})
    seen = case.candidate.holdout.start + timedelta(days=1)
    one = case.frame.assign(y=case.frame["y"] & (case.frame["t"] < seen))
    old = loop.champion(case.fitted, train=Window(start=case.candidate.train.start, end=seen))
    for champion, frame in ((None, one[(one["t"] < case.candidate.holdout.start) | ~one["y"]]), (old, one)):
        judged = case.judge(case.candidate, case.fitted.pipeline, champion, case.fitted.pipeline, frame, spec)
        found = decide(spec, case.candidate, judged, now=loop.as_of)
        assert found.verdict is Verdict.REJECT
        assert "have the same label in 'y'" in found.reasons[0]
        assert ReasonCode.LABEL_SINGLE_CLASS in {r.code for r in found.evaluation.rules}


def test_a_model_without_a_metric_is_told_with_the_reason(case: Case) -> None:
    class LabelsOnly:
        def predict(self, rows: pd.DataFrame) -> Any:
            return case.fitted.pipeline.predict(rows)

    found = case.decide(case.loop.champion(case.fitted), LabelsOnly())
    assert rule(found, "champion").code is ReasonCode.METRIC_NOT_FINITE
    assert rule(found, "champion").reason.endswith("no gain: of the champion, the model gives no probabilities")


def test_bounds_and_levels_are_told_as_they_were_written(loop: Any) -> None:
    case = Case(loop, champion={"hypothesis": "noninferiority", "confidence": 0.999})
    told = rule(case.decide(loop.champion(case.fitted), case.fitted.pipeline), "champion")
    assert told.bound == "lower bound > 0 (noninferiority)"
    assert "gain 0, 99.9% lower bound 0 is not > 0" in told.reason


def test_the_as_of_time_never_moves_backwards(case: Case, old: Fitted) -> None:
    champion = case.loop.champion(old, as_of=case.loop.as_of + timedelta(days=1))
    found = case.decide(champion, old.pipeline)
    assert found.verdict is Verdict.REJECT
    assert rule(found, "as_of").code is ReasonCode.AS_OF_BACKWARDS


def test_too_few_rows_are_a_rejection(case: Case) -> None:
    few = case.frame[(case.frame["t"] < case.candidate.holdout.start) | (case.frame.index % 20 == 0)]
    evaluation = case.judge(case.candidate, case.fitted.pipeline, None, None, few)
    found = decide(case.spec, case.candidate, evaluation, now=case.loop.as_of)
    assert found.verdict is Verdict.REJECT
    assert rule(found, "holdout").code is ReasonCode.HOLDOUT_TOO_SMALL
    none = case.judge(case.candidate, case.fitted.pipeline, None, None, case.frame.head(0))
    assert decide(case.spec, case.candidate, none, now=case.loop.as_of).verdict is Verdict.REJECT


class Nan:
    """A model that gives no number for one row."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.classes_ = inner, inner.classes_

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        found = self.inner.predict_proba(rows)
        found[3] = np.nan
        return found


def test_one_prediction_that_is_no_number_rejects_whoever_made_it(case: Case, old: Fitted) -> None:
    broken = Nan(case.fitted.pipeline)
    mine = case.decide(case.loop.champion(old), old.pipeline, pipeline=broken)
    assert mine.verdict is Verdict.REJECT
    assert {rule(mine, n).code for n in ("finite", "baseline", "champion")} == {ReasonCode.METRIC_NOT_FINITE}
    theirs = case.decide(case.loop.champion(old), Nan(old.pipeline))
    assert theirs.verdict is Verdict.REJECT
    assert GateDecision.from_json(mine.to_text()).to_text() == mine.to_text()


def test_an_evaluation_of_another_run_is_refused(case: Case) -> None:
    with pytest.raises(RecordError, match="decision_mismatch"):
        decide(case.spec, case.loop.candidate(case.fitted, "other"), case.evaluate(), now=case.loop.as_of)


@pytest.fixture(scope="module")
def accepting(case: Case, old: Fitted) -> Evaluation:
    return case.evaluate(case.loop.champion(old), old.pipeline)


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_a_number_that_is_missing_or_not_finite_never_passes(case: Case, accepting: Evaluation, data: Any) -> None:
    number = data.draw(st.integers(0, len(accepting.rules) - 1))
    bad = data.draw(st.sampled_from([None, math.nan, math.inf, -math.inf]))
    picked = accepting.rules[number]
    fields = ["value", "lower", "upper"] if picked.rule in {"baseline", "champion"} else ["value"]
    field = data.draw(st.sampled_from(fields))
    rules = (*accepting.rules[:number], replace(picked, **{field: bad}), *accepting.rules[number + 1 :])
    broken = replace(accepting, rules=rules)
    assert decide(case.spec, case.candidate, accepting, now=case.loop.as_of).verdict is Verdict.ACCEPT
    assert decide(case.spec, case.candidate, broken, now=case.loop.as_of).verdict is Verdict.REJECT


def test_a_rule_that_was_left_out_never_passes(case: Case, accepting: Evaluation) -> None:
    for left_out in accepting.rules:
        rules = tuple(r for r in accepting.rules if r is not left_out)
        found = decide(case.spec, case.candidate, replace(accepting, rules=rules), now=case.loop.as_of)
        assert found.verdict is Verdict.REJECT
        assert "was not evaluated" in found.reasons[0]
    stricter = case.loop.spec(LOGISTIC, gate={"absolute": [{"metric": "brier", "max": 1}]})
    assert decide(stricter, case.candidate, accepting, now=case.loop.as_of).verdict is Verdict.REJECT


class Worsened:
    """The same model with every row's prediction moved away from the truth by a share."""

    def __init__(self, inner: Any, truth: np.ndarray, share: float) -> None:
        self.inner, self.y_true, self.share, self.classes_ = inner, truth, share, inner.classes_

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        found = self.inner.predict_proba(rows)
        wrong = np.column_stack([self.y_true, ~self.y_true]).astype(float)
        return (1 - self.share) * found + self.share * wrong


@pytest.mark.slow
@given(
    shares=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)), metric=st.sampled_from(["log_loss", "brier", "accuracy"])
)
@settings(max_examples=40, deadline=None)
def test_a_worse_candidate_never_gets_a_better_verdict(
    case: Case, old: Fitted, shares: tuple[float, float], metric: str
) -> None:
    bound = {"min": 0.6} if metric == "accuracy" else {"max": 0.65}
    gate = {"primary": metric, "absolute": [{"metric": metric, **bound}], "champion": {"resamples": 300}}
    spec, truth = case.loop.spec(LOGISTIC, gate=gate), case.fitted.holdout_labels.to_numpy()
    verdicts = []
    for share in sorted(shares):
        worsened = Worsened(case.fitted.pipeline, truth, share)
        served = case.loop.champion(old)
        found = case.judge(case.candidate, worsened, served, old.pipeline, spec=spec)
        verdicts.append(decide(spec, case.candidate, found, now=case.loop.as_of).verdict)
    assert ORDER.index(verdicts[1]) <= ORDER.index(verdicts[0])


numbers = st.floats(-1e6, 1e6)


@given(value=numbers, width=st.floats(0, 1e3), least=numbers, drop=st.floats(0, 1e6))
def test_comparing_is_monotone_and_accepts_only_above_the_bound(
    value: float, width: float, least: float, drop: float
) -> None:
    def at(shift: float) -> Verdict:
        middle = value - shift
        return compare(Gain(value=middle, lower=middle - width, upper=middle + width, rows=99, units=20), least)

    assert ORDER.index(at(drop)) <= ORDER.index(at(0.0))
    assert (at(0.0) is Verdict.ACCEPT) == (value - width > least)
