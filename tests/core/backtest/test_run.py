from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from airflow_mlops.core.backtest.grid import grid_of
from airflow_mlops.core.backtest.measures import line_of
from airflow_mlops.core.backtest.peers.registry import PEERS
from airflow_mlops.core.backtest.policies import NAMES, policies_of
from airflow_mlops.core.backtest.run import _notes, backtest
from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.records.backtest import BacktestReport, Line
from airflow_mlops.core.text import format_number
from airflow_mlops.reports.backtest.page import render
from airflow_mlops.reports.backtest.tables import NAMES as WORDS
from airflow_mlops.reports.backtest.tables import terminal
from tests.support.drifting_stream import END, START, TURN, openers, plan, specification, stream

pytestmark = pytest.mark.slow  # whole backtests, of which each trains dozens of models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stream, with a backtest of it in `done`."""
    made = tmp_path_factory.mktemp("backtest")
    stream().to_parquet(made / "orders.parquet")
    return made


@pytest.fixture(scope="module")
def report(folder: Path) -> BacktestReport:
    found, _ = backtest(plan(), **openers(folder), state=str(folder / "done"))
    return found


def line(report: BacktestReport, policy: str) -> Line:
    return next(found for found in report.lines if found.policy == policy)


def timeless(report: BacktestReport) -> dict[str, Any]:
    """A report without the seconds that were measured."""

    def without(found: Line) -> Line:
        return replace(found, compute_seconds=0.0, turns=tuple(replace(turn, seconds=0.0) for turn in found.turns))

    lines, grid = (tuple(map(without, part)) for part in (report.lines, report.grid))
    return replace(report, lines=lines, grid=grid).to_json()


def rounded(value: Any) -> Any:
    """JSON data with its numbers to 9 digits."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def as_before(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what turns did not have; of an acceptance, that it is one."""
    turns = [{name: value for name, value in turn.items() if name != "decayed"} for turn in line["turns"]]
    for turn in turns:
        turn["reason"] = "accept" if turn["reason"].startswith("accept:") else turn["reason"]
    return {**line, "turns": turns}


def finished(folder: Path) -> dict[str, int]:
    """Finished work, with the time at which each file was written."""
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in (folder / "answers").rglob("*.json")}


# -- the policies -----------------------------------------------------------------------------------------------------


def test_every_policy_does_what_its_name_says(report: BacktestReport) -> None:
    steps = len(plan().steps)
    assert [found.policy for found in report.lines] == list(NAMES)
    never, always = line(report, "never"), line(report, "always")
    assert (never.retrainings, never.promotions, never.compute_seconds) == (0, 0, 0)
    assert (always.retrainings, always.promotions, always.decays) == (steps - 1, steps - 1, 0)
    for policy in ("schedule", "point_estimate"):
        assert line(report, policy).retrainings == steps - 1
        assert 0 < line(report, policy).promotions < steps - 1
    assert all(len(found.turns) == steps and found.turns[0].action == "start" for found in report.lines)


def test_the_specifications_own_policy_sees_the_turn_and_recovers(report: BacktestReport) -> None:
    own, never, always = (line(report, name) for name in ("specification", "never", "always"))
    assert [turn for turn in own.turns if turn.retrained and turn.as_of < TURN] == []
    assert 1 <= own.promotions <= own.retrainings < always.retrainings
    assert own.mean_loss is not None
    assert never.mean_loss is not None
    assert own.mean_loss < never.mean_loss
    assert never.longest_days is not None
    assert own.longest_days is not None
    assert own.longest_days < never.longest_days
    assert own.false_alarms <= always.false_alarms
    served, stayed = own.turns[-1], never.turns[-1]
    assert served.serving > TURN
    assert served.loss is not None
    assert stayed.loss is not None
    assert served.loss < stayed.loss / 2


