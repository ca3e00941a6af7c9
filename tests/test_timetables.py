"""A loop's schedule after Airflow has stored it: what the scheduler makes of it, and what a backfill does."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction

from airflow_mlops.dags import continuous_training
from airflow_mlops.spec import parse_spec

START, END = datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 12, 31, tzinfo=UTC)


def stored(schedule: Any, loop: int = 0) -> Any:
    """Return a DAG of a model as the scheduler reads it from the database."""
    source = {"source": {"path": "x/"}, "time": "t", "key": "k", "label": "y"}
    training = {"estimator": "sklearn.dummy.DummyClassifier"}
    spec = parse_spec({"name": "m", "owner": "o", "data": source, "training": training, "schedule": schedule})
    return DagSerialization.from_dict(DagSerialization.to_dict(continuous_training(spec)[loop]))


def scheduled(dag: Any, last: Any = None) -> Any:
    return dag.timetable.next_dagrun_info_v2(
        last_dagrun_info=last, restriction=TimeRestriction(earliest=START, latest=dag.end_date, catchup=dag.catchup)
    )


def backfilled(dag: Any, begin: datetime = START, end: datetime = END) -> list[datetime]:
    assert dag.timetable.periodic
    return [info.run_after for info in dag.iter_dagrun_infos_between(begin, end)]


@pytest.mark.parametrize("loop", [0, 1, 2])
def test_after_its_end_the_scheduler_makes_no_run_and_others_are_free(loop: int) -> None:
    dag = stored({"cron": "@weekly", "start": START.isoformat(), "end": END.isoformat()}, loop)
    assert scheduled(dag) is None
    assert dag.end_date is None
    assert all(task.end_date is None for task in dag.tasks)
    assert len(dag.tasks) >= 1


def test_before_its_end_it_runs_as_the_cron_says() -> None:
    dag = stored({"cron": "@monthly", "start": START.isoformat(), "end": "2199-06-15T00:00:00Z"})
    found = scheduled(dag)
    assert found is not None
    assert (found.run_after.day, found.run_after.hour) == (1, 0)


def test_a_backfill_follows_the_cron_beyond_the_end_too() -> None:
    dag = stored({"cron": "@monthly", "start": START.isoformat(), "end": "2013-06-15T00:00:00Z"})
    assert [moment.month for moment in backfilled(dag)] == list(range(1, 13))


def test_without_a_cron_nothing_runs_by_itself_and_a_backfill_is_monthly() -> None:
    dag = stored({"cron": None, "start": START.isoformat()})
    assert scheduled(dag) is None
    moments = backfilled(dag)
    assert len(moments) == 12
    assert all((after.year, after.month) > (before.year, before.month) for before, after in pairwise(moments))
    assert "by hand" in dag.timetable.summary or "Asset" in dag.timetable.summary


def test_a_retraining_event_still_starts_it() -> None:
    dag = stored({"cron": None})
    assert "m.retrain" in str(dag.timetable.asset_condition)
