"""How far the event times of a source reach."""

from __future__ import annotations

from datetime import datetime

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.ports import DataStore
from airflow_mlops.spec.problems import Problem, ReasonCode


def time_bounds(store: DataStore, time: str) -> tuple[datetime, datetime]:
    """Return the earliest and the latest event time of a source that has rows.

    Raises
    ------
    DataError
        WINDOW_EMPTY, if it has no row with a time; or as the store's `bounds`.
    """
    found = store.bounds(time)
    if found is None:
        raise DataError(
            Problem(
                code=ReasonCode.WINDOW_EMPTY,
                field="data.source",
                found=f"no row with a time in '{time}'",
                allowed="at least one row",
                fix="check data.source, data.time and [mlops] data_root, or load the missing rows",
            ),
            subject=store.description,
        )
    return found