def test_losses_are_those_of_the_models_on_the_rows_that_came(folder: Path, report: BacktestReport) -> None:
    """The first step's future, by scikit-learn alone."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = pd.read_parquet(folder / "orders.parquet")
    day = timedelta(days=1)
    known = rows[(rows["ordered_at"] >= START - 28 * day) & (rows["ordered_at"] < START - 14 * day)]
    future = rows[(rows["ordered_at"] >= START) & (rows["ordered_at"] < START + 10 * day)]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(known[["load", "distance"]], known["late"])
    expected = log_loss(future["late"], model.predict_proba(future[["load", "distance"]]))
    first = line(report, "never").turns[0]
    assert first.rows == len(future) == 600
    assert first.loss == pytest.approx(expected, rel=1e-3)
    turns = line(report, "never").turns
    mean = sum((turn.loss or 0) * turn.rows for turn in turns) / sum(turn.rows for turn in turns)
    assert line(report, "never").mean_loss == pytest.approx(mean)
    assert line(report, "never").worst_loss == max(turn.loss or 0 for turn in turns)


def test_the_report_is_that_of_the_engine_before(report: BacktestReport) -> None:
    """Written by the code that led coroutines; to 9 digits, as other processors round otherwise in the last ones.

    What the specification's own policy decides is not the engine's: monitoring has learned since. Nor are the words of
    an acceptance; whether a model had decayed that was replaced was not kept, and what a retraining costs not known.
    """
    frozen = json.loads((Path(__file__).parent / "report_of_before.json").read_text())["lines"]
    found = timeless(report)["lines"]
    assert len(found) == len(frozen) == len(NAMES)
    assert [one["policy"] for one in found] == [one["policy"] for one in frozen]
    before, now = ([as_before(one) for one in lines if one["policy"] != "specification"] for lines in (frozen, found))
    assert len(before) == 4
    later = {"objective", "to_oracle"}
    assert rounded([{key: one[key] for key in one.keys() - later} for one in now]) == rounded(before)


# -- again ------------------------------------------------------------------------------------------------------------


def test_a_second_run_computes_nothing_and_says_the_same(folder: Path, report: BacktestReport) -> None:
    before = finished(folder / "done")
    again, _ = backtest(plan(), **openers(folder), state=str(folder / "done"))
    assert again.to_json() == report.to_json()
    assert finished(folder / "done") == before


SHORT = START + timedelta(days=40)


@pytest.fixture(scope="module")
def short(folder: Path) -> BacktestReport:
    """The first four steps."""
    found, storage = backtest(plan(end=SHORT), **openers(folder))
    assert storage.root.startswith(f"file://{folder}/storage/backtests/orders/")
    return found


def test_killed_anywhere_it_goes_on_and_ends_the_same(folder: Path, tmp_path: Path, short: BacktestReport) -> None:
    """Two processes work until the one that leads them is killed; both end with it. This process goes on alone."""
    state = tmp_path / "state"
    script = (
        "import sys; from pathlib import Path\n"
        "from airflow_mlops.core.backtest.run import backtest\n"
        "from tests.support.drifting_stream import openers, plan\n"
        "from tests.core.backtest.test_run import SHORT\n"
        "if __name__ == '__main__':\n"
        "    backtest(plan(end=SHORT), **openers(Path(sys.argv[1])), state=sys.argv[2], workers=2)\n"
    )
    (tmp_path / "lead.py").write_text(script)
    command = [sys.executable, str(tmp_path / "lead.py"), str(folder), str(state)]
    child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])})
    while len(finished(state)) < 12 and child.poll() is None:
        time.sleep(0.005)
    workers = psutil.Process(child.pid).children(recursive=True)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert len(workers) >= 2
    psutil.wait_procs(workers, timeout=60)
    assert not [worker for worker in workers if worker.is_running()]
    before = finished(state)
    assert len(before) >= 12
    found, _ = backtest(plan(end=SHORT), **openers(folder), state=str(state))
    assert timeless(found) == timeless(short)
    after = finished(state)
    assert len(after) > len(before)
    assert {name: after[name] for name in before} == before


# -- what it refuses, and what it lives with --------------------------------------------------------------------------


def test_a_folder_of_other_work_is_refused(folder: Path, report: BacktestReport, tmp_path: Path) -> None:
    other = specification(training={"estimator": "sklearn.linear_model.LogisticRegression", "seed": 7})
    with pytest.raises(RecordError, match="the specification .* name another folder"):
        backtest(plan(other), **openers(folder), state=str(folder / "done"))
    with pytest.raises(RecordError, match="the span 2026-01-31T00:00 to 2026-05-11T00:00 every 10 days"):
        backtest(plan(every=timedelta(days=20)), **openers(folder), state=str(folder / "done"))
    changed = stream()
    changed.loc[600, "load"] += 1
    changed.to_parquet(tmp_path / "orders.parquet")
    with pytest.raises(RecordError, match="the data"):
        backtest(plan(), **openers(tmp_path), state=str(folder / "done"))


def test_a_span_without_rows_is_refused(folder: Path) -> None:
    later = plan(start=END + timedelta(days=400), end=END + timedelta(days=500))
    with pytest.raises(DataError, match="--from: found no row of files .*choose --from and --to inside the history"):
        backtest(later, **openers(folder))


def test_a_span_that_trains_nothing_is_refused(folder: Path) -> None:
    spec = specification(validation=[{"expect": "row_count", "min": 10**6}])
    with pytest.raises(DataError, match="no model at any of 10 steps; at the first: .*row_count"):
        backtest(plan(spec), **openers(folder, spec))


def test_steps_with_broken_data_train_nothing_and_the_policy_sees_them(tmp_path: Path) -> None:
    rows = stream(turn=None)
    broken = (rows["ordered_at"] >= START + timedelta(days=32)) & (rows["ordered_at"] < START + timedelta(days=36))
    rows.loc[broken & (rows.index % 3 == 0), "distance"] = -1.0  # all of them would be a fault, and left out
    rows.to_parquet(tmp_path / "orders.parquet")
    spec = specification(validation=[{"expect": "between", "column": "distance", "min": 0}])
    found, _ = backtest(plan(spec), **openers(tmp_path, spec))
    always = line(found, "always")
    invalid = [turn.as_of for turn in always.turns if turn.action == "invalid"]
    assert invalid == [START + timedelta(days=days) for days in (40, 50, 60)]
    assert all(not turn.retrained for turn in always.turns if turn.as_of in invalid)
    own = line(found, "specification")
    assert [turn.action for turn in own.turns if turn.as_of == START + timedelta(days=40)] == ["block"]
    assert own.retrainings == 0
    assert any("nothing was trained" in note for note in found.notes)


def test_rows_of_broken_days_are_trained_on_by_no_policy(tmp_path: Path) -> None:
    rows = stream(turn=None)
    broken = (rows["ordered_at"] >= START + timedelta(days=32)) & (rows["ordered_at"] < START + timedelta(days=36))
    rows.loc[broken, "distance"] *= 1000
    rows.to_parquet(tmp_path / "orders.parquet")
    found, _ = backtest(plan(), **openers(tmp_path), state=str(tmp_path / "done"))
    own = line(found, "specification")
    assert [turn.action for turn in own.turns if turn.as_of == START + timedelta(days=40)] == ["block"]
    manifests = sorted((tmp_path / "done").glob("snapshots/*/*/manifest.json"))
    assert len(manifests) == 10
    assert sum(bool(json.loads(text.read_text())["quarantined"]) for text in manifests) == 3  # as of day 40, 50 and 60
    for manifest in manifests:
        times = pd.read_parquet(manifest.with_name("data.parquet"), columns=["ordered_at"])["ordered_at"]
        assert not times.isin(rows.loc[broken, "ordered_at"]).any()


def test_a_first_model_that_the_gate_refuses_is_said_to_be_one(
    folder: Path, short: BacktestReport, tmp_path: Path
) -> None:
    strict = specification(gate={"absolute": [{"metric": "roc_auc", "min": 0.999}]})
    found, _ = backtest(replace(plan(), spec=strict, end=SHORT), **openers(folder), state=str(tmp_path / "strict"))
    assert not [note for note in short.notes if "not let the first model" in note]
    assert "The gate would not let the first model serve (reject: " in found.notes[-1]


def test_a_future_without_labels_counts_for_no_policy(tmp_path: Path) -> None:
    rows = stream(turn=None)
    hole = (rows["ordered_at"] >= START + timedelta(days=20)) & (rows["ordered_at"] < START + timedelta(days=30))
    rows[~hole].to_parquet(tmp_path / "orders.parquet")
    found, _ = backtest(plan(), **openers(tmp_path))
    turn = next(turn for turn in line(found, "always").turns if turn.as_of == START + timedelta(days=20))
    assert (turn.rows, turn.loss, turn.behind) == (0, None, None)
    assert any("no row with a label in this step's future" in note for note in found.notes)
    assert line(found, "always").mean_loss is not None


# -- the grid and what is shown ---------------------------------------------------------------------------------------


def test_points_of_a_grid_share_what_they_have_in_common(folder: Path, report: BacktestReport, tmp_path: Path) -> None:
    texts = ["gate.champion.confidence=0.8,0.99", "monitoring.performance.max_drop=0.05,5"]
    found, _ = backtest(
        plan(), **openers(folder), grid=grid_of(specification(), texts), state=str(folder / "done")
    )  # fmt: skip
    assert [point.settings["monitoring.performance.max_drop"] for point in found.grid] == ["0.05", "5", "0.05", "5"]
    deaf = [point for point in found.grid if point.settings["monitoring.performance.max_drop"] == "5"]
    # However much a point lets its champion lose: one that is surely worse than the baseline is retrained.
    assert [point.retrainings for point in deaf] == [1, 1]
    assert any(point.pareto for point in found.grid)
    assert timeless(replace(found, grid=())) == timeless(report)


def test_the_page_and_the_table_say_the_same_numbers(report: BacktestReport) -> None:
    own = line(report, "specification")
    page, table = render(report), "\n".join(terminal(report))
    assert own.mean_loss is not None
    for shown in (format_number(own.mean_loss), format_number(own.objective), WORDS["specification"], "false alarms"):
        assert escape(shown) in page
        assert shown in table
    assert "<svg" in page
    assert not any(word in page for word in ("http://", "https://", "<script"))
    assert BacktestReport.from_json(json.loads(json.dumps(report.to_json()))) == report


@pytest.mark.parametrize(("every", "said"), [(timedelta(hours=12), True), (timedelta(days=10), False)])
def test_outcomes_that_come_later_than_a_step_are_noted(every: timedelta, said: bool) -> None:
    nothing = line_of("never", [], end=END, greater_is_better=False)
    late = [
        note
        for note in _notes(plan(every=every), [], [nothing])
        if note.startswith("Outcomes come 1d after the event and a step is 12h")
    ]
    assert len(late) == said
    assert all("of 2 steps before, or older" in note for note in late)


# -- peers ------------------------------------------------------------------------------------------------------------

LATE = START + timedelta(days=32)
"""So late that three steps before it have whole training windows."""


@pytest.fixture(scope="module")
def peers(folder: Path) -> BacktestReport:
    found, _ = backtest(
        plan(start=LATE), **openers(folder), policies=policies_of(["never", "peers"]), state=str(folder / "peers")
    )
    return found


def test_peers_are_replayed_beside_the_specifications_own(peers: BacktestReport) -> None:
    assert [found.policy for found in peers.lines] == ["never", "specification", *PEERS]
    assert peers.oracle is not None
    assert peers.retraining_cost is not None
    for found in peers.lines:
        assert found.mean_loss is not None
        assert found.objective == pytest.approx(found.mean_loss + peers.retraining_cost * found.retrainings)
        assert found.to_oracle is not None
        assert found.to_oracle >= 1 - 1e-9
        if found.policy in PEERS:
            assert found.promotions == found.retrainings
    assert peers.oracle.objective is not None
    assert peers.oracle.objective < min(found.objective or 0 for found in peers.lines) + 1e-9
    assert "One retraining is taken to cost as much as a log_loss that is worse by" in peers.notes[0]


def test_the_table_and_the_page_have_the_peers_and_the_oracle(peers: BacktestReport) -> None:
    page, table = render(peers), "\n".join(terminal(peers))
    for shown in ("CARA, threshold", "UPF", WORDS["oracle"], "to the oracle", "objective"):
        assert shown in page
        assert shown in table
    assert BacktestReport.from_json(json.loads(json.dumps(peers.to_json()))) == peers


def test_the_future_of_the_data_changes_no_earlier_decision(
    folder: Path, peers: BacktestReport, tmp_path: Path
) -> None:
    """Labels from a day on are turned over. Until they are known every policy but the oracle decides as before."""
    rows = stream()
    day = LATE + timedelta(days=30)
    rows.loc[rows["ordered_at"] >= day, "late"] = 1 - rows.loc[rows["ordered_at"] >= day, "late"]
    rows.to_parquet(tmp_path / "orders.parquet")
    found, _ = backtest(plan(start=LATE), **openers(tmp_path), policies=policies_of(["never", "peers"]))
    assert len(found.lines) == len(peers.lines) == 2 + len(PEERS)
    for before, after in zip(peers.lines, found.lines, strict=True):
        early = [
            [
                (turn.as_of, turn.action, turn.promoted, turn.serving, turn.reason)
                for turn in one.turns
                if turn.as_of <= day
            ]
            for one in (before, after)
        ]
        assert len(early[0]) == 4
        assert early[0] == early[1]
    assert found.lines[0].mean_loss != peers.lines[0].mean_loss


def test_peers_that_cannot_be_tuned_are_left_out_with_a_note(folder: Path) -> None:
    """At the stream's beginning there are no steps before the span."""
    asked = policies_of(["calendar", "ddm"])
    found, _ = backtest(plan(end=SHORT), **openers(folder), policies=asked)
    assert [one.policy for one in found.lines] == ["specification", "ddm"]
    assert [note for note in found.notes if "The policy calendar is left out: it is tuned on the steps before" in note]


