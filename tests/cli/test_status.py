"""`airflow mlops status, history, rollback, promote, retire` on a model that a real loop trained, in a real MLflow."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from airflow_mlops.cli import _change, get_cli_commands
from airflow_mlops.cli import rollback as change
from airflow_mlops.cli.history import history
from airflow_mlops.cli.promote import promote
from airflow_mlops.cli.release import release
from airflow_mlops.cli.retire import retire
from airflow_mlops.cli.rollback import rollback
from airflow_mlops.cli.status import status
from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.core.promotion.audit_chain import from_lines
from airflow_mlops.core.promotion.verify import finish_unfinished
from airflow_mlops.hooks.mlflow import MLflowHook
from airflow_mlops.spec import ModelSpec
from airflow_mlops.spec.problems import Problem, ReasonCode
from airflow_mlops.stores.mlflow.audit_trail import TRAIL
from airflow_mlops.stores.mlflow.client import connect
from airflow_mlops.stores.mlflow.errors import Address
from airflow_mlops.stores.mlflow.registry import MLflowRegistry
from tests.support.loop import rows, run_loop, specification


class Model:
    """A model with two versions that served one after the other, and a third that was rejected."""

    def __init__(self, name: str) -> None:
        self.name = name
        weak = {"numeric": ["distance"], "categorical": ["city"]}
        # The first one cannot beat the constant: it is let through because its gate is only tried out.
        self.run({"features": weak, "gate": {"holdout": "14d", "min_rows": 100, "mode": "dry_run"}})
        self.run({})
        self.run({"features": weak})

    def run(self, changes: dict[str, object]) -> None:
        self.spec = ModelSpec.model_validate(specification("orders.parquet", name=self.name, **changes))
        run_loop(self.spec, run_id=f"{self.name}-{id(changes)}")


@pytest.fixture
def model(loop_home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    rows().to_parquet(loop_home / "orders.parquet")
    return Model(f"cli_{request.node.originalname.removeprefix('test_')}"[:60])


def ask(command: Callable[[Namespace], None], **given: object) -> int:
    """Run a command; return its exit status."""
    defaults = {"conn_id": "mlflow_default", "json": False, "json_lines": False, "verify": False, "file": None}
    try:
        command(Namespace(**{**defaults, **given}))
    except SystemExit as ended:
        return int(str(ended.code))
    return 0


def champion(name: str) -> int | None:
    with MLflowHook().records() as records:
        return records.registry.alias(name, "champion")


def test_status_history_and_their_exports(model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert ask(status, models=[model.name]) == 0
    said = capsys.readouterr().out
    assert f"{model.name}  v2        2026-03-01 00:00" in said
    assert "v1" in said
    ask(status, models=[], json=True)  # its exit status is about every model on this server
    mine = next(one for one in json.loads(capsys.readouterr().out) if one["model"] == model.name)
    assert (mine["champion"], mine["previous"], mine["problems"]) == (2, 1, [])

    assert ask(history, model=model.name) == 0
    table = capsys.readouterr().out
    assert [line.split("  ")[2].strip() for line in table.splitlines()[2:] if line][:1]
    assert table.count("promoted") == 2
    assert "registered" in table
    assert ask(history, model=model.name, json_lines=True) == 0
    exported = capsys.readouterr().out
    assert [event.number for event in from_lines(exported)] == list(range(1, len(exported.splitlines()) + 1))
    assert ask(history, model=model.name, verify=True) == 0
    file = tmp_path / "trail.jsonl"
    file.write_text(exported)
    assert ask(history, model=model.name, file=str(file)) == 0
    last = from_lines(exported)[-1]
    assert f"{last.number} events, last digest {last.digest}: whole" in capsys.readouterr().err
    assert ask(history, model="another", file=str(file)) == 1
    assert "in the trail of another" in capsys.readouterr().err
    file.write_text(exported.replace('"forced":false', '"forced":true', 1))
    assert ask(history, model="", file=str(file)) == 1
    assert "audit_broken" in capsys.readouterr().err
    file.write_text("")  # an export that went wrong
    assert ask(history, model=model.name, file=str(file)) == 1
    assert "no event" in capsys.readouterr().err
    assert ask(history, model=model.name, file=str(tmp_path / "none.jsonl")) == 1
    assert "cannot be read (No such file or directory)" in capsys.readouterr().err


def test_one_models_broken_trail_does_not_hide_the_others(
    model: Model, mlflow_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client = connect(Address(uri=mlflow_uri))
    client.create_registered_model("status_of_broken")
    client.set_registered_model_tag("status_of_broken", TRAIL, "a run that nobody made")
    assert ask(status, models=[model.name, "status_of_broken"], json=True) == 1
    mine, broken = json.loads(capsys.readouterr().out)
    assert (mine["champion"], mine["problems"]) == (2, [])
    assert broken["champion"] is None
    assert "audit_broken" in broken["problems"][0]
    assert ask(status, models=[model.name, "status_of_broken"]) == 1
    assert "status_of_broken: audit trail" in capsys.readouterr().out


def test_rollback_serves_the_previous_version_after_it_was_tried(
    model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(rollback, model=model.name, to=None, reason="late trains are predicted early") == 0
    assert "version 1 serves again" in capsys.readouterr().out
    assert champion(model.name) == 1
    # nothing before it: a second rollback has nowhere to go, and never back to what was rolled back
    assert ask(rollback, model=model.name, to=None, reason="again") == 1
    assert "nothing_to_roll_back_to" in capsys.readouterr().err
    assert champion(model.name) == 1
    assert ask(history, model=model.name) == 0
    said = capsys.readouterr().out
    assert "late trains are predicted early" in said
    assert "user:" in said
    assert ask(rollback, model=model.name, to=99, reason="a version that nobody has") == 1
    assert "version_missing" in capsys.readouterr().err


def test_a_rollback_whose_answer_was_lost_is_finished_and_not_made_twice(
    model: Model, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(promote, model=model.name, version=3, force=True, reason="to have two to go back", allow_older=True) == 0

    def away(*_: object) -> None:
        raise gone

    gone = StoreUnavailableError(Problem(code=ReasonCode.STORE_UNAVAILABLE, field="x", found="x", allowed="x", fix="x"))
    with monkeypatch.context() as patch:
        patch.setattr(MLflowRegistry, "set_alias", away)  # `rolling_back` is written by then
        assert ask(rollback, model=model.name, to=None, reason="worse") == 1
    assert "look at airflow mlops status before you ask again" in capsys.readouterr().err
    assert champion(model.name) == 3
    at_once = {**finish_unfinished.__kwdefaults__, "lease": timedelta(0)}
    monkeypatch.setattr(finish_unfinished, "__kwdefaults__", at_once)
    assert ask(rollback, model=model.name, to=None, reason="worse") == 1
    assert "it is now, and version 2 serves. Nothing else was done" in capsys.readouterr().err
    assert champion(model.name) == 2


def test_a_rollback_to_another_version_than_was_tried_is_refused(
    model: Model, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"model": model.name, "version": 3, "force": True, "allow_older": True}
    check = _change.served

    def slow(*given: Any) -> Any:
        seen = check(*given)
        monkeypatch.setattr(change, "served", check)
        assert ask(promote, **arguments, reason="meanwhile somebody else") == 0
        return seen

    monkeypatch.setattr(change, "served", slow)
    assert ask(rollback, model=model.name, to=None, reason="version 2 is worse") == 1
    assert "decision_mismatch" in capsys.readouterr().err
    assert champion(model.name) == 3


def test_promotion_by_force_needs_a_reason_and_stands_in_the_trail(
    model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"model": model.name, "version": 3, "allow_older": False}
    assert ask(promote, **arguments, force=False, reason="because") == 1
    assert "--force" in capsys.readouterr().err
    assert ask(promote, **arguments, force=True, reason="  ") == 1
    assert champion(model.name) == 2
    assert ask(promote, **arguments, force=True, reason="the board asked for it", json=True) == 0
    assert champion(model.name) == 3
    capsys.readouterr()
    assert ask(history, model=model.name) == 0
    assert "promoting, forced" in capsys.readouterr().out


def test_a_retired_model_is_not_trained_until_it_is_taken_back(
    model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(retire, model=model.name, undo=True, reason="by mistake") == 1
    assert "was never retired; nothing was changed" in capsys.readouterr().err
    assert ask(retire, model=model.name, undo=False, reason="replaced by another team's") == 0
    assert "is retired" in capsys.readouterr().out
    with pytest.raises(AirflowSkipException, match="replaced by another team's"):
        model.run({})
    assert champion(model.name) == 2
    assert ask(status, models=[model.name]) == 0
    assert "is retired: replaced by another team's" in capsys.readouterr().out
    assert ask(retire, model=model.name, undo=True, reason="they gave up") == 0
    model.run({})


def test_released_rows_stand_in_the_trail(model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"start": "2024-06-05", "end": None}
    assert ask(release, model=model.name, reason="cents from now on", **rows) == 0
    assert "from 2024-06-05T00:00:00+00:00 on: what differs before it is left out" in capsys.readouterr().out
    assert ask(history, model=model.name) == 0
    assert "cents from now on" in capsys.readouterr().out
    assert ask(release, model=model.name, reason="x", start="soon", end=None) == 1
    assert "ISO 8601" in capsys.readouterr().err


def test_a_model_that_does_not_exist_is_said(loop_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(rollback, model="nobody_knows_it", to=None, reason="x") == 1
    assert ask(promote, model="nobody_knows_it", version=1, force=True, reason="x", allow_older=False) == 1
    said = capsys.readouterr().err
    assert said.count("nobody_knows_it") >= 2
    unknown: list[tuple[Callable[[Namespace], None], dict[str, object]]] = [
        (history, {}),
        (history, {"verify": True}),
        (status, {"models": ["nobody_knows_it"]}),
        (retire, {"undo": True, "reason": "x"}),
        (retire, {"undo": False, "reason": "x"}),
    ]
    for command, given in unknown:
        assert ask(command, **{"model": "nobody_knows_it", **given}) == 1, (command, given)
        said = "".join(capsys.readouterr())
        assert "nobody_knows_it" in said
        assert "no_champion" in said
    # A model whose first training has not ended has no trail either: a name that is right is not only doubted.
    assert ask(status, models=["nobody_knows_it"]) == 1
    assert "the first run of its train DAG writes it" in "".join(capsys.readouterr())


def test_every_command_of_the_documentation_is_there() -> None:
    group = get_cli_commands()[0]
    names = {command.name for command in group.subcommands}
    assert names == {
        *(
            "validate",
            "schema",
            "new",
            "status",
            "monitoring",
            "history",
            "verify",
            "seal",
            "rollback",
            "promote",
            "retire",
            "release",
            "handover",
            "reproduce",
            "backtest",
            "advise",
        ),
    }
    for command in group.subcommands:
        assert callable(command.func), command.name
