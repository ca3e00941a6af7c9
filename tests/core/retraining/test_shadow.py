"""When a champion is compared with a fresh model, and what the controller makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.records.performance import BlockExcess, Rise
from airflow_mlops.core.records.retraining import History, MonitoringInput
from airflow_mlops.core.records.shadow import ShadowReport
from airflow_mlops.core.records.snapshot import Window
from airflow_mlops.core.retraining.decide import decide_retraining, shadow_due
from airflow_mlops.core.retraining.shadow import first_age, next_look
from airflow_mlops.core.retraining.signals import signals_of
from airflow_mlops.spec.model import ModelSpec
from tests.support.builders import make_spec
from tests.support.retrain_cases import CHAMPION, DAY, FAULT, NOW, ask, drift, performance

BORN = CHAMPION.candidate.as_of


def asking(**rules: Any) -> ModelSpec:
    """A specification with shadows, and whole parts changed."""
    return make_spec(**{**rules, "retraining": {"on_shadow": True, **rules.get("retraining", {})}})


def report(verdict: str = "accept", gain: float | None = 0.2, lower: float | None = 0.1, **given: Any) -> Any:
    body = {"model": "m", "as_of": NOW, "champion_version": CHAMPION.version, "reasons": ("better by 0.2.",)}
    numbers = {"metric": "log_loss", "rows": 900, "gain": gain, "lower": lower}
    return ShadowReport(**{**body, "verdict": verdict, **numbers, **given})


def ages(model: Any, days: int, every: int = 1) -> list[int]:
    """Days of age at which a champion is compared, when it is monitored every so many days."""
    found: list[int] = []
    for age in range(0, days + 1, every):
        if due(model, found, age):
            found.append(age)
    return found


def due(model: Any, looks: Sequence[float], age: float, **seen: Any) -> bool:
    """Whether there is a look at an age in days, after looks at others."""
    before = tuple(report(as_of=BORN + look * DAY) for look in looks)
    return shadow_due(model, CHAMPION, MonitoringInput(**seen), History(shadows=before), BORN + age * DAY)


def test_a_champion_is_compared_at_half_a_window_and_each_time_its_age_has_doubled() -> None:
    model = asking(data={"window": "60d"}, gate={"holdout": "14d"})
    assert ages(model, 365) == [30, 60, 120, 240]
    assert ages(model, 365, every=7) == [35, 63, 126, 245]
    assert next_look(model, CHAMPION, BORN) == BORN + 30 * DAY
    assert next_look(model, CHAMPION, BORN + 30 * DAY) == BORN + 60 * DAY


@pytest.mark.parametrize(
    ("rules", "age"),
    [
        ({"data": {"window": "60d", "label_delay": "14d"}, "gate": {"holdout": "14d"}}, 42),
        ({"data": {"window": "20d"}, "gate": {"holdout": "4d"}}, 14),
        ({"data": {"window": "20d"}, "gate": {"holdout": "4d"}, "retraining": {"cooldown": "3d"}}, 10),
    ],
)
def test_the_first_look_has_rows_that_neither_knows_and_need_not_wait_for_the_cooldown(
    rules: dict[str, Any], age: int
) -> None:
    assert first_age(asking(**rules)) == age * DAY


def test_a_look_that_was_not_made_is_made_up_for_once() -> None:
    model = asking(data={"window": "60d"}, gate={"holdout": "14d"})
    assert due(model, [], 200)
    assert due(model, [50], 200)
    assert not due(model, [130], 200)
    assert not due(model, [], 29)
    of_another = History(shadows=(report(as_of=BORN + 130 * DAY, champion_version=CHAMPION.version + 1),))
    assert shadow_due(model, CHAMPION, MonitoringInput(), of_another, BORN + 200 * DAY)


AT = BORN + 40 * DAY


def test_nothing_is_learned_from_a_window_that_looks_broken_and_the_look_is_made_up_for() -> None:
    model = asking(data={"window": "60d"}, gate={"holdout": "14d"})
    assert not due(model, [], 40, drift=drift("invalid", AT))
    assert not due(model, [], 40, drift=drift("drift", AT, hints=(FAULT,)))
    assert due(model, [], 41, drift=drift("ok", AT))
    assert not due(make_spec(data={"window": "60d"}), [], 41)


def test_what_is_decided_without_a_shadow_is_not_trained_for_twice() -> None:
    model = asking(data={"window": "60d"}, gate={"holdout": "14d"})
    assert not due(model, [], 40, performance=performance("decay", AT))  # it is retrained for
    assert due(model, [], 40, drift=drift("drift", AT), performance=performance("ok", AT))  # it is only watched
    assert not due(model, [], 40, asked=(ask(),))
    assert not due(model, [], 40, retired="of no use")
    assert not due(model, [], 40, drift=drift("ok", AT, champion_version=CHAMPION.version + 1))


@given(hours=st.lists(st.integers(0, 24 * 700), min_size=1, max_size=60, unique=True))
def test_looks_do_not_depend_on_how_often_is_monitored(hours: list[int]) -> None:
    """As many as ages were passed, however the windows lie, but that several passed at once are one look."""
    model = asking(data={"window": "60d"}, gate={"holdout": "14d"})
    looks: list[float] = []
    passed = 0
    for hour in sorted(hours):
        age = hour / 24
        reached = sum(first <= age for first in (30, 60, 120, 240, 480))
        assert due(model, looks, age) == (reached > passed)
        assert next_look(model, CHAMPION, BORN + age * DAY) > BORN + age * DAY
        if reached > passed:
            looks.append(age)
        passed = reached


def state(seen: MonitoringInput, **rules: Any) -> tuple[str, str]:
    found = {signal.kind: signal for signal in signals_of(asking(**rules), CHAMPION, seen, History())}
    return found["shadow"].state, found["shadow"].reason


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, "off"),
        (report(), "on"),
        (report("reject", -0.1, -0.2), "off"),
        (report("inconclusive", 0.2, -0.1), "off"),
        (report("accept", 0.2, -0.01), "off"),  # a hypothesis of no harm accepts what is no better
        (report("accept", None, None), "off"),  # the gate compares with nobody
        (report("untrained", None, None), "unknown"),
        (report(champion_version=CHAMPION.version + 1), "off"),
    ],
)
def test_only_what_is_surely_better_calls_for_a_retraining(given: Any, wanted: str) -> None:
    found, reason = state(MonitoringInput(shadow=given))
    assert found == wanted
    assert reason


def test_a_gain_that_would_be_no_decay_if_it_were_lost_is_not_worth_a_retraining() -> None:
    healthy = replace(performance("ok"), bound=0.3)
    found, reason = state(MonitoringInput(performance=healthy, shadow=report(gain=0.3, lower=0.25)))
    assert (found, "up to 0.3 is no decay" in reason) == ("off", True)
    assert state(MonitoringInput(performance=healthy, shadow=report(gain=0.31, lower=0.25)))[0] == "on"
    off = {"retraining": {"on_shadow": False}}
    assert state(MonitoringInput(performance=healthy, shadow=report(gain=0.31, lower=0.25)), **off)[0] == "off"


def row(values: Sequence[float], first: int) -> tuple[BlockExcess, ...]:
    return tuple(
        BlockExcess(start=BORN + (first + day) * DAY, rows=100, excess=value, gain=None)
        for day, value in enumerate(values)
    )


def test_days_that_hang_together_make_a_gain_less_sure() -> None:
    """What the days of a week have in common is no gain that lasts."""
    rng = np.random.default_rng(1)
    alone, together = rng.normal(size=70), np.repeat(rng.normal(size=10), 7)
    window = Window(start=BORN + 56 * DAY, end=BORN + 70 * DAY)
    fresh = report(gain=0.2, lower=0.12, window=window, confidence=0.95)
    for values, wanted in ((alone, "on"), (together, "off")):
        seen = performance("ok", bound=0.1, reference=row(values[:14], 0), blocks=row(values[14:], 14))
        found, reason = state(MonitoringInput(performance=seen, shadow=fresh))
        assert found == wanted, reason
    assert "hang together" in reason


@pytest.mark.parametrize(
    ("p", "last", "age", "wanted"),
    [
        (1e-4, None, 20, True),
        (1e-2, None, 20, False),
        (1e-4, None, 13, False),  # within the cooldown
        (1e-4, 20, 24, False),  # 5 days after the rise; looked at as of 20, 4 days after it
        (1e-4, 20, 24.5, True),
    ],
)
def test_a_suspicious_champion_is_compared_however_young_and_again_with_twice_the_rows(
    p: float, last: float | None, age: float, wanted: bool
) -> None:
    model = asking(data={"window": "60d"}, gate={"holdout": "14d"})
    rise = Rise(since=BORN + min(15.75, age - 4) * DAY, blocks=4, size=1.0, surely=0.0, p=p)
    looks = [] if last is None else [last]
    seen = performance("ok", BORN + age * DAY, rise=rise)
    assert due(model, looks, age, performance=seen) is wanted
    # What is called decay asks for a retraining itself.
    assert due(model, looks, age, performance=replace(seen, verdict="decay")) is False


def test_the_controller_says_when_the_next_one_is_due() -> None:
    due = next_look(asking(), CHAMPION, NOW)
    assert f"{due:%Y-%m-%d}" in state(MonitoringInput(drift=drift("ok")))[1]


def test_a_better_shadow_is_retrained_for_and_broken_data_still_blocks() -> None:
    seen = MonitoringInput(drift=drift("ok"), performance=performance("ok"), shadow=report())
    decision = decide_retraining(asking(owner="team"), CHAMPION, seen, History(), NOW)
    assert (decision.action, decision.signal) == ("retrain", "shadow")
    assert decision.evidence["shadow_verdict"] == "accept"
    broken = replace(seen, drift=drift("invalid"))
    assert decide_retraining(asking(owner="team"), CHAMPION, broken, History(), NOW).action == "block"
    of_another = replace(seen, shadow=report(champion_version=CHAMPION.version + 1))
    assert decide_retraining(asking(owner="team"), CHAMPION, of_another, History(), NOW).rule == "out_of_date"
