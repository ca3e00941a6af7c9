"""What holds of every sensor, in every way of waiting, against a real champion and real files."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
    TaskDeferred,
)

from airflow_mlops import sensors
from airflow_mlops.sensors._base import GRACE
from tests.support.sensor_waits import CASES, WAYS, Case, World, context, deferral, fire, resume

SECOND = timedelta(seconds=1)
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
softness = pytest.mark.parametrize(
    ("soft", "end"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)], ids=["hard", "soft"]
)


def test_every_sensor_is_a_case() -> None:
    assert {case.sensor.__name__ for case in CASES.values()} == set(sensors.__all__)  # type: ignore[attr-defined]


# -- poke -------------------------------------------------------------------------------------------------------------


@cases
def test_poke_holds_on_until_it_comes(world: World, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            case.arrive(world)

    monkeypatch.setattr(time, "sleep", nap)
    report = case.make(world, poke_interval=7, timeout=600).execute(context())
    assert naps[:2] == [7, 7]
    assert case.fired(report)
    json.dumps(report, allow_nan=False)


@cases
@softness
def test_poke_ends_at_its_timeout(world: World, case: Case, soft: bool, end: type[Exception]) -> None:
    with pytest.raises(end, match="timed out"):
        case.make(world, poke_interval=0, timeout=0, soft_fail=soft).execute(context())


# -- reschedule -------------------------------------------------------------------------------------------------------


@cases
def test_reschedule_frees_the_worker_until_it_comes(world: World, case: Case) -> None:
    sensor = case.make(world, mode="reschedule", poke_interval=600, timeout=3600)
    before = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as caught:
        sensor.execute(context())
    assert caught.value.reschedule_date >= before + timedelta(seconds=600)
    case.arrive(world)
    assert case.fired(sensor.execute(context(first_reschedule=before)))


@cases
@softness
def test_reschedule_counts_its_timeout_from_the_first_look(
    world: World, case: Case, soft: bool, end: type[Exception]
) -> None:
    sensor = case.make(world, mode="reschedule", poke_interval=600, timeout=3600, soft_fail=soft)
    with pytest.raises(AirflowRescheduleException):
        sensor.execute(context(first_reschedule=datetime.now(UTC) - timedelta(seconds=60)))
    with pytest.raises(end):
        sensor.execute(context(first_reschedule=datetime.now(UTC) - timedelta(hours=2)))


# -- deferrable -------------------------------------------------------------------------------------------------------


@cases
def test_when_it_is_there_nothing_is_deferred(world: World, case: Case) -> None:
    case.arrive(world)
    assert case.fired(case.make(world, deferrable=True).execute(context()))


@cases
def test_deferred_it_comes_back_when_it_comes(world: World, case: Case) -> None:
    sensor = case.make(world, deferrable=True, poke_interval=600, timeout=3600)
    before = datetime.now(UTC)
    left = deferral(sensor)
    after = datetime.now(UTC)
    trigger: Any = left.trigger
    deadline = datetime.fromisoformat(trigger.deadline)
    assert before + 3600 * SECOND <= deadline <= after + 3600 * SECOND
    # Airflow's own time-out only ends what no triggerer ends.
    assert left.timeout is not None
    assert deadline + GRACE - after <= left.timeout <= 3600 * SECOND + GRACE
    assert trigger.interval == 600
    assert before + 540 * SECOND <= datetime.fromisoformat(trigger.after) <= after + 540 * SECOND
    event = fire(trigger, meanwhile=lambda: case.arrive(world))
    assert event == {"deadline": trigger.deadline}
    # another process, which knows nothing but the event
    assert case.fired(resume(case.make(world, deferrable=True), event))


@cases
def test_the_deadline_stays_where_it_was_over_all_deferrals(world: World, case: Case) -> None:
    sensor = case.make(world, deferrable=True, timeout=3600)
    left = [deferral(sensor)]
    for _ in range(2):
        trigger: Any = left[-1].trigger
        left.append(deferral(case.make(world, deferrable=True, timeout=3600), {"deadline": trigger.deadline}))
    assert len({one.trigger.deadline for one in left}) == 1  # type: ignore[attr-defined]
    timeouts = [one.timeout or timedelta(0) for one in left]
    assert timeouts == sorted(timeouts, reverse=True)
    assert timeouts[-1] > GRACE


@cases
@softness
def test_after_the_deadline_it_looks_a_last_time(world: World, case: Case, soft: bool, end: type[Exception]) -> None:
    sensor = case.make(world, deferrable=True, timeout=3600, soft_fail=soft)
    over = {"deadline": (datetime.now(UTC) - SECOND).isoformat()}
    with pytest.raises(end):
        resume(sensor, over)
    case.arrive(world)
    assert case.fired(resume(sensor, over))


@cases
def test_the_trigger_itself_wakes_it_at_the_deadline(world: World, case: Case) -> None:
    sensor = case.make(world, deferrable=True, timeout=3600)
    soon = (datetime.now(UTC) + timedelta(milliseconds=100)).isoformat()
    event = fire(deferral(sensor).trigger, deadline=soon)
    assert event == {"deadline": soon}
    # What was there instead is in the sentence, which an alert shows without the log above it.
    with pytest.raises(AirflowSensorTimeout, match=r"had not come by .+: \S.* in \[20"):
        resume(sensor, event)


@cases
@softness
def test_no_time_to_wait_at_all(world: World, case: Case, soft: bool, end: type[Exception]) -> None:
    with pytest.raises(end):
        case.make(world, deferrable=True, timeout=0, soft_fail=soft).execute(context())


@cases
@pytest.mark.parametrize(
    ("reason", "soft", "end"),
    [
        (TriggerFailureReason.TRIGGER_TIMEOUT, False, AirflowSensorTimeout),
        (TriggerFailureReason.TRIGGER_TIMEOUT, True, AirflowSkipException),
        (TriggerFailureReason.TRIGGER_FAILURE, False, TaskDeferralError),
        (TriggerFailureReason.TRIGGER_FAILURE, True, AirflowSkipException),
    ],
)
def test_what_airflow_ends_is_ended(
    world: World, case: Case, reason: TriggerFailureReason, soft: bool, end: type[Exception]
) -> None:
    sensor = case.make(world, deferrable=True, soft_fail=soft)
    with pytest.raises(end):
        sensor.resume_execution("__fail__", {"error": reason}, context())


@cases
def test_a_retry_waits_anew_and_an_event_that_comes_twice_does_no_harm(world: World, case: Case) -> None:
    first, second = (deferral(case.make(world, deferrable=True, timeout=3600)).trigger for _ in range(2))
    assert datetime.fromisoformat(first.deadline) < datetime.fromisoformat(second.deadline)  # type: ignore[attr-defined]
    case.arrive(world)
    events = [fire(one) for one in (first, first, second)]  # two triggerers run the first
    reports = [resume(case.make(world, deferrable=True), event) for event in events]
    assert reports[0] == reports[1] == reports[2]


# -- what is wrong ----------------------------------------------------------------------------------------------------


@cases
@ways
@pytest.mark.parametrize(("soft", "end"), [(False, AirflowFailException), (True, AirflowSkipException)])
def test_a_source_that_does_not_exist_ends_it_at_once(
    world: World, case: Case, way: dict[str, Any], soft: bool, end: type[Exception]
) -> None:
    data = {**world.spec.data.model_dump(mode="json"), "source": {"path": "nowhere/"}}
    sensor = case.make(world.spec.model_copy(update={"data": data}), soft_fail=soft, **way)
    with pytest.raises(end) as caught:
        sensor.execute(context())
    assert "source_missing" in str(caught.value.__cause__ if soft else caught.value)


@cases
def test_a_source_that_went_wrong_while_it_waited_fails_it_with_the_sentence(world: World, case: Case) -> None:
    trigger: Any = deferral(case.make(world, deferrable=True)).trigger
    (world.orders / "before.parquet").unlink()
    event = fire(trigger)
    with pytest.raises(AirflowFailException, match="source_missing"):
        resume(case.make(world, deferrable=True), event)


@cases
def test_what_only_the_triggerer_cannot_see_is_looked_at_by_workers(world: World, case: Case) -> None:
    trigger: Any = deferral(case.make(world, deferrable=True)).trigger
    event = {"deadline": trigger.deadline, "problem": "data.source: found no driver; allowed: one; install it [x]"}
    again: Any = deferral(case.make(world, deferrable=True), event).trigger
    assert again.deadline == trigger.deadline
    case.arrive(world)
    assert case.fired(resume(case.make(world, deferrable=True), event))


@cases
@ways
@pytest.mark.parametrize("params", [{"overrides": {"monitoring.windw": "1d"}}, {"as_of": "yesterday"}], ids=str)
def test_a_wrong_trigger_form_fails_at_once(
    world: World, case: Case, way: dict[str, Any], params: dict[str, Any]
) -> None:
    with pytest.raises(AirflowFailException, match="spec_"):
        case.make(world, **way).execute({**context(), "params": params})


@ways
@pytest.mark.parametrize("name", ["drift", "performance"])
@pytest.mark.parametrize(("soft", "end"), [(False, AirflowFailException), (True, AirflowSkipException)])
def test_without_a_champion_there_is_nothing_to_compare_with(
    world: World, name: str, way: dict[str, Any], soft: bool, end: type[Exception]
) -> None:
    CASES[name].arrive(world)
    orphan = world.spec.model_copy(update={"name": "never_trained"})
    with pytest.raises(end) as caught:
        CASES[name].make(orphan, soft_fail=soft, **way).execute(context())
    assert "no_champion" in str(caught.value.__cause__ if soft else caught.value)


@ways
@pytest.mark.parametrize("name", ["drift", "performance"])
def test_mlflow_that_is_away_is_retried(
    world: World, name: str, way: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    CASES[name].arrive(world)
    away = {"conn_type": "mlflow", "host": "http://127.0.0.1:9", "extra": {"max_retries": 0, "timeout": 2}}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(away))
    with pytest.raises(ConnectionError) as caught:
        CASES[name].make(world, **way).execute(context())
    assert not isinstance(caught.value, AirflowFailException | TaskDeferred)
