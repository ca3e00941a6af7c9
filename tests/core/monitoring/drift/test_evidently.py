"""Evidently: every test that is offered works on its columns and nowhere else, and its page is made and quiet."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.monitoring.drift import sampling
from airflow_mlops.core.monitoring.drift.evidently import (
    OF_CATEGORIES,
    OF_NUMBERS,
    evidently_page,
    evidently_tests,
    require_fitting,
)
from airflow_mlops.core.monitoring.drift.observe import observe
from airflow_mlops.core.monitoring.drift.sampling import WindowSamples
from airflow_mlops.core.records.candidate import Feature
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.spec.monitoring import METHODS
from tests.support.watched_model import NOW, Watched


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Watched:
    return Watched(tmp_path_factory.mktemp("evidently"))


def verdicts(report: DriftReport) -> dict[str, str]:
    return {column.column: column.verdict for column in report.columns}


@pytest.mark.parametrize("method", sorted(METHODS - OF_CATEGORIES))
def test_every_test_of_numbers_tells_a_shift_from_none(watched, method):
    same = watched.observe(watched.week(), tests={"temp": method})
    hot = watched.observe(watched.week().assign(temp=lambda f: f.temp + 8), tests={"temp": method})
    # a bound on a p-value is passed by chance now and then: the rows are seeded, and here it is not
    assert (verdicts(same)["temp"], verdicts(hot)["temp"]) == ("ok", "drift")
    temp = hot.columns[0]
    assert temp.reason.startswith(f"Evidently's {method} on 6,574 rows of the reference and 1,050 of the window: ")
    assert temp.effect is not None
    assert temp.psi is not None  # the counts' own figures stand beside it


@pytest.mark.parametrize("method", sorted(METHODS - OF_NUMBERS - OF_CATEGORIES))
def test_every_test_of_categories_tells_a_change_from_none(watched, method):
    same = watched.observe(watched.week(), tests={"carrier": method})
    mixed = watched.observe(
        watched.week().assign(carrier=lambda f: f.carrier.replace("AA", "UA")), tests={"carrier": method}
    )
    assert (verdicts(same)["carrier"], verdicts(mixed)["carrier"]) == ("ok", "drift")


def test_a_test_that_does_not_fit_is_refused_with_every_other_one(watched):
    with pytest.raises(DataError) as caught:
        watched.observe(watched.week(), tests={"temp": "fisher_exact", "carrier": "ks", "late": "psi"})
    fields = [problem.field for problem in caught.value.problems]
    assert fields == [f"monitoring.drift.tests.{name}" for name in ("temp", "carrier", "late")]
    assert "for a categorical feature one of" in caught.value.problems[1].allowed
    for method in sorted(OF_CATEGORIES):
        with pytest.raises(DataError, match="more than two values"):
            watched.observe(watched.week(), tests={"carrier": method})


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("role", ["numeric", "categorical"])
def test_each_test_fits_the_roles_that_evidently_says(method, role):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Evidently imports, whichever test is the first to do it
        from evidently.legacy.calculations.stattests.registry import get_registered_stattest
        from evidently.legacy.core import ColumnType

    kind = {"numeric": ColumnType.Numerical, "categorical": ColumnType.Categorical}[role]
    features = [Feature(name="x", role=role)]
    try:
        require_fitting({"x": method}, features, subject="m")
    except DataError:
        with pytest.raises(Exception, match="applicable"):
            get_registered_stattest(method, kind)
    else:
        assert get_registered_stattest(method, kind).name == method


def test_two_categories_are_tested_by_their_share(watched):
    columns = {"numeric": ["temp"], "categorical": ["flag"]}
    rng = np.random.default_rng(0)
    for method in sorted(OF_CATEGORIES):
        for share, drift in ((0.3, False), (0.6, True)):
            found = WindowSamples(
                watched.spec, watched.champion, watched.store, None, watched.champion.candidate.holdout, None, ["flag"]
            )
            found.__dict__["before"] = pa.table({"flag": rng.choice(["a", "b", None], 3000, p=[0.28, 0.68, 0.04])})
            found.__dict__["now"] = pa.table({"flag": rng.choice(["a", "b"], 1000, p=[share, 1 - share])})
            spec = watched.with_(tests={"flag": method})
            features = [Feature(name=name, role=role) for role, names in columns.items() for name in names]
            assert evidently_tests(spec, features, found)["flag"].drift is drift


def test_without_the_reference_rows_a_test_is_unknown_not_ok(watched):
    lost = replace(watched.champion.candidate, snapshot_uri=f"{watched.storage.root}/snapshots/gone")
    champion, watched.champion = watched.champion, replace(watched.champion, candidate=lost)
    try:
        report = watched.observe(watched.week(), tests={"temp": "ks"})
    finally:
        watched.champion = champion
    assert verdicts(report)["temp"] == "unknown"
    assert "no rows to test" in report.columns[0].reason
    assert report.verdict == "unknown"  # temp is most of the importance: without it nothing can be said


@pytest.mark.parametrize("method", ["anderson", "es", "t_test"])
def test_a_test_that_cannot_be_made_of_a_constant_is_unknown_and_neither_ok_nor_a_crash(watched, method):
    window = watched.champion.candidate.holdout
    found = WindowSamples(watched.spec, watched.champion, watched.store, None, window, None, ["temp"])
    found.__dict__["before"] = found.__dict__["now"] = pa.table({"temp": [12.0] * 600})
    spec = watched.with_(tests={"temp": method})
    test = evidently_tests(spec, [Feature(name="temp", role="numeric")], found)["temp"]
    assert (test.drift, test.value) == (None, None)
    assert test.words.startswith(f"Evidently's {method} on 600 rows of the reference and 600 of the window ")


def test_without_a_storage_the_reason_is_told(watched):
    spec = watched.with_(tests={"temp": "ks"})
    watched.observe(watched.week())
    report = observe(spec, watched.champion, watched.reference, watched.store, None, NOW)
    assert "no rows to test: no storage was given" in report.columns[0].reason


def test_a_page_is_made_when_it_is_wanted_and_without_a_word(watched, caplog, capfd):
    hot = watched.observe(watched.week().assign(temp=lambda f: f.temp + 8, wind=np.nan * 1))
    report = replace(hot, verdict="drift")
    arguments = watched.champion, watched.store, watched.storage
    caplog.set_level(logging.DEBUG)
    page = evidently_page(watched.spec, *arguments, report)
    assert page.lstrip().startswith("<!DOCTYPE html>")
    assert "temp" in page
    assert "carrier" in page
    assert [record for record in caplog.records if "evidently" in record.name] == []
    assert capfd.readouterr() == ("", "")
    assert os.environ["DO_NOT_TRACK"]
    quiet = replace(report, verdict="ok", prediction="ok", label="ok")
    assert evidently_page(watched.spec, *arguments, quiet) == ""
    assert evidently_page(watched.with_(report="never"), *arguments, report) == ""
    assert evidently_page(watched.with_(report="always"), *arguments, replace(quiet, rows=0)) == ""
    assert evidently_page(watched.with_(report="always"), *arguments, replace(report, verdict="invalid")) == ""


def test_rows_that_evidently_cannot_draw_leave_the_verdict_without_a_page(watched, monkeypatch, caplog):
    report = watched.observe(watched.week())
    huge = pa.table({"temp": np.random.default_rng(0).normal(size=600) * 1e307})
    monkeypatch.setattr(WindowSamples, "before", huge)
    monkeypatch.setattr(WindowSamples, "now", huge)
    spec = watched.with_(report="always")
    assert evidently_page(spec, watched.champion, watched.store, watched.storage, report) == ""
    assert "it raised ValueError" in caplog.text


def test_evidently_is_given_a_bounded_sample(watched, monkeypatch):
    monkeypatch.setattr(sampling, "ROWS", 300)
    report = watched.observe(watched.week().assign(temp=lambda f: f.temp + 8), tests={"temp": "ks"})
    assert "on 300 rows of the reference and 300 of the window" in report.columns[0].reason
    again = watched.observe(watched.week().assign(temp=lambda f: f.temp + 8), tests={"temp": "ks"})
    assert again == report
