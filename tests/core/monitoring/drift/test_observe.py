"""Looking at a window: verdicts of features, predictions and labels, references, and windows that are broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from importlib import import_module

import numpy as np
import pyarrow as pa
import pytest

from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.monitoring.drift.observe import earlier_window, observe
from airflow_mlops.core.monitoring.drift.outputs import mature
from airflow_mlops.core.records.drift import DriftReport
from airflow_mlops.core.records.profile import Profile
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.rows.sampling import sample
from airflow_mlops.spec.model import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.open_source import open_source
from tests.support.watched_model import NOW, START, TRAINED, WEEK, Watched, rows


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Watched:
    return Watched(tmp_path_factory.mktemp("monitoring"))


@pytest.fixture(scope="module")
def quiet(watched) -> DriftReport:
    return watched.observe(watched.week(), scored=True, references=["training", "previous", "year_before"])


def test_a_quiet_week_is_ok_in_every_part(quiet):
    assert (quiet.verdict, quiet.prediction, quiet.label) == ("ok", "ok", "ok")
    assert [c.column for c in quiet.columns] == ["temp", "wind", "carrier", "prediction", "label"]
    assert [c.part for c in quiet.columns] == ["feature"] * 3 + ["prediction", "label"]
    assert (quiet.window, quiet.against, quiet.rows) == (Window(start=NOW - WEEK, end=NOW), "training", 1050)
    assert (quiet.share, quiet.changes, quiet.hints) == (0.0, (), ())
    assert DriftReport.from_json(quiet.to_text()) == quiet


def test_every_field_of_a_column_is_filled(quiet):
    for column in quiet.columns:
        for effect in (column.psi, column.jensen_shannon, column.total_variation, column.cramers_v, column.effect):
            assert effect is not None
            assert effect >= 0
        assert 0 <= column.p_value <= 1
        assert (column.missing_before, column.missing_now) == (0.0, 0.0)
        assert (column.wasserstein is None) == (column.column in {"carrier", "label"})
    weights = [column.weight for column in quiet.columns]
    assert sum(weights[:3]) == pytest.approx(1)
    assert weights[0] > 0.5  # the label is made of temp
    assert weights[3:] == [None, None]


def test_the_other_references_are_told_in_a_sentence_each(quiet):
    previous, year = quiet.others
    assert previous.startswith("Against the window before (2024-03-01 to 2024-03-08): ok, 0% of")
    assert "a year before (2023-03-08 to 2023-03-15): unknown" in year


def test_drift_of_an_important_feature_reaches_prediction_and_label(watched):
    hot = watched.week().assign(temp=lambda f: f.temp + 5)
    report = watched.observe(hot, scored=True)
    assert (report.verdict, report.prediction, report.label) == ("drift", "drift", "ok")
    assert report.share > 0.5
    assert "with " in report.reasons[0]
    assert "importance" in report.reasons[0]
    assert report.reasons[1].startswith("temp: PSI")
    assert report.reasons[-1].startswith("The predictions are in drift: PSI")
    wrong = watched.observe(watched.week().assign(late=True), scored=True)
    assert (wrong.verdict, wrong.prediction, wrong.label) == ("ok", "ok", "drift")
    assert next(hint for hint in wrong.hints if hint.column == "label").cause in {"constant", "world"}


def test_drift_of_an_unimportant_feature_is_no_drift_of_the_model(watched):
    report = watched.observe(watched.week().assign(wind=lambda f: f.wind * 1.5))
    assert report.verdict == "ok"
    assert [c.column for c in report.columns if c.verdict == "drift"] == ["wind"]
    assert report.share < 0.3


def test_only_this_champions_predictions_count(watched):
    watched.observe(watched.week(), scored=True)
    other = replace(watched.champion, version=4)
    report = observe(watched.spec, other, watched.reference, watched.store, watched.storage, NOW)
    assert report.prediction == "unknown"
    assert observe(watched.spec, other, watched.reference, watched.store, None, NOW).prediction == "unknown"
    old = replace(watched.reference, outputs=(), importance={}, schema=())
    report = observe(watched.spec, watched.champion, old, watched.store, watched.storage, NOW)
    assert (report.verdict, report.prediction, report.label) == ("ok", "unknown", "unknown")
    assert [column.weight for column in report.columns] == [pytest.approx(1 / 3)] * 3


def test_labels_are_those_that_are_mature(watched):
    span = Window(start=NOW - WEEK, end=NOW)
    labels = mature(watched.spec, span, NOW)
    assert (labels.end - labels.start, labels.end > NOW - watched.spec.data.label_delay) == (WEEK, True)
    unlabelled = watched.week().assign(late=lambda f: f.late.astype(object).where(f.id % 2 == 0, None))
    assert watched.observe(unlabelled).label in {"ok", "unknown"}
    assert watched.observe(watched.week().drop(columns="late")).verdict == "ok"


@pytest.mark.parametrize("against", ["previous", "year_before"])
def test_the_first_reference_decides(watched, against):
    hot = watched.week().assign(temp=lambda f: f.temp + 5)
    report = watched.observe(hot, scored=True, references=[against, "training"])
    assert report.against == against
    assert report.reference == earlier_window(report.window, against)
    assert report.others[0].startswith("Against the champion's training rows (2024-01-01 to ")
    assert ": drift" in report.others[0]
    assert "temp" in report.others[0]
    if against == "year_before":
        assert (report.verdict, report.hints) == ("unknown", ())
    else:
        assert report.verdict == "drift"
        assert report.share > 0.5
        assert [hint.column for hint in report.hints] == ["temp"]


def test_a_broken_earlier_window_is_nothing_to_compare_with(watched, monkeypatch):
    watched.observe(watched.week())
    whole = type(watched.store).profile

    def broken(self, reference: Profile, window: Window, time: str) -> Profile:
        if window.end == NOW - WEEK:
            raise DataError(replace(flaw, field="temp"))
        return whole(self, reference, window, time)

    flaw = Problem(code=ReasonCode.COLUMN_RETYPED, field="temp", found="text", allowed="numbers", fix="mend it")
    monkeypatch.setattr(type(watched.store), "profile", broken)
    report = watched.observe(watched.week(), references=["previous", "training"])
    assert report.verdict == "unknown"
    assert "the earlier window is broken" in report.reasons[0]
    assert ": ok" in report.others[0]


def test_the_same_days_a_year_before():
    week = Window(start=datetime.fromisoformat("2024-02-29T00:00Z"), end=datetime.fromisoformat("2024-03-07T00:00Z"))
    year = earlier_window(week, "year_before")
    assert (str(year.start.date()), year.end - year.start) == ("2023-02-28", WEEK)
    assert earlier_window(week, "previous").end == week.start


# ---------------------------------------------------------------------------------------------------------------------


def test_an_empty_window_is_unknown(watched):
    report = watched.observe(None)
    assert (report.verdict, report.rows, report.hints, report.share) == ("unknown", 0, (), None)
    assert "too few" in report.reasons[0]


def test_a_tiny_window_is_unknown_whatever_it_shows(watched):
    report = watched.observe(watched.week().head(40).assign(temp=900.0))
    assert report.verdict == "unknown"
    assert {c.verdict for c in report.columns if c.part == "feature"} == {"unknown"}
    assert report.hints == ()


@pytest.mark.parametrize(
    ("change", "column", "cause"),
    [
        (lambda f: f.assign(temp=np.nan), "temp", "missing_spike"),
        (lambda f: f.assign(wind=f.wind.where(f.id % 5 > 0, -np.inf)), "wind", "non_finite"),
        (lambda f: f.assign(temp=f.temp.astype(str)), "temp", "retyped"),
        (lambda f: f.drop(columns="carrier"), "carrier", "column_missing"),
    ],
)
def test_broken_windows_are_invalid_and_look_like_the_pipeline(tmp_path, watched, change, column, cause):
    own = Watched(tmp_path) if cause in {"retyped", "column_missing"} else watched
    if own is not watched:
        (own.rows / "before.parquet").unlink()  # Parquet files of one source have one schema
    report = own.observe(change(own.week()))
    assert report.verdict == "invalid"
    hint = next(hint for hint in report.hints if hint.column == column)
    assert (hint.cause, hint.pipeline, hint.since) == (cause, True, NOW - WEEK)
    assert column in " ".join(report.reasons)
    assert report.pipeline_fault


def test_a_retyped_column_in_one_file_of_several_is_invalid_too(tmp_path):
    own = Watched(tmp_path)
    report = own.observe(own.week().assign(temp=lambda f: f.temp.astype(str)))
    assert report.verdict == "invalid"
    assert [(hint.column, hint.cause, hint.pipeline) for hint in report.hints] == [("temp", "retyped", True)]
    assert "temp" in " ".join(report.reasons)


def test_a_window_that_breaks_an_expectation_is_invalid_not_drift(watched):
    twice = watched.week().assign(temp=lambda f: f.temp + 500, id=lambda f: f.id // 2)
    assert watched.observe(twice).verdict == "drift"
    given = watched.with_().model_dump(mode="json", exclude_unset=True)
    spec = ModelSpec.model_validate(given | {"validation": [{"expect": "unique", "column": "id"}]})
    report = observe(spec, watched.champion, watched.reference, watched.store, watched.storage, NOW)
    assert report.verdict == "invalid"
    assert report.prediction == "unknown"


def test_expectations_are_asked_of_a_sample_of_a_large_window(watched, monkeypatch):
    monkeypatch.setattr(import_module("airflow_mlops.core.monitoring.drift.observe"), "VALIDATED_ROWS", 100)
    given = watched.with_().model_dump(mode="json", exclude_unset=True)
    spec = ModelSpec.model_validate(given | {"validation": [{"expect": "row_count", "min": 1}, {"expect": "finite"}]})
    watched.observe(watched.week())
    report = observe(spec, watched.champion, watched.reference, watched.store, watched.storage, NOW)
    assert report.verdict == "ok"


def test_a_source_that_is_gone_is_an_error_not_a_verdict(tmp_path):
    own = Watched(tmp_path)
    (own.rows / "before.parquet").unlink()
    own.rows.rmdir()
    own.store = open_source(own.spec.data.source, data_root=str(tmp_path))
    with pytest.raises(DataError) as caught:
        observe(own.spec, own.champion, own.reference, own.store, own.storage, NOW)
    assert caught.value.problems[0].code is ReasonCode.SOURCE_MISSING


def test_as_of_needs_a_zone(watched):
    with pytest.raises(DataError, match="time zone"):
        observe(watched.spec, watched.champion, watched.reference, watched.store, None, NOW.replace(tzinfo=None))


def test_a_reference_of_another_schema_is_invalid(watched):
    watched.observe(watched.week())
    temp, *rest = watched.reference.columns
    other = replace(watched.reference, columns=(replace(temp, name="pressure"), *rest))
    report = observe(watched.spec, watched.champion, other, watched.store, watched.storage, NOW)
    assert report.verdict == "invalid"
    assert [hint.cause for hint in report.hints if hint.column == "pressure"] == ["column_missing"]


def test_a_profile_of_a_newer_format_is_refused(watched):
    data = watched.reference.to_json() | {"format": Profile.FORMAT + 1}
    with pytest.raises(RecordError) as caught:
        Profile.from_json(data)
    assert caught.value.problems[0].code is ReasonCode.FORMAT_TOO_NEW


def test_a_changed_schema_is_told_apart_from_drift(tmp_path):
    own = Watched(tmp_path)
    (own.rows / "before.parquet").unlink()
    report = own.observe(own.week().drop(columns="origin").assign(gate=1))
    assert report.verdict == "ok"
    assert {(c.column, c.change) for c in report.changes} == {("origin", "missing"), ("gate", "new")}
    assert {(h.column, h.cause, h.pipeline) for h in report.hints} == {
        ("origin", "column_missing", False),
        ("gate", "column_new", False),
    }


def test_unseen_categories_are_told_with_their_share(watched):
    report = watched.observe(watched.week().assign(carrier=lambda f: f.carrier.where(f.id % 10 > 0, "ZZ")))
    (change,) = report.changes
    assert (change.column, change.change) == ("carrier", "unseen_categories")
    assert change.share == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_a_sample_is_uniform_and_the_same_for_any_batches(batch):
    table = pa.table({"x": np.arange(1000)})
    found = sample(table.to_batches(max_chunksize=batch), 100, seed=1)
    assert found.equals(sample(table.to_batches(), 100, seed=1))
    numbers = found["x"].to_pylist()
    assert numbers == sorted(set(numbers))
    assert sample(table.to_batches(), 2000, seed=1).num_rows == 1000
    assert sample([], 5, seed=1) is None
    draws = [sample(table.to_batches(), 100, seed=s)["x"].to_numpy().mean() for s in range(60)]
    assert np.mean(draws) == pytest.approx(499.5, abs=5 * 27 / np.sqrt(60))


def test_fixture_rows_are_where_they_say():
    frame = rows(START, TRAINED)
    assert frame.t.is_monotonic_increasing
    assert (frame.t.min() >= START, frame.t.max() < TRAINED) == (True, True)
