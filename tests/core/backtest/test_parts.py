"""The parts of a backtest by themselves: steps, grids, the crew, measures, the score log, the policies' dialogues."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.backtest.grid import grid_of
from airflow_mlops.core.backtest.measures import decays, line_of, with_front
from airflow_mlops.core.backtest.plan import plan_of
from airflow_mlops.core.backtest.scheduler import Crew
from airflow_mlops.core.backtest.score_log import ScoreLog, log_folder
from airflow_mlops.core.backtest.tasks import Judge, Need, Score, Train, Watch, gate_settings, watch_settings
from airflow_mlops.core.errors import DataError, RecordError
from airflow_mlops.core.records.backtest import Answer, Line, Turn
from airflow_mlops.core.records.predictions import Predictions
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.spec.problems import SpecError
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.drifting_stream import specification

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


# -- steps ------------------------------------------------------------------------------------------------------------


@given(days=st.integers(1, 400), every=st.integers(1, 60))
def test_steps_cover_the_span_without_gaps_and_none_is_half_empty(days: int, every: int) -> None:
    if days < every:
        with pytest.raises(DataError, match="--to: found .* at least one step"):
            plan_of(specification(), BEGIN, BEGIN + days * DAY, every * DAY)
        return
    steps = plan_of(specification(), BEGIN, BEGIN + days * DAY, every * DAY).steps
    assert steps[0].start == BEGIN
    assert steps[-1].end == BEGIN + days * DAY
    assert all(one.end == other.start for one, other in pairwise(steps))
    assert all(step.end - step.start == every * DAY for step in steps[:-1])
    assert every * DAY / 2 <= steps[-1].end - steps[-1].start < every * DAY * 1.5


@pytest.mark.parametrize(
    ("start", "end", "every", "said"),
    [
        (BEGIN, BEGIN - DAY, 14 * DAY, "--from: found 2026-01-01.* not before --to 2025-12-31.*exchange or correct"),
        (BEGIN, BEGIN, 14 * DAY, "--from: found .*not before"),
        (BEGIN, BEGIN + 9 * DAY, 14 * DAY, "--to: found 9d from --from to --to; allowed: at least one step of 14d"),
        (BEGIN, BEGIN + DAY, timedelta(0), "--every: found 0s; allowed: a duration above 0"),
        (BEGIN, BEGIN + 90 * DAY, DAY / 1440, "--every: found 1m, which makes 129,600 steps"),
        (BEGIN.replace(tzinfo=None), BEGIN, DAY, "--from: found .* without a time zone"),
    ],
)
def test_a_span_that_cannot_be_replayed_is_one_sentence(
    start: datetime, end: datetime, every: timedelta, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        plan_of(specification(), start, end, every)


# -- grids ------------------------------------------------------------------------------------------------------------


def test_a_grid_crosses_every_value_with_every_other() -> None:
    points = grid_of(specification(), ["gate.champion.confidence=0.8,0.9,0.95", "retraining.on_drift=true,false"])
    found = [(point.spec.gate.champion.confidence, point.spec.retraining.on_drift) for point in points]
    assert found == [(c, d) for c in (0.8, 0.9, 0.95) for d in (True, False)]
    assert all(point.spec.fingerprint == specification().fingerprint for point in points)
    assert len({point.name for point in points}) == 6
    assert grid_of(specification(), []) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gate.champion.confidnce=0.8", "no field 'confidnce'.*did you mean 'confidence'"),
        ("training.seed=1,2", "no field 'training'; allowed: one of: gate, monitoring, retraining"),
        ("gate.champion=0.8", "a whole part; allowed: one setting of it: hypothesis"),
        ("gate.champion.confidence.low=1", "nothing below 'confidence'"),
        ("gate.holdout=7d,14d", "settings but gate.holdout: it says what the model is trained on"),
        ("gate.primary=brier", "settings but gate.primary"),
        ("gate.champion.confidence", "'gate.champion.confidence' without values"),
        ("gate.champion.confidence=high", "--grid.gate.champion.confidence: found 'high'"),
        ("monitoring.drift.violations=9", "violations: found 9 of 5"),
        ("gate.champion.resamples=" + ",".join(map(str, range(200, 800))), "600 points; allowed: at most 500"),
    ],
)
def test_a_grid_that_is_none_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        grid_of(specification(), [text])


# -- the crew ---------------------------------------------------------------------------------------------------------


def dialogue(asks: Sequence[Sequence[Need]]) -> Generator[tuple[Need, ...], tuple[Answer, ...], list[float]]:
    heard = []
    for needs in asks:
        answers = yield tuple(needs)
        heard += [answer.seconds for answer in answers]
    return heard


def slow_crew(done: list[Need]) -> Crew:
    def submit(need: Need) -> Future[Answer]:
        done.append(need)
        made: Future[Answer] = Future()
        made.set_result(Answer(seconds=float(getattr(need, "version", 0))))
        return made

    return Crew(submit=submit, tell=lambda _done, _asked, _words: None, at_once=2)


@given(st.lists(st.lists(st.lists(st.integers(1, 9), max_size=4), max_size=5), max_size=6))
def test_every_dialogue_hears_its_answers_in_order_and_nothing_is_done_twice(asks: list[list[list[int]]]) -> None:
    done: list[Need] = []
    found = slow_crew(done).lead([dialogue([[Train(version=v) for v in needs] for needs in one]) for one in asks])
    assert found == [[float(v) for needs in one for v in needs] for one in asks]
    assert len(done) == len(set(done)) == len({v for one in asks for needs in one for v in needs})


def test_a_failure_ends_the_run_with_itself() -> None:
    def submit(_need: Need) -> Future[Answer]:
        made: Future[Answer] = Future()
        made.set_exception(ZeroDivisionError("seen"))
        return made

    crew = Crew(submit=submit, tell=lambda *_: None, at_once=1)
    with pytest.raises(ZeroDivisionError, match="seen"):
        crew.lead([dialogue([[Train(version=1)]])])


def test_what_does_not_decide_an_answer_is_not_in_its_key() -> None:
    one = Judge(version=2, champion=1, settings="s", variant="a")
    assert one == replace(one, variant="b")
    assert one.key == replace(one, variant="b").key
    assert one.key != replace(one, settings="t").key
    watch = Watch(step=3, served=((0, 1),), version=1, decision="d", reference="r", settings="s")
    assert watch.key == replace(watch, before=("x",), variant="v").key
    assert len({watch.key, replace(watch, served=((0, 2),)).key, replace(watch, decision="e").key}) == 3


def test_settings_that_a_stage_does_not_read_do_not_change_its_key() -> None:
    spec = specification()
    points = {
        text: grid_of(spec, [text])[0].spec
        for text in ("retraining.cooldown=3d", "monitoring.drift.min_effect=0.7", "gate.champion.confidence=0.6")
    }
    base = gate_settings(spec), watch_settings(spec)
    changed = {text: (gate_settings(one) != base[0], watch_settings(one) != base[1]) for text, one in points.items()}
    assert list(changed.values()) == [(False, False), (False, True), (True, True)]


# -- measures ---------------------------------------------------------------------------------------------------------


def turn(number: int, **changes: Any) -> Turn:
    at = BEGIN + number * 10 * DAY
    values: dict[str, Any] = {"action": "wait", "retrained": False, "promoted": False, "serving": at, "reason": ""}
    return Turn(as_of=at, **{**values, **changes})


@given(st.lists(st.sampled_from([True, False, None]), max_size=12))
def test_decays_are_runs_of_steps_behind(behind: list[bool | None]) -> None:
    """Against a reading of the same as text: what is not known goes with what is before it."""
    turns = [turn(number, behind=one) for number, one in enumerate(behind)]
    text, last = "", "."
    for one in behind:
        last = last if one is None else "x" if one else "."
        text += last
    expected = [len(run) * 10 * DAY for run in text.split(".") if run]
    assert list(decays(turns, BEGIN + len(behind) * 10 * DAY)) == expected


def test_a_line_sums_up_what_its_turns_did() -> None:
    turns = [
        turn(0, action="start", rows=100, loss=0.5, behind=False),
        turn(1, action="retrain", retrained=True, rows=300, loss=0.7, behind=True, seconds=2.0, false_alarm=True),
        turn(2, action="retrain", retrained=True, promoted=True, rows=100, loss=0.4, behind=False, seconds=1.5),
        turn(3, action="block"),
        turn(4, action="escalate", rows=0, loss=None),
    ]
    line = line_of("specification", turns, end=BEGIN + 50 * DAY, greater_is_better=False)
    assert (line.retrainings, line.promotions, line.false_alarms, line.escalations) == (2, 1, 1, 2)
    assert line.mean_loss == pytest.approx((0.5 * 100 + 0.7 * 300 + 0.4 * 100) / 500)
    assert (line.worst_loss, line.worst_step) == (0.7, turns[1].as_of)
    assert (line.decays, line.recovery_days, line.longest_days, line.compute_seconds) == (1, 10, 10, 3.5)
    assert line_of("x", turns, end=BEGIN, greater_is_better=True).worst_loss == 0.4


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, None]), st.integers(0, 4)), max_size=8), st.booleans())
def test_the_front_is_what_no_point_beats(points: list[tuple[float | None, int]], greater: bool) -> None:
    blank = line_of("specification", [], end=BEGIN, greater_is_better=greater)
    lines: list[Line] = [replace(blank, mean_loss=mean, promotions=count) for mean, count in points]
    sign = -1 if greater else 1
    for line, (mean, count) in zip(with_front(lines, greater_is_better=greater), points, strict=True):
        better = [
            (m, c)
            for m, c in points
            if m is not None and mean is not None and sign * m <= sign * mean and c <= count and (m, c) != (mean, count)
        ]
        assert line.pareto == (mean is not None and not better)


# -- the score log ----------------------------------------------------------------------------------------------------


def test_a_replay_sees_what_its_own_champions_scored_and_nothing_else(tmp_path: Path) -> None:
    spec, storage = specification(), open_storage(str(tmp_path))
    first, second = (Window(start=BEGIN + n * DAY, end=BEGIN + (n + 1) * DAY) for n in (0, 1))
    names = {window: f"{window.start:%Y%m%dT%H%M%SZ}_{window.end:%Y%m%dT%H%M%SZ}" for window in (first, second)}
    for version, window in ((1, first), (2, first), (1, second), (3, second)):
        made = Predictions(model="orders", version=version, run_id="r", window=window, rows=1, uri="u")
        log_folder(storage, version).write_text(
            f"predictions/orders/{names[window]}/manifest.json", made.to_text()
        )  # fmt: skip
    storage.write_text("snapshots/orders/s/manifest.json", "{}")
    log = ScoreLog(spec, storage, {first: 2, second: 3})
    assert log.folders("predictions/orders") == (names[first], names[second])
    read = [log.read_text(f"predictions/orders/{names[w]}/manifest.json") for w in (first, second)]
    assert [Predictions.from_json(text).version for text in read] == [2, 3]
    assert log.exists("snapshots/orders/s/manifest.json")
    assert log.root == storage.root
    half = ScoreLog(spec, storage, {first: 1})
    assert half.folders("predictions/orders") == (names[first],)
    assert not half.exists(f"predictions/orders/{names[second]}/manifest.json")
    with pytest.raises(RecordError, match="reads only"):
        log.write_text("x", "y")


def test_work_says_what_it_is() -> None:
    assert Score(version=3, step=1).words == "scoring with version 3"
    assert Train(version=2).words == "training version 2"