def test_what_a_retraining_costs_is_the_specifications(folder: Path, report: BacktestReport) -> None:
    dear = specification(retraining={"cooldown": "0d", "backoff": 1.0, "cost": {"worse_by": 2.0, "per": "10d"}})
    asked = policies_of(["simple", "oracle"])
    found, _ = backtest(plan(dear), **openers(folder), policies=asked, state=str(folder / "done"))
    assert found.retraining_cost == pytest.approx(0.2)
    assert [one.mean_loss for one in found.lines] == [one.mean_loss for one in report.lines]
    always = line(found, "always")
    assert always.objective == pytest.approx((always.mean_loss or 0) + 9 * 0.2)
    assert report.oracle is None
    assert found.oracle is not None
    assert found.oracle.retrainings < 9
    assert min(one.to_oracle or 0 for one in found.lines) >= 1 - 1e-9


def test_under_refit_peers_know_what_serves(folder: Path, tmp_path: Path) -> None:
    plain = specification().training.model_dump(mode="json", exclude_unset=True)
    spec = specification(training={**plain, "refit": True})
    asked = policies_of(["never", "ddm", "cusum"])
    late = plan(spec, start=LATE, end=LATE + timedelta(days=60))
    found, _ = backtest(late, **openers(folder), policies=asked, state=str(tmp_path / "refit"))
    assert [one.policy for one in found.lines] == ["never", "specification", "cusum", "ddm"]
    assert all(one.to_oracle is not None and one.to_oracle >= 1 - 1e-9 for one in found.lines)
    (cusum,) = (one for one in found.lines if one.policy == "cusum")
    assert cusum.retrainings >= 1  # the turn lies in the span: who knows the losses of what serves sees it
