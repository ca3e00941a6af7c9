"""Paths of triggers stand in Airflow's database while tasks wait: they lead to the same classes after any move."""

from importlib import import_module

import pytest

from airflow_mlops.triggers.window import WindowTrigger

# As the releases so far have written them: a path that was stored once is never taken off this list.
STORED = (
    "airflow_mlops.triggers.change.ChangeTrigger",
    "airflow_mlops.triggers.drift.WindowTrigger",
    "airflow_mlops.triggers.events.NewDataEventTrigger",
    "airflow_mlops.triggers.events.RetrainEventTrigger",
)


@pytest.mark.parametrize("path", STORED)
def test_a_stored_path_leads_to_the_class_of_that_name(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert getattr(import_module(module), name).__name__ == name


def test_a_class_that_moved_is_still_stored_under_the_path_that_older_triggerers_know() -> None:
    waiting = WindowTrigger(
        source={"path": "rows/"},
        data_root="",
        time="at",
        start="2026-01-01",
        end="2026-01-02",
        interval=60.0,
        deadline=1.0,
    )
    path, arguments = waiting.serialize()
    assert path in STORED
    module, _, name = path.rpartition(".")
    assert getattr(import_module(module), name)(**arguments).serialize() == (path, arguments)
