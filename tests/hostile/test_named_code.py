"""A specification is data: no command runs, no connection is seen, whatever a file names."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pandas as pd
import pytest
from airflow.sdk import BaseNotifier
from airflow.sdk.execution_time.context import ConnectionAccessor

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.validation.validate import enforce, expectations_for, validate
from airflow_mlops.notifications import loop_event, tell
from airflow_mlops.platform_rules import DEFAULT_IMPORTS
from airflow_mlops.spec import ModelSpec, SpecError, load_spec, parse_spec
from airflow_mlops.spec.validation import Expectation
from tests.spec.samples import RAW


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLOPS__ALLOWED_IMPORTS", ", ".join(DEFAULT_IMPORTS))


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    return tmp_path / "ran"


CONDITIONS = [
    '@pd.io.common.os.system("touch {ran}") == 0',
    '@pd.compat.os.system("touch {ran}") == 0',
    "__import__('os').system('touch {ran}') == 0",
    "city.str.cat.__globals__['os'].system('touch {ran}') == 0",
    "city == @__builtins__['open']('{ran}', 'w')",
]


@pytest.mark.parametrize("parser", ["pandas", "python", "great_expectations", None])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_row_condition_runs_nothing(condition: str, parser: str | None, ran: Path) -> None:
    asked = {
        "expect": "expect_column_values_to_not_be_null",
        "column": "city",
        "row_condition": condition.replace("{ran}", str(ran)),
        **({"condition_parser": parser} if parser else {}),
    }
    with pytest.raises(SpecError, match="row_condition"):
        parse_spec({**RAW, "validation": [asked]})
    with pytest.raises(SpecError, match="row_condition"):
        Expectation.model_validate(asked)
    assert not ran.exists()


def test_an_expectation_of_a_foreign_module_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_mlops.core.validation import great_expectations as gx

    gx.library()
    from great_expectations.expectations import registry
    from great_expectations.expectations.core import ExpectColumnValuesToNotBeNull

    class ExpectColumnValuesToBeHostile(ExpectColumnValuesToNotBeNull):  # type: ignore[misc]
        """Registered by being defined, as Great Expectations' own are."""

    spec = ModelSpec.model_validate(
        {**RAW, "validation": [{"expect": "expect_column_values_to_be_hostile", "column": "late"}]}
    )
    rows = pd.DataFrame({"departure": pd.to_datetime(["2026-01-01"]), "flight_id": [1], "late": [0], "a": [1.0]})
    report = validate(rows, expectations_for(spec), subject="rows")
    with pytest.raises(DataError, match="import_not_allowed"):
        enforce(report)
    monkeypatch.setenv("AIRFLOW__MLOPS__ALLOWED_IMPORTS", f"sklearn, {__name__.partition('.')[0]}")
    try:
        assert "import_not_allowed" not in str(validate(rows, expectations_for(spec), subject="rows").problems)
    finally:  # or every later test of this process would know it
        registry._registered_expectations.pop("expect_column_values_to_be_hostile")


class Sent(BaseNotifier):
    """A notifier of somebody's own."""

    template_fields = ("message",)
    said: ClassVar[list[Any]] = []

    def __init__(self, message: Any) -> None:
        super().__init__()
        self.message = message

    def notify(self, context: Any) -> None:
        self.said.append((self.message, dict(context)))


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module with a notifier, that the platform allows."""
    made = ModuleType("a_team")
    monkeypatch.setattr(Sent, "__module__", "a_team")
    made.Sent = Sent  # type: ignore[attr-defined]
    made.call = lambda **given: Sent.said.append(given)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_team", made)
    monkeypatch.setenv("AIRFLOW__MLOPS__ALLOWED_IMPORTS", "a_team, sklearn")
    Sent.said.clear()
    yield made


def told(notifier: str, **arguments: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {**RAW, "notifications": [{"events": ["promoted"], "notifier": notifier, "arguments": arguments}]}
    )


def test_a_notifier_is_no_command(ran: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = told("os.system", command=f"touch {ran}")
    with caplog.at_level(logging.ERROR):
        assert tell(spec, loop_event(spec, "promoted"), {}) == ()
    assert "import_not_allowed" in caplog.text
    assert not ran.exists()
    with pytest.raises(SpecError, match=r"notifications\.0\.notifier"):
        parse_spec(spec.model_dump(mode="json", exclude_unset=True))


@pytest.mark.usefixtures("team")
def test_what_is_allowed_and_no_notifier_is_not_called(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["a_team"].call, "__module__", "a_team")
    for path in ("a_team.call", "sklearn.svm.SVC"):
        spec = told(path, message="x")
        with caplog.at_level(logging.ERROR):
            assert tell(spec, loop_event(spec, "promoted"), {}) == ()
    assert caplog.text.count("is no notifier") == 2
    assert Sent.said == []


@pytest.mark.usefixtures("team")
@pytest.mark.parametrize(
    "template",
    ["{{ conn.warehouse.password }}", "{{ var.value.token }}", "{{ ti.task.dag }}", "{{ event.__init__.__globals__ }}"],
)
def test_a_template_sees_no_connection_and_no_variable(
    template: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "postgres://u:hunter2@127.0.0.1:1/db")
    spec = told("a_team.Sent", message=template)
    with caplog.at_level(logging.ERROR):
        assert tell(spec, loop_event(spec, "promoted"), {"conn": ConnectionAccessor(), "ti": object()}) == ()
    assert Sent.said == []
    assert "template" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.usefixtures("team")
def test_a_notifier_is_given_the_event_and_ids_only() -> None:
    spec = told("a_team.Sent", message=["{{ event.title }}", {"raw": "{{ event.reasons[0] }}"}])
    event = loop_event(spec, "promoted", reasons=["{{ conn.warehouse.password }}"])
    assert tell(spec, event, {"conn": ConnectionAccessor(), "var": {}, "dag": object()}) == ("a_team.Sent",)
    ((message, context),) = Sent.said
    assert message == ["flight_delay: a version serves now", {"raw": "{{ conn.warehouse.password }}"}]
    assert set(context) == {"event", "ti", "dag_id", "run_id", "task_id"}


def test_a_file_that_names_a_command_is_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hostile_named.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "bad.yaml"
    file.write_text(
        ModelSpec.model_validate({**RAW, "training": {"estimator": "hostile_named.Model"}}).model_dump_json(
            exclude_unset=True
        )
    )
    with pytest.raises(SpecError, match="import_not_allowed"):
        load_spec(file)
    assert not (tmp_path / "ran").exists()
