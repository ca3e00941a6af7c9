"""Drift: the formulas against scipy and statsmodels, and how often the verdict is wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from scipy.stats import entropy

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.monitoring.drift.causes_in_counts import CauseInput
from airflow_mlops.core.monitoring.drift.columns import EvidentlyTest
from airflow_mlops.core.monitoring.drift.compare import compare, invalid_report
from airflow_mlops.core.monitoring.drift.effect_sizes import EFFECT_SIZES, psi
from airflow_mlops.core.monitoring.drift.hints import hints
from airflow_mlops.core.monitoring.drift.significance import SMOOTHING
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.profile import ColumnProfile, Profile
from airflow_mlops.spec.monitoring import EFFECTS, DriftSpec
from airflow_mlops.spec.problems import ReasonCode
from tests.support.compared_windows import AS_OF, BEFORE, COLUMNS, NOW, SPEC, counts, normal, reference, window


@given(pairs=counts)
def test_psi_is_the_symmetrised_divergence_of_the_smoothed_shares(pairs):
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))
    kept = [(x + SMOOTHING, y + SMOOTHING) for x, y in pairs if x or y]
    p, q = ([pair[side] / sum(k[side] for k in kept) for pair in kept] for side in (0, 1))
    assert math.isclose(psi(a, b), entropy(p, q) + entropy(q, p), rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(psi(a, b), psi(b, a), rel_tol=1e-9, abs_tol=1e-12)
    assert psi(a, a) == 0


def report(ref: Profile, frame: pd.DataFrame, spec: DriftSpec = SPEC) -> DriftReport:
    return compare(ref, window(ref, frame), spec, champion_version=3, as_of=AS_OF)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [50, 80, 100, 120, 200, 500, 5000])
def test_false_alarms_stay_below_the_level(rows):
    rng = np.random.default_rng(rows)
    spec = DriftSpec.model_validate({"min_rows": 50})
    ref = reference(normal(rng, 20_000))
    reports = [report(ref, normal(rng, rows), spec) for _ in range(40)]
    columns = [column.verdict for one in reports for column in one.columns]
    assert set(columns) <= {"ok", "drift"}
    assert columns.count("drift") / len(columns) <= spec.level
    assert all(one.verdict == "ok" for one in reports)
    # the test alone, not helped by the smallest effect that matters: any discovery is a false one
    discovered = sum(any((c.p_value or 0) < spec.level for c in one.columns) for one in reports)
    assert discovered / len(reports) <= spec.level + 3 * math.sqrt(spec.level * (1 - spec.level) / len(reports))


@pytest.mark.parametrize("rows", [500, 2000, 20_000])
def test_half_a_sigma_is_found(rows):
    rng = np.random.default_rng(rows)
    ref = reference(normal(rng, 20_000))
    reports = [report(ref, normal(rng, rows, 0.5, shifted=4)) for _ in range(10)]
    assert all(one.verdict == "drift" for one in reports)
    for one in reports:
        assert [c.verdict for c in one.columns] == ["drift"] * 4 + ["ok"] * 6


def test_an_outlier_in_reference_or_window_changes_nothing():
    rng = np.random.default_rng(5)
    before, now = normal(rng, 20_000), normal(rng, 2000, 0.8, shifted=5)
    plain = report(reference(before), now)
    before.loc[17, "x0"], now.loc[23, "x1"] = 1e4, 1e4
    spoiled = report(reference(before), now)
    assert [c.verdict for c in spoiled.columns] == [c.verdict for c in plain.columns] == ["drift"] * 5 + ["ok"] * 5
    np.testing.assert_allclose([c.psi for c in spoiled.columns], [c.psi for c in plain.columns], rtol=0.01, atol=0.003)


def test_share_decides_and_the_reasons_name_columns():
    rng = np.random.default_rng(6)
    ref = reference(normal(rng, 20_000))
    few, many = (report(ref, normal(rng, 2000, 1.0, shifted=n)) for n in (2, 3))
    assert (few.verdict, many.verdict) == ("ok", "drift")
    assert few.reasons[0] == "2 of 10 feature columns (20%) are in drift; 30% make drift."
    assert sorted(reason.split(":")[0] for reason in many.reasons[1:]) == ["x0", "x1", "x2"]
    assert all("PSI" in reason and reason.endswith(".") for reason in many.reasons[1:])
    assert (many.champion_version, many.rows, many.window, many.reference) == (3, 2000, NOW, BEFORE)
    assert DriftReport.from_json(many.to_text()) == many


def test_a_large_window_with_a_tiny_difference_is_ok():
    rng = np.random.default_rng(7)
    one = report(reference(normal(rng, 100_000)), normal(rng, 100_000, 0.05))
    assert one.verdict == "ok"
    assert max(c.p_value for c in one.columns) < SPEC.level


def test_categories_new_values_and_missing_share_are_seen():
    rng = np.random.default_rng(8)
    before = pd.DataFrame({"c": rng.choice(["a", "b"], 5000), "d": rng.choice(["a", "b"], 5000)})
    now = pd.DataFrame({"c": rng.choice(["a", "z"], 1000), "d": rng.choice(["a", "b", None], 1000)})
    now["d"] = now["d"].where(rng.random(1000) < 0.5, None)
    one = report(reference(before), now)
    assert [c.verdict for c in one.columns] == ["drift", "drift"]
    assert "missing 0.0% before" in one.columns[1].reason


@pytest.mark.parametrize(("before", "now"), [(20_000, 49), (49, 20_000), (20_000, 0)])
def test_too_few_rows_are_unknown_whatever_they_show(before, now):
    rng = np.random.default_rng(9)
    one = report(reference(normal(rng, before)), normal(rng, now, 5.0))
    assert one.verdict == "unknown"
    assert {c.verdict for c in one.columns} == {"unknown"}
    assert "too few" in one.reasons[0]


def test_broken_values_are_invalid_not_drift():
    rng = np.random.default_rng(10)
    ref = reference(normal(rng, 5000))
    now = normal(rng, 2000, 3.0)
    now["x1"] = np.nan
    now.loc[5, "x2"] = np.inf
    one = report(ref, now)
    assert one.verdict == "invalid"
    assert [c.column for c in one.columns if c.verdict == "invalid"] == ["x1", "x2"]
    assert len(one.reasons) == 3
    assert one.columns[0].verdict == "drift"


@pytest.mark.parametrize("finite", [0, 1])
def test_infinite_values_that_become_many_are_the_pipeline_though_the_reference_had_some(finite):
    before = ColumnProfile(name="x0", role="numeric", edges=(0.0,), counts=(450, 450), non_finite=100, kind="number")
    now = replace(before, counts=(300 * finite, 300 * finite), non_finite=1000 - 600 * finite)
    ref, window = (Profile(model="m", window=w, rows=1000, columns=(c,)) for w, c in ((BEFORE, before), (NOW, now)))
    one = compare(ref, window, SPEC, champion_version=1, as_of=AS_OF)
    assert one.verdict == ("drift" if finite else "invalid")
    (hint,) = hints(CauseInput(ref, window, SPEC), one)
    assert (hint.cause, hint.pipeline) == ("non_finite", True)


def test_other_columns_or_bins_are_invalid():
    rng = np.random.default_rng(11)
    ref, other = reference(normal(rng, 5000)), reference(normal(rng, 5000))
    assert compare(ref, other, SPEC, champion_version=1, as_of=AS_OF).verdict == "invalid"
    fewer = replace(ref, columns=ref.columns[1:])
    one = compare(ref, fewer, SPEC, champion_version=1, as_of=AS_OF)
    assert (one.verdict, one.columns[0].verdict) == ("invalid", "invalid")
    none = replace(ref, columns=())
    assert compare(none, none, SPEC, champion_version=1, as_of=AS_OF).verdict == "invalid"
    with pytest.raises(RecordError):
        compare(ref, replace(other, model="n"), SPEC, champion_version=1, as_of=AS_OF)


def test_a_column_that_was_always_missing_may_stay_so():
    frame = normal(np.random.default_rng(12), 1000).assign(x0=np.nan)
    one = report(reference(frame), frame)
    assert one.verdict == "ok"
    assert (one.columns[0].psi, one.columns[0].p_value) == (0, 1)


def test_many_drifting_columns_are_counted_not_listed():
    rng = np.random.default_rng(13)
    before = pd.DataFrame(rng.normal(size=(2000, 15)), columns=[f"x{i}" for i in range(15)])
    one = report(reference(before), before + 2)
    assert one.reasons[-1] == "and 5 more columns."
    assert len(one.columns) == 15


def test_a_window_that_cannot_be_counted_gives_an_invalid_report():
    rng = np.random.default_rng(14)
    ref = reference(normal(rng, 1000))
    with pytest.raises(DataError) as caught:
        window(ref, normal(rng, 1000).drop(columns="x3").assign(x4="text"))
    one = invalid_report(ref, NOW, caught.value.problems, champion_version=2, as_of=AS_OF)
    assert (one.verdict, one.rows) == ("invalid", 0)
    assert len(one.reasons) == len(caught.value.problems)
    assert ReasonCode.COLUMN_MISSING in one.reasons[0]


def test_importance_decides_what_counts():
    rng = np.random.default_rng(21)
    ref = reference(normal(rng, 20_000))
    now = window(ref, normal(rng, 2000, 1.0, shifted=1))

    def verdict(importance: dict[str, float]) -> DriftReport:
        return compare(replace(ref, importance=importance), now, SPEC, champion_version=1, as_of=AS_OF)

    heavy, light = verdict({"x0": 0.6, "x1": 0.4}), verdict({"x0": 0.1, "x1": 0.9})
    assert (heavy.verdict, heavy.share, light.verdict, light.share) == ("drift", 0.6, "ok", pytest.approx(0.1))
    assert heavy.reasons[0] == "1 of 10 feature columns are in drift, with 60% of the importance; 30% make drift."
    assert [c.weight for c in heavy.columns[:3]] == [0.6, 0.4, 0.0]
    assert verdict({"x0": -1.0}).share == pytest.approx(0.1)  # nothing is important: all alike
    assert verdict({}).share == pytest.approx(0.1)


@pytest.mark.parametrize("effect", EFFECTS)
def test_any_effect_size_may_be_the_bound(effect):
    rng = np.random.default_rng(23)
    before = pd.DataFrame({"x": rng.normal(size=20_000), "c": rng.choice(list("abc"), 20_000)})
    now = pd.DataFrame({"x": rng.normal(0.5, 1, 5000), "c": rng.choice(list("abc"), 5000, p=[0.5, 0.3, 0.2])})
    ref = reference(before)
    one = report(ref, now, DriftSpec.model_validate({"effect": effect}))
    assert [c.verdict for c in one.columns] == ["drift", "drift"]
    chosen, fallback = EFFECT_SIZES[effect], EFFECT_SIZES["total_variation"]
    expected = [chosen if role in chosen.roles else fallback for role in ("numeric", "categorical")]
    assert [c.reason.startswith(size.words) for c, size in zip(one.columns, expected, strict=True)] == [True, True]
    strict = report(ref, now, DriftSpec.model_validate({"effect": effect, "min_effect": 1.5}))
    assert [c.verdict for c in strict.columns] == ["ok", "ok"]


def test_missing_values_that_rise_matter_whatever_the_smallest_effect_is():
    rng = np.random.default_rng(24)
    before = normal(rng, 20_000).mask(rng.random((20_000, COLUMNS)) < 0.05)
    ref = reference(before)
    now = normal(rng, 5000)
    now["x0"] = now["x0"].mask(rng.random(5000) < 0.10)
    now["x1"] = now["x1"].mask(rng.random(5000) < 0.055)
    one = report(ref, now, DriftSpec.model_validate({"min_effect": 0.2}))
    assert [c.verdict for c in one.columns[:2]] == ["drift", "ok"]
    assert one.columns[0].missing_before == pytest.approx(0.05, abs=0.01)
    assert one.columns[0].missing_now == pytest.approx(0.10, abs=0.015)


def test_unseen_categories_are_no_drift_by_themselves():
    rng = np.random.default_rng(25)
    ref = reference(pd.DataFrame({"c": rng.choice(list("abcd"), 5000)}))
    now = pd.DataFrame({"c": np.append(rng.choice(list("abcd"), 4990), ["new"] * 10)})
    one = report(ref, now)
    assert [(c.change, c.column, c.share) for c in one.changes] == [("unseen_categories", "c", 0.002)]
    assert one.verdict == "ok"
    with_others = replace(ref.columns[0], counts=(*ref.columns[0].counts[:-1], 3))
    assert report(replace(ref, columns=(with_others,)), now).changes == ()  # it may have been one of the others


def test_a_test_that_could_not_be_made_leaves_the_verdict_open():
    rng = np.random.default_rng(26)
    ref = reference(normal(rng, 5000))
    now = window(ref, normal(rng, 1000, 1.0, shifted=2))

    def verdict(drift: bool | None) -> DriftReport:
        tests = {name: EvidentlyTest(drift=drift, value=0.1, words="by name") for name in ("x5", "x6")}
        return compare(ref, now, SPEC, tests, champion_version=1, as_of=AS_OF)

    assert [verdict(drift).verdict for drift in (True, False, None)] == ["drift", "ok", "unknown"]
    assert [c.verdict for c in verdict(None).columns[5:7]] == ["unknown", "unknown"]
    assert verdict(True).columns[5].reason == "by name"
