"""Broken days in the loop: they block, are not measured on and are not trained on; and what a person says counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.monitoring.drift.observe import observe
from airflow_mlops.core.monitoring.quarantine import left_out
from airflow_mlops.core.monitoring.windows import scanned_window
from airflow_mlops.core.records.fault import ReleasedSpan
from airflow_mlops.core.snapshot import KnownFaults, read_snapshot, take_snapshot
from airflow_mlops.core.snapshot.read import snapshot_days
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.open_source import open_source
from tests.support.watched_model import NOW, WEEK, Watched

DAY = timedelta(days=1)
BEGAN = NOW - 2 * DAY


@pytest.fixture
def watched(tmp_path) -> Watched:
    return Watched(tmp_path)


def broken_week(watched: Watched):
    frame = watched.week()
    frame.loc[frame.t >= BEGAN, "wind"] *= 100
    return frame


def again(watched: Watched, **said):
    sources = (watched.spec, watched.champion, watched.reference, watched.store, watched.storage)
    return observe(*sources, NOW, **said)


def test_two_days_of_a_week_block_and_are_named(watched):
    report = watched.observe(broken_week(watched))
    (span,) = report.quarantined
    assert (span.start, span.end, span.column, span.cause) == (BEGAN, NOW, "wind", "unit_change")
    assert [(hint.column, hint.pipeline, hint.since) for hint in report.hints] == [("wind", True, BEGAN)]
    assert "multiplied by 100" in report.hints[0].words
    assert [(one.start, one.end) for one in left_out(report.quarantined)] == [(BEGAN, NOW)]
    assert scanned_window(watched.spec, watched.champion, NOW).start == NOW - 4 * WEEK
    assert watched.observe(watched.week()).quarantined == ()


def test_a_snapshot_leaves_them_out_and_names_them(watched):
    watched.observe(broken_week(watched))
    as_of = NOW + watched.spec.data.label_delay
    snapshot = take_snapshot(watched.spec, as_of, watched.store, watched.storage, now=NOW)
    frame = read_snapshot(snapshot, watched.storage)
    assert len(frame) == snapshot.rows
    assert frame.t.max() < BEGAN
    assert frame.wind.max() < 200
    (span,) = snapshot.quarantined
    assert (span.start, span.column) == (BEGAN, "wind")
    assert snapshot.quarantined_rows == span.rows > 250
    issues = [issue for issue in snapshot.known_issues if issue.code is ReasonCode.ROWS_QUARANTINED]
    assert len(issues) == 1
    assert "airflow mlops release" in issues[0].fix
    assert take_snapshot(watched.spec, as_of, watched.store, watched.storage, now=NOW) == snapshot


def test_released_rows_are_taken_and_block_nothing(watched):
    watched.observe(broken_week(watched))
    as_of = NOW + watched.spec.data.label_delay
    said = ReleasedSpan(start=BEGAN, end=NOW, reason="a storm", by="user:ada")
    report = again(watched, released=(said,))
    assert report.quarantined == ()
    assert not report.pipeline_fault
    faults = KnownFaults(released=(said,))
    whole = take_snapshot(watched.spec, as_of, watched.store, watched.storage, now=NOW, faults=faults)
    assert whole.quarantined == ()
    assert read_snapshot(whole, watched.storage).wind.max() > 1000
    lasting = KnownFaults(released=(replace(said, end=None),))
    fresh = take_snapshot(watched.spec, as_of, watched.store, watched.storage, now=NOW, faults=lasting)
    assert read_snapshot(fresh, watched.storage).t.min() >= BEGAN  # the new rows only


def test_a_whole_window_of_broken_rows_says_what_to_do(watched):
    anchor = snapshot_days(watched.champion.candidate, watched.storage, ("temp", "wind"), seed=0)
    assert len(anchor) > 50
    watched.week().assign(wind=np.nan).to_parquet(watched.rows / "before.parquet", index=False)
    store = open_source(watched.spec.data.source, data_root=str(watched.folder))
    with pytest.raises(DataError, match="airflow mlops release m --from") as refused:
        take_snapshot(watched.spec, NOW, store, watched.storage, now=NOW, faults=KnownFaults(anchor=anchor))
    assert [problem.code for problem in refused.value.problems] == [ReasonCode.ROWS_QUARANTINED]


def test_a_mended_source_is_whole_again(watched):
    first = watched.observe(broken_week(watched))
    watched.week().to_parquet(watched.rows / "now.parquet", index=False)
    watched.store = open_source(watched.spec.data.source, data_root=str(watched.folder))
    mended = again(watched, history=(replace(first, as_of=NOW - DAY),))
    assert mended.quarantined == ()
    assert not mended.pipeline_fault


def test_outcomes_of_broken_days_do_not_count():
    from tests.support.measured_model import P1, classified
    from tests.support.served_model import Says, day, days, served, spec_of

    rng = np.random.default_rng(0)
    holdout, train = (
        classified(days(a, b), 1200, rng, base) for a, b, base in ((-14, 0, 10**6), (-40, -14, 2 * 10**6))
    )
    one = served(spec_of(), holdout, train, Says(), P1)
    frame = classified(days(0, 14), 2800, rng, 0)
    late = frame.t >= day(9)
    one.serve(days(0, 14), frame.assign(y=frame.y.where(~late, 1 - frame.y)))
    assert one.perform(day(14)).verdict == "decay"
    sound = one.perform(day(14), without=(days(9, 14),))
    assert sound.verdict == "ok"
    assert sound.matched == sound.predicted == int((~late).sum())
    assert any("are left out" in reason for reason in sound.reasons)
    assert one.perform(day(14), without=(days(0, 14),)).verdict == "unknown"
