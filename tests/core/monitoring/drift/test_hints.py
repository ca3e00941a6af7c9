"""What a change looks like: each cause is told from the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from airflow_mlops.core.faults.units import UNITS
from airflow_mlops.core.monitoring.drift.hints import hints_of_problems, of_change, since
from airflow_mlops.core.monitoring.drift.unit_change import unit_change
from airflow_mlops.core.records.drift import CauseHint, DriftReport, SchemaChange
from airflow_mlops.spec.problems import Problem, ReasonCode
from tests.support.watched_model import NOW, WEEK, Watched


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Watched:
    return Watched(tmp_path_factory.mktemp("hints"))


def only(report: DriftReport, column: str) -> CauseHint:
    (hint,) = [hint for hint in report.hints if hint.column == column]
    return hint


CHANGES = {
    "fahrenheit": ("temp", lambda f: f.assign(temp=f.temp * 1.8 + 32), "unit_change", "Fahrenheit"),
    "metres": ("wind", lambda f: f.assign(wind=f.wind * 0.3048), "unit_change", "metres in place of feet"),
    "thousand": ("wind", lambda f: f.assign(wind=f.wind * 1000), "unit_change", "1,000"),
    "constant": ("temp", lambda f: f.assign(temp=99.0), "constant", "one value only"),
    "stuck": ("carrier", lambda f: f.assign(carrier="UA"), "constant", "one value only"),
    "missing": ("temp", lambda f: f.assign(temp=f.temp.where(f.id % 12 > 0)), "missing_spike", "missing"),
    "infinite": ("temp", lambda f: f.assign(temp=f.temp.where(f.id % 50 > 0, np.inf)), "non_finite", "not finite"),
    "empty": ("temp", lambda f: f.assign(temp=np.nan), "missing_spike", "Every value"),
    "renamed": ("carrier", lambda f: f.assign(carrier=f.carrier.replace("B6", "JB")), "category_renamed", "number 2"),
    "recoded": ("carrier", lambda f: f.assign(carrier=f.carrier.str.lower()), "category_renamed", "3 values"),
    "new": ("carrier", lambda f: f.assign(carrier=f.carrier.where(f.id % 9 > 0, "NEW")), "new_category", "beyond"),
    "world": ("temp", lambda f: f.assign(temp=f.temp + 4), "world", "the world"),
    "segment": ("temp", lambda f: f.assign(temp=f.temp + 12 * (f.origin == "JFK")), "segment", "origin=JFK"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_cause_is_told(watched, name):
    column, change, cause, words = CHANGES[name]
    report = watched.observe(change(watched.week()))
    hint = only(report, column)
    assert (hint.cause, hint.column) == (cause, column)
    assert words in hint.words
    assert hint.words.endswith(".")
    assert hint.pipeline == (cause not in {"new_category", "world", "segment"})
    assert report.pipeline_fault == hint.pipeline
    assert hint.segment == ("origin=JFK" if cause == "segment" else "")
    assert hint.since == NOW - WEEK
    assert [h.column for h in report.hints] == [column]


def test_nothing_changed_gives_no_hint(watched):
    assert watched.observe(watched.week()).hints == ()


def test_a_category_is_named_only_where_the_owner_asked_for_its_column(watched):
    frame = watched.week().assign(carrier=lambda f: f.carrier.replace("B6", "JB"))
    assert "B6" not in only(watched.observe(frame), "carrier").words
    assert "B6" in only(watched.observe(frame, slices=["carrier"]), "carrier").words


def test_many_new_values_are_no_old_one_renamed(watched):
    frame = watched.week()
    other = frame.carrier.eq("B6")
    frame["carrier"] = frame.carrier.where(~other, "N" + (frame.id % 40).astype(str))
    assert only(watched.observe(frame), "carrier").cause == "new_category"


def test_without_a_snapshot_the_other_causes_are_still_told(watched):
    lost = replace(watched.champion.candidate, snapshot_uri=f"{watched.storage.root}/snapshots/gone")
    champion, watched.champion = watched.champion, replace(watched.champion, candidate=lost)
    try:
        report = watched.observe(watched.week().assign(temp=lambda f: f.temp + 12 * (f.origin == "JFK")))
        assert only(report, "temp").cause == "world"
    finally:
        watched.champion = champion


def test_since_is_the_oldest_window_in_a_row(watched):
    report = watched.observe(watched.week().assign(temp=lambda f: f.temp + 4))
    fine = watched.observe(watched.week())

    def earlier(weeks: int, like: DriftReport, **changes: object) -> DriftReport:
        span = replace(report.window, start=NOW - WEEK * (weeks + 1), end=NOW - WEEK * weeks)
        return replace(like, window=span, as_of=span.end, **changes)

    unknown = replace(report, verdict="unknown", columns=tuple(replace(c, verdict="unknown") for c in report.columns))
    drifting = [earlier(1, report), earlier(2, unknown), earlier(3, report)]
    history = [earlier(5, report), earlier(4, fine), *drifting, earlier(1, report)]
    assert since("temp", report, history) == NOW - 4 * WEEK
    assert since("temp", report, list(reversed(history))) == NOW - 4 * WEEK
    assert since("wind", report, history) == NOW - WEEK
    assert since("temp", report, [earlier(1, report, champion_version=2)]) == NOW - WEEK
    assert since("temp", report, [replace(report, as_of=NOW + timedelta(hours=1))]) == NOW - WEEK
    whole = watched.observe(watched.week().assign(temp=lambda f: f.temp + 4), history=history)
    assert only(whole, "temp").since == NOW - 4 * WEEK


def test_changes_of_the_schema(watched):
    def change(column: str, what: str, share: float | None = None) -> SchemaChange:
        return SchemaChange(column=column, change=what, detail="was int64", share=share)

    used = {"temp"}
    assert of_change(change("temp", "missing"), used).pipeline
    assert of_change(change("temp", "retyped"), used).cause == "retyped"
    unused = of_change(change("tail", "missing"), used)
    assert (unused.cause, unused.pipeline) == ("column_missing", False)
    assert "does not use" in unused.words
    assert not of_change(change("tail", "new"), used).pipeline
    assert of_change(change("temp", "unseen_categories", 0.001), used) is None
    assert of_change(change("temp", "unseen_categories", 0.1), used).cause == "new_category"
    report = replace(watched.observe(watched.week()), changes=(change("temp", "missing"),))
    refused = Problem(code=ReasonCode.COLUMN_MISSING, field="temp", found="no", allowed="", fix="")
    twice = hints_of_problems([refused, replace(refused, field="wind")], report, used)
    assert [(hint.column, hint.cause) for hint in twice] == [("temp", "column_missing"), ("wind", "column_missing")]


@pytest.mark.parametrize(
    ("column", "change"), [("temp", lambda f: f.assign(temp=f.temp > 12)), ("carrier", lambda f: f.assign(carrier=f.t))]
)
def test_a_type_that_changed_is_the_pipeline_though_its_values_can_be_counted(tmp_path, column, change):
    own = Watched(tmp_path)
    (own.rows / "before.parquet").unlink()  # Parquet files of one source have one schema
    report = own.observe(change(own.week()))
    assert [c.verdict for c in report.columns if c.column == column] == ["drift"]
    assert (only(report, column).cause, report.pipeline_fault) == ("retyped", True)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.words)
def test_every_unit_is_found_again(unit):
    rng = np.random.default_rng(0)
    shape = 4 if unit.factor < 0 else 25
    values = rng.gamma(shape, 40 / shape, 20_000)  # a sign shows in what is not symmetric
    edges = tuple(np.quantile(values, np.arange(1, 20) / 20).tolist())
    counts = tuple(np.bincount(np.searchsorted(edges, values, "right"), minlength=20).tolist())
    from airflow_mlops.core.records.profile import ColumnProfile

    before = ColumnProfile(name="x", role="numeric", edges=edges, counts=counts)
    now = rng.gamma(shape, 40 / shape, 12_000) * unit.factor + unit.shift
    found = unit_change(before, now)
    assert (found.factor, found.shift) == (unit.factor, unit.shift)


@pytest.mark.parametrize("middle", [1.5, 5.0, 40.0])
def test_what_is_symmetric_has_no_sign(middle):
    from airflow_mlops.core.records.profile import ColumnProfile

    rng = np.random.default_rng(0)
    values = rng.normal(middle, 1, 20_000)
    edges = tuple(np.quantile(values, np.arange(1, 20) / 20).tolist())
    before = ColumnProfile(name="x", role="numeric", edges=edges, counts=(1000,) * 20)
    assert unit_change(before, rng.normal(-middle, 1, 3000)) is None


@pytest.mark.parametrize("length", ["7d", "1d", "12h"])
def test_no_function_of_the_event_time_is_found_to_be_constant(tmp_path, length):
    own = Watched(tmp_path, calendar=True)
    assert own.week()["month"].nunique() == 1  # March, against January and February
    report = own.observe(own.week(), window=length, min_rows=50)
    assert not report.pipeline_fault
    stuck = own.observe(own.week().assign(wind=3.0), window=length, min_rows=50)
    assert [(hint.column, hint.cause) for hint in stuck.hints if hint.pipeline] == [("wind", "constant")]


@pytest.mark.parametrize(("changes", "days", "may"), [(1, 44, True), (6, 44, True), (43, 44, False), (5000, 44, False)])
def test_how_often_a_value_changed_tells_whether_it_may_rest(changes, days, may):
    from scipy import stats

    from airflow_mlops.core.monitoring.drift.causes_in_rows import UNLIKELY, may_rest
    from airflow_mlops.core.records.snapshot import Window

    class Rows:
        time = "t"
        window = Window(start=NOW - timedelta(days=8), end=NOW)
        before = pa.table(
            {
                "t": pd.date_range(NOW - timedelta(days=days), NOW, periods=8000).as_unit("us"),
                "x": np.arange(8000) * (changes + 1) // 8000,
            }
        )

    # Gamma(k + 1/2) prior over the rate, k changes seen in T: the number in t is negative binomial.
    chance = stats.nbinom.pmf(0, changes + 0.5, days / (days + 8))
    assert (chance >= UNLIKELY) == may
    assert may_rest(Rows(), "x") == may
    assert may_rest(None, "x")


@pytest.mark.parametrize("shift", [0.5, 2, 10, 100])
@pytest.mark.parametrize("spread", [0.75, 1, 1.4])
def test_a_shift_of_the_world_is_no_unit(shift, spread):
    rng = np.random.default_rng(int(shift))
    values = rng.gamma(4, 3, 20_000)
    edges = tuple(np.quantile(values, np.arange(1, 20) / 20).tolist())
    from airflow_mlops.core.records.profile import ColumnProfile

    before = ColumnProfile(name="x", role="numeric", edges=edges, counts=(1000,) * 20)
    assert unit_change(before, rng.gamma(4, 3, 3000) * spread + shift) is None
    assert unit_change(before, np.array([np.nan, np.inf])) is None
    assert unit_change(before, np.full(500, 1e308)) is None
    assert unit_change(replace(before, edges=(), counts=(1,)), pd.Series([1.0]).to_numpy()) is None
