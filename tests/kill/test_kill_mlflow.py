"""SIGKILL between any two effects of train, gate, promote and retrain, then a retry: as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import mlflow_server

pytestmark = pytest.mark.mlflow
ROOT = Path(__file__).parents[2]
KILLED = -9
QUIET = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
WHOLE = {
    "runs": 1,
    "status": "FINISHED",
    "models": 1,
    "model_status": ["READY"],
    "candidate_is_that_model": True,
    "outputs": 1,
    "profile": True,
    "version_digest": True,
    "champion_record": True,
    "wrong": [],
}


def moves(*versions: int) -> list[list[Any]]:
    return [[kind, version] for version in versions for kind in ("promoting", "promoted")]


FIRST = {
    "versions": 1,
    "mine": [1],
    "aliases": {"champion": 1},
    "statuses": {"1": "champion"},
    "verdict": "accept",
    "events": moves(1),
}
DISPLACED = {
    "versions": 3,
    "mine": [3],
    "aliases": {"champion": 3, "previous": 2},
    "statuses": {"1": "archived", "2": "previous", "3": "champion"},
    "verdict": "accept",
    "events": moves(1, 2, 3),
}
REJECTED = {
    "versions": 3,
    "mine": [3],
    "aliases": {"champion": 2, "previous": 1},
    "statuses": {"1": "previous", "2": "champion", "3": "rejected"},
    "verdict": "reject",
    "events": [*moves(1, 2), ["registered", 3]],
}
CHALLENGER = {
    **REJECTED,
    "aliases": {"champion": 2, "previous": 1, "challenger": 3},
    "statuses": {"1": "previous", "2": "champion", "3": "challenger"},
    "verdict": "accept",
}
DECLINED = {
    **REJECTED,
    "statuses": {"1": "previous", "2": "champion", "3": "declined"},
    "verdict": "accept",
    "events": [*moves(1, 2), ["declined", 3]],
}
ROLLED_BACK = {
    "versions": 2,
    "mine": [],
    "aliases": {"champion": 1},
    "statuses": {"1": "champion", "2": "rolled_back"},
    "verdict": "accept",
    "version_digest": False,
    "events": [*moves(1, 2), ["rolling_back", 1], ["rolled_back", 1]],
}


PARTS = (
    "record-after", "first-accept-before", "displacing-accept-after", "displacing-reject-before",
    "challenging-accept-after", "declining-accept-before", "rollback-before", "retrain-before", "doubled",
)  # fmt: skip


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What the driver saw, by part: one process and one server for all of them."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as uri:
        done = subprocess.run(
            [sys.executable, "-m", "tests.kill.driver", uri, *PARTS],
            cwd=ROOT,
            env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            case = json.loads(line)
            found[case["part"]].append(case)
    return found


@pytest.mark.parametrize(
    ("part", "expected", "fewest"),
    [
        # experiment, run, parameters, dataset, model, its 7 files, ready, metrics, 4 files, candidate, its seal, ...
        pytest.param("record-after", FIRST, 20, id="while-recording"),
        pytest.param("first-accept-before", FIRST, 4, id="while-promoting-the-first"),
        pytest.param("displacing-accept-after", DISPLACED, 7, id="while-displacing-a-champion"),
        pytest.param("displacing-reject-before", REJECTED, 3, id="while-registering-a-rejected-one"),
        pytest.param("challenging-accept-after", CHALLENGER, 3, id="while-asking-for-approval"),
        pytest.param("declining-accept-before", DECLINED, 4, id="while-recording-a-no"),
        pytest.param("rollback-before", ROLLED_BACK, 5, id="while-rolling-back"),
    ],
)
def test_killed_at_every_request_and_tried_again(
    cases: dict[str, list[dict[str, Any]]], part: str, expected: dict[str, Any], fewest: int
) -> None:
    found = cases[part]
    assert [case["first"] for case in found] == [KILLED] * (len(found) - 1) + [0]
    assert len(found) > fewest
    for case in found:
        assert (case["prepared"], case["again"], case["look"]) == (0, 0, 0), case
        assert case["seen"] == {**WHOLE, **expected}, case


def test_killed_while_a_retraining_is_decided_and_taken_up(cases: dict[str, list[dict[str, Any]]]) -> None:
    found = cases["retrain-before"]
    assert [case["first"] for case in found] == [KILLED] * (len(found) - 1) + [0]
    assert len(found) > 6  # log, decision, window, its tags, its file, its end, claim
    for case in found:
        assert (case["prepared"], case["again"], case["look"]) == (0, 0, 0), case
        assert case["seen"] == {
            "decisions": [[1, "retrain", "input_drift"]],
            "claims": [f"retrain-before-{case['number']}.train/r1"],
            "claimed": True,
            "series": 1,
            "logs": 1,
            "windows": [1],
        }, case


def test_every_request_delivered_twice_because_its_answer_was_lost(cases: dict[str, list[dict[str, Any]]]) -> None:
    (case,) = cases["doubled"]
    assert (case["first"], case["again"], case["look"]) == (0, 0, 0), case
    assert case["seen"] == {**WHOLE, **FIRST}, case
