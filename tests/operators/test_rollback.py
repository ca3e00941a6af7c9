"""Back to a version that served, as a task: checked, said why, recorded, and once however often it is tried."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.definitions.asset import Model
from airflow.sdk.exceptions import AirflowFailException

from airflow_mlops.core.records.candidate import Candidate
from airflow_mlops.core.records.evidence import ServingReport
from airflow_mlops.notifications import LoopEvent
from airflow_mlops.operators import RollbackOperator
from airflow_mlops.spec import ModelSpec
from tests.support.judged_runs import Judged
from tests.support.loop import context_of, promote_run


@pytest.fixture
def twice(judged: Judged) -> Judged:
    """A model whose version 1 was replaced by version 2."""
    promote_run(judged.spec, judged.decide(0), judged.context(0))
    promote_run(judged.spec, judged.decide(1, champion_version=1), judged.context(1))
    return judged


def back(spec: ModelSpec, context: dict[str, Any], **given: Any) -> Any:
    return RollbackOperator(task_id="back", spec=spec, **{"reason": "complaints", **given}).execute(context)


def served(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[str]:
    """Let the serving check say something else than what it sees."""
    asked: list[str] = []

    def report(records: Any, candidate: Candidate, spec: ModelSpec) -> ServingReport:
        asked.append(candidate.model_uri)
        good = {"rows": 10, "max_difference": 0.0, "load_seconds": 0.1, "row_ms": (1.0, 1.0), "batch_ms": (1.0, 1.0)}
        seen = {"model_uri": candidate.model_uri, "environment": "current", "size_bytes": 9, "python": "3", **good}
        return ServingReport(**{**seen, **changes})

    monkeypatch.setattr("airflow_mlops.stores.serving_check.check.check_serving", report)
    return asked


def test_previous_serves_again_after_a_fresh_interpreter_served_it(
    twice: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[LoopEvent] = []
    monkeypatch.setattr(
        "airflow_mlops.notifications.webhook.LoopNotifier.notify", lambda self, _: heard.append(self.event)
    )
    spec = twice.spec.model_copy(update={"notifications": [{"events": ["rolled_back"], "conn_id": "x"}]})
    outlet, context = Model(name="judged"), context_of("r", dag_id="back")
    task = RollbackOperator(task_id="back", spec=spec, reason="complaints", outlets=[outlet])
    record = task.execute(context)
    assert record is not None
    assert (record["version"], record["displaced"], record["by"]) == (1, 2, "airflow:back/r")
    assert twice.store.registry.alias(twice.model, "champion") == 1
    assert twice.kinds()[-2:] == ["rolling_back", "rolled_back"]
    assert twice.store.trail.events(twice.model)[-1].reason == "complaints"
    assert twice.store.registry.version_tags(twice.model, 2)["mlops.status"] == "rolled_back"  # type: ignore[index]
    assert task.version_url == twice.store.version_url(twice.model, 1)
    assert context["outlet_events"][outlet].extra["version"] == 1
    assert [(event.event, event.version, event.reasons) for event in heard] == [
        ("rolled_back", 1, ("complaints (airflow:back/r)",))
    ]


def test_tried_again_it_does_not_go_back_twice(twice: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = served(monkeypatch)
    first = back(twice.spec, context_of("r", dag_id="back"))
    again = back(twice.spec, context_of("r", dag_id="back"))
    assert (again["version"], again["displaced"]) == (first["version"], first["displaced"]) == (1, 2)
    assert len(asked) == 1
    assert twice.kinds()[-2:] == ["rolling_back", "rolled_back"]
    assert twice.kinds().count("rolled_back") == 1


def test_cleared_after_others_moved_on_it_does_not_say_that_its_version_serves(
    twice: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(monkeypatch)
    heard: list[LoopEvent] = []
    monkeypatch.setattr(
        "airflow_mlops.notifications.webhook.LoopNotifier.notify", lambda self, _: heard.append(self.event)
    )
    spec = twice.spec.model_copy(update={"notifications": [{"events": ["rolled_back"], "conn_id": "x"}]})
    back(spec, context_of("r", dag_id="back"))
    back(spec, context_of("later", dag_id="back"), to=2)
    assert len(heard) == 2
    context, outlet = context_of("r", dag_id="back"), Model(name="judged")
    again = RollbackOperator(task_id="back", spec=spec, reason="complaints", outlets=[outlet])
    warned: list[str] = []
    monkeypatch.setattr(again.log, "warning", lambda text, *given: warned.append(text % given))
    assert (again.execute(context) or {})["version"] == 1
    assert twice.store.registry.alias(twice.model, "champion") == 2
    assert "version 2 serves now, and nothing was changed" in warned[-1]
    assert len(heard) == 2


@pytest.mark.parametrize("to", [1, "1", " 1 "])
def test_a_version_can_be_named(twice: Judged, monkeypatch: pytest.MonkeyPatch, to: Any) -> None:
    asked = served(monkeypatch)
    assert back(twice.spec, context_of("r", dag_id="back"), to=to)["version"] == 1
    assert asked == [twice.candidate(0).model_uri]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"reason": " "}, "reason"),
        ({"to": 2}, "serves already"),
        ({"to": 99}, "no such version"),
        ({"to": "the old one"}, "the number of a registered version"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence_and_the_champion_stays(
    twice: Judged, given: dict[str, Any], said: str
) -> None:
    before = twice.kinds()
    with pytest.raises(AirflowFailException, match=said):
        back(twice.spec, context_of("r", dag_id="back"), **given)
    assert twice.kinds() == before
    assert twice.store.registry.alias(twice.model, "champion") == 2


def test_with_nothing_to_go_back_to_it_says_so(judged: Judged) -> None:
    promote_run(judged.spec, judged.decide(0), judged.context(0))
    with pytest.raises(AirflowFailException, match="nothing_to_roll_back_to"):
        back(judged.spec, context_of("r", dag_id="back"))


BROKEN: dict[str, Any] = {"failure": "a module is missing"}


def test_a_version_that_cannot_be_served_does_not_serve_again(twice: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, **BROKEN)
    with pytest.raises(AirflowFailException, match="a module is missing"):
        back(twice.spec, context_of("r", dag_id="back"))
    assert twice.store.registry.alias(twice.model, "champion") == 2


@pytest.mark.parametrize(("mode", "asked"), [("dry_run", 1), ("off", 0)])
def test_a_team_that_does_not_enforce_the_serving_check_can_go_back_without_it(
    twice: Judged, monkeypatch: pytest.MonkeyPatch, mode: str, asked: int
) -> None:
    tried = served(monkeypatch, **BROKEN)
    spec = twice.spec.model_copy(update={"gate": {"serving": {"mode": mode}}})
    assert back(spec, context_of("r", dag_id="back"))["version"] == 1
    assert len(tried) == asked
