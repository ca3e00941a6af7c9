"""Remedies of a refused first model, tried on history: what mends is recommended, and nothing in an empty world."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airflow_mlops.core.backtest.advise import LOOKS, advise, changed_spec, judged_as_first, luck, plan_looks
from airflow_mlops.core.errors import DataError
from airflow_mlops.core.records.advice import AS_IT_IS, AdviceReport, Trial
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.reports.backtest.advice import HEADS, advice_lines, cells
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import SpecError
from tests.support.drifting_stream import FIRST, openers, specification, stream

TREE = {"estimator": "sklearn.tree.DecisionTreeClassifier", "calibration": "never"}
"""It says 0 or 1, and is surely too sure of itself: its log loss is worse than a constant's, however well it ranks."""
BOUNDS = (FIRST, FIRST + timedelta(days=100) - timedelta(minutes=24))


def spec_of(**changes: Any) -> ModelSpec:
    return specification(**{"training": TREE, **changes})


def advised(folder: Path, spec: ModelSpec, **changes: Any) -> AdviceReport:
    plan = plan_looks(spec, BOUNDS, start=FIRST + timedelta(days=64), **changes)
    report, _ = advise(plan, **openers(folder, spec), state=str(folder / "state"))
    return report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("advice")
    stream(days=100, turn=None).to_parquet(made / "orders.parquet")
    return made


@pytest.fixture(scope="module")
def report(folder: Path) -> AdviceReport:
    return advised(folder, spec_of())


def trial(report: AdviceReport, name: str) -> Trial:
    (found,) = [one for one in report.trials if one.name == name]
    return found


# -- what is tried, and what follows ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_makes_probabilities_mean_what_they_say_is_recommended(report: AdviceReport) -> None:
    own = trial(report, AS_IT_IS)
    assert [look.verdict for look in own.looks] == [Verdict.REJECT] * 4
    assert report.recommended == "calibrate"
    assert report.sure
    mended = trial(report, "calibrate")
    assert (mended.accepted, len(mended.counted)) == (4, 4)
    assert mended.first_champion == mended.looks[0].as_of == FIRST + timedelta(days=64)
    assert mended.p is not None
    assert mended.p < 1e-4
    assert report.why.startswith("Write training: {calibration: always}: calibrated probabilities, accepted at 4 of 4")


@pytest.mark.slow
def test_every_remedy_that_applies_has_a_row_and_those_of_the_evidence_come_first(report: AdviceReport) -> None:
    names = [one.name for one in report.trials]
    assert names[:2] == [AS_IT_IS, "calibrate"]
    assert sorted(names) == sorted([AS_IT_IS, "calibrate", "simplify", "metric", "holdout", "window"])
    assert trial(report, "calibrate").because.startswith("the probabilities rank")
    assert trial(report, "metric").newest.metric == "average_precision"
    assert trial(report, "holdout").settings == {"gate.holdout": "24d", "data.window": "40d"}
    longer = trial(report, "holdout")
    assert [look.apart for look in longer.looks] == [False, True, False, True]  # the others share rows with these
    newest = trial(report, "calibrate").newest
    assert newest.candidate is not None
    assert newest.constant is not None
    assert newest.gain == pytest.approx(newest.constant - newest.candidate)


@pytest.mark.slow
def test_the_table_says_the_same(report: AdviceReport) -> None:
    text = "\n".join(advice_lines(report))
    assert text.startswith("orders: a first model at 4 steps, 2026-03-06 to 2026-04-11, 12 days apart\n")
    for head in HEADS:
        assert head in text
    for one in report.trials:
        assert all(cell in text for cell in cells(one))
    assert report.why in text
    assert AdviceReport.from_json(report.to_json()) == report


@pytest.mark.slow
def test_columns_that_hold_nothing_about_the_label_are_told_so(tmp_path: Path) -> None:
    rows = stream(days=100, turn=None)
    rows["late"] = (np.random.default_rng(5).random(len(rows)) < 0.4).astype(int)
    rows.to_parquet(tmp_path / "orders.parquet")
    found = advised(tmp_path, spec_of(training={"estimator": "sklearn.linear_model.LogisticRegression"}))
    assert found.recommended is None
    assert not found.sure
    assert "The columns may hold nothing about the label" in found.why
    assert found.trials[-1].name == "together"
    assert [one.name for one in found.trials if one.newest.verdict is Verdict.ACCEPT] == []


