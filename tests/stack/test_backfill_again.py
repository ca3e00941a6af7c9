"""The same months again, after the specification was mended: Airflow's own backfill, by the command of the docs."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from dev.stack.airflow_api import Json, run_path
from tests.stack.live import Live, small, write_rows

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
COMMANDS = re.findall(r"^airflow (backfill create --dag-id flight_delay\.train .+)$", PAGE.read_text(), re.MULTILINE)
DATES = ("2024-02-01", "2024-03-01")
REFUSES = "{holdout: 10d, absolute: [{metric: roc_auc, min: 0.9999}]}"
SECONDS = 300


def backfilled(live: Live, command: str) -> list[Json]:
    """Backfill both months by a command of the docs; return the runs when they have ended."""
    words = command.replace("flight_delay.train", "again.train").split()
    for flag, date in zip(("--from-date", "--to-date"), DATES, strict=True):
        words[words.index(flag) + 1] = date
    before = {one["id"] for one in live.runs.api.get("/backfills", dag_id="again.train")["backfills"]}
    done = subprocess.run([live.home.program, *words], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        made = [
            one for one in live.runs.api.get("/backfills", dag_id="again.train")["backfills"] if one["id"] not in before
        ]
        if made and all(one["completed_at"] for one in made):
            break
        time.sleep(1)
    runs: list[Json] = live.runs.api.get("/dags/again.train/dagRuns", order_by="logical_date")["dag_runs"]
    return runs


def states(live: Live, run: Json) -> dict[str, str]:
    tasks = live.runs.api.get(f"{run_path('again.train', run['dag_run_id'])}/taskInstances")["task_instances"]
    return {task["task_id"]: task["state"] for task in tasks}


def test_months_are_judged_anew_and_what_has_served_is_passed_by(live: Live) -> None:
    first, again = COMMANDS
    assert "--reprocess-behavior completed" in again
    place = live.dags / "models" / "again.yaml"
    write_rows(live.home.data / "again", days=80)
    place.write_text(small("again", REFUSES, folder="again"))
    live.runs.wait_for_dag("again.train")
    rejected = backfilled(live, first)
    assert [run["state"] for run in rejected] == ["success", "success"]
    assert [states(live, run)["promote"] for run in rejected] == ["skipped", "skipped"]
    assert live.records.registry.alias("again", "champion") is None

    place.write_text(
        small("again", more="description: mended", folder="again").replace(
            "LogisticRegression}", "LogisticRegression, parameters: {C: 0.5}}"
        )
    )
    mended = backfilled(live, again)
    assert [run["dag_run_id"] for run in mended] == [run["dag_run_id"] for run in rejected]
    assert [run["state"] for run in mended] == ["success", "success"]
    records = live.records
    tags = {number: records.registry.version_tags("again", number) or {} for number in (1, 2, 3, 4)}
    assert [tags[number]["mlops.superseded_by"] for number in (1, 2)] == ["3", "4"]
    # The first month is accepted, the second is no better than the first: it was judged, and has not served.
    assert records.registry.alias("again", "champion") == 3
    assert [states(live, run)["promote"] for run in mended] == ["success", "skipped"]
    assert records.registry.version_tags("again", 5) is None

    place.write_text(
        small("again", folder="again").replace("LogisticRegression}", "LogisticRegression, parameters: {C: 0.25}}")
    )
    third = backfilled(live, again)
    assert [run["state"] for run in third] == ["success", "success"]
    assert [states(live, run)["validate"] for run in third] == ["skipped", "success"]
    assert records.registry.alias("again", "champion") == 3
    tags = {number: records.registry.version_tags("again", number) or {} for number in (2, 3, 4, 5)}
    assert [tags[number].get("mlops.superseded_by") for number in (2, 3, 4, 5)] == ["5", None, "5", None]
    assert records.registry.version_tags("again", 6) is None
