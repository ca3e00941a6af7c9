"""What `down` leaves behind, and that `up` goes on where it stopped."""

from __future__ import annotations

from dev.stack.airflow_api import run_path
from dev.stack.process import family
from dev.stack.services import NAMES
from tests.stack.live import Live


def test_what_was_kept_is_there_after_a_stop(live: Live) -> None:
    live.train("first")
    assert live.command("down").returncode == 0
    again = live.command("up")
    assert again.returncode == 0, again.stderr
    assert live.records.registry.alias("small", "champion") == 1
    assert live.runs.api.get(run_path("small.train", "first"))["state"] == "success"


def test_down_leaves_nothing_behind(live: Live) -> None:
    services = live.state.services
    down = live.command("down")
    assert down.returncode == 0
    assert all(name in down.stdout for name in NAMES)
    assert [service.name for service in services if service.alive or family(service)] == []
    assert live.command("down").stdout == "nothing to stop\n"