@pytest.mark.slow
def test_what_is_accepted_as_it_is_needs_nothing(folder: Path, tmp_path: Path) -> None:
    spec = specification(gate={"holdout": "12d", "min_rows": 100, "first_model": "reject", "mode": "dry_run"})
    report, storage = advise(
        plan_looks(spec, BOUNDS, start=FIRST + timedelta(days=88)), **openers(folder, spec), state=str(tmp_path)
    )
    assert report.recommended == AS_IT_IS
    assert "nothing to mend" in report.why
    assert any("gate.first_model is reject" in note for note in report.notes)
    assert any("gate.mode is dry_run" in note for note in report.notes)
    assert storage.root == f"file://{tmp_path}/{AS_IT_IS}"


@pytest.mark.slow
def test_a_second_call_computes_nothing_and_says_the_same(folder: Path, report: AdviceReport) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "state").rglob("answers/*/*.json")}
    assert len(before) >= 6 * 8
    assert advised(folder, spec_of()).to_json() == report.to_json()
    assert {path: path.stat().st_mtime_ns for path in (folder / "state").rglob("answers/*/*.json")} == before


def test_a_span_in_which_nothing_can_be_trained_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    spec = spec_of(gate={"holdout": "12d", "min_rows": 5000})
    plan = plan_looks(spec, BOUNDS, start=FIRST + timedelta(days=88))
    with pytest.raises(DataError, match="no model at any of 2 steps; at the newest: .*holdout rows"):
        advise(plan, **openers(folder, spec), state=str(tmp_path))


# -- steps, settings, luck --------------------------------------------------------------------------------------------


def test_steps_are_a_holdout_apart_and_as_many_as_history_has_windows_for() -> None:
    spec = spec_of()  # a window of 28 days, a holdout of 12
    newest = FIRST + timedelta(days=100)
    plan = plan_looks(spec, BOUNDS)
    assert [step.start for step in plan.steps] == [
        newest - timedelta(days=12 * ago) for ago in range(LOOKS - 1, -1, -1)
    ]
    short = plan_looks(spec, (FIRST, FIRST + timedelta(days=20)))
    assert [step.start for step in short.steps] == [FIRST + timedelta(days=21)]
    given = plan_looks(spec, BOUNDS, start=FIRST, end=FIRST + timedelta(days=20), every=timedelta(days=10))
    assert [step.start for step in given.steps] == [FIRST + timedelta(days=10 * ten) for ten in range(3)]


def test_times_without_order_are_refused() -> None:
    with pytest.raises(DataError, match="--from: found"):
        plan_looks(spec_of(), BOUNDS, start=datetime(2027, 1, 1, tzinfo=UTC))


def test_settings_reach_their_part_and_wrong_ones_are_refused() -> None:
    spec = spec_of()
    made = changed_spec(spec, {"training.calibration": "always", "data.window": "56d", "gate.baseline.min_gain": 0.1})
    assert (made.training.calibration, made.data.window.days, made.gate.baseline.min_gain) == ("always", 56, 0.1)
    assert made.gate.holdout == spec.gate.holdout
    with pytest.raises(SpecError, match="calibration"):
        changed_spec(spec, {"training.calibration": "sometimes"})


def test_a_gate_that_counts_is_left_as_it_is() -> None:
    spec = spec_of()
    assert judged_as_first(spec) == (spec, ("Serving is not judged: there is no server.",))


@pytest.mark.parametrize(("accepted", "looks"), [(0, 6), (1, 6), (3, 6), (2, 2)])
def test_luck_is_the_upper_tail_of_a_binomial_distribution(accepted: int, looks: int) -> None:
    expected = sum(comb(looks, k) * 0.05**k * 0.95 ** (looks - k) for k in range(accepted, looks + 1))
    assert luck(accepted, looks, 0.95) == pytest.approx(expected)


def test_a_trial_counts_only_looks_that_share_no_rows(report_of_one: Trial) -> None:
    accepted = replace(report_of_one.looks[0], verdict=Verdict.ACCEPT)
    found = replace(report_of_one, looks=(accepted, replace(accepted, apart=True)))
    assert (found.accepted, len(found.counted)) == (1, 1)
    assert found.first_champion == accepted.as_of


@pytest.fixture
def report_of_one() -> Trial:
    from airflow_mlops.core.records.advice import Look

    look = Look(as_of=FIRST, verdict=Verdict.REJECT, reason="because")
    return Trial(name="window", title="a longer window", settings={}, because="", looks=(look,), p=1.0)
