"""What is proposed of tables that nobody here had seen, line by line, and that it trains."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.core.proposal import Proposal, Wishes, propose, to_yaml
from airflow_mlops.core.records.decision import Verdict
from airflow_mlops.spec import parse_spec
from airflow_mlops.spec.data import source_from
from airflow_mlops.stores.open_source import open_source
from airflow_mlops.stores.storage.storage import open_storage
from tests.support import tables

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def proposed(
    frame: pd.DataFrame, folder: Path, now: datetime = NOW, name: str = "table.parquet", **wishes: Any
) -> Proposal:
    path = tables.write(frame, folder / name)
    storage = open_storage(str(folder / "storage"))
    about = {"name": "m", "owner": "o", "source": {"path": str(path)}, "now": now}
    return propose(
        lambda told: open_source(source_from(told), data_root="/"), storage, wishes=Wishes(**wishes), **about
    )


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> Proposal:
    return proposed(tables.churn(), tmp_path_factory.mktemp("churn"))


def test_roles_are_found_by_names_and_values(churn: Proposal) -> None:
    assert churn.time.columns == ("signup_time",)
    assert churn.key.columns == ("customer_id",)
    assert churn.target.name == "churned"
    assert churn.target.task == "classification"
    assert all(role.sure for role in (churn.time, churn.key, churn.target.label))


def test_what_says_nothing_or_knows_the_label_is_left_out_with_the_reason(churn: Proposal) -> None:
    assert set(churn.excluded) == {"note", "region", "refund"}
    assert "identifier" in churn.excluded["note"]
    assert "one value" in churn.excluded["region"]
    assert churn.excluded["refund"].startswith("knows the label")


def test_its_first_model_would_be_accepted(churn: Proposal) -> None:
    assert churn.rehearsal is not None
    assert churn.rehearsal.problems == ()
    assert churn.rehearsal.decision is not None
    assert churn.rehearsal.decision.verdict is Verdict.ACCEPT
    assert "constant" in churn.rehearsal.reason


def test_the_text_is_the_specification_with_a_reason_above_each_proposal(churn: Proposal) -> None:
    text = to_yaml(churn, "airflow mlops new m --from table.parquet")
    assert parse_spec(text).fingerprint == churn.spec().fingerprint
    lines = text.splitlines()
    assert "airflow mlops new m --from table.parquet" in lines[0]
    assert max(map(len, lines)) <= 110
    wanted = [*(f"{setting.field.rpartition('.')[2]}:" for setting in churn.settings), "time:", "key:", "label:"]
    assert len(wanted) >= 9
    for name in wanted:
        place = next(number for number, line in enumerate(lines) if line.strip().startswith(name))
        assert lines[place - 1].strip().startswith("# "), name


def test_history_has_a_start_and_an_end_and_data_of_today_has_no_end(tmp_path: Path) -> None:
    old = proposed(tables.churn(1500), tmp_path).spec().schedule
    assert old.start is not None
    assert old.end is not None
    assert datetime(2024, 1, 1, tzinfo=UTC) < old.start < old.end < datetime(2024, 5, 3, tzinfo=UTC)
    fresh = proposed(tables.churn(1500), tmp_path, now=datetime(2024, 5, 2, tzinfo=UTC)).spec().schedule
    assert fresh.end is None


def test_one_row_an_hour_is_watched_and_its_time_is_its_key(tmp_path: Path) -> None:
    found = proposed(tables.hourly(), tmp_path)
    spec = found.spec()
    assert (spec.data.time, spec.data.key, spec.data.label) == ("timestamp", ("timestamp",), "load")
    assert found.target.task == "regression"
    per_day = 24
    assert per_day * spec.gate.holdout.days >= spec.gate.min_rows
    assert per_day * spec.monitoring.longest_window.days >= spec.monitoring.performance.min_rows
    assert found.rehearsal is not None
    assert found.rehearsal.decision is not None
    assert found.rehearsal.decision.verdict is Verdict.ACCEPT


def test_a_panel_has_windows_of_several_waves(tmp_path: Path) -> None:
    found = proposed(tables.panel(), tmp_path)
    spec = found.spec()
    assert spec.data.key == ("shop_id", "wave")
    assert spec.gate.holdout.days >= 6 * 30
    assert spec.scoring.window.days >= 31
    assert spec.monitoring.schedule == "@monthly"
    assert found.rehearsal is not None
    assert found.rehearsal.problems == ()


def test_labels_that_come_late_are_seen_and_said(tmp_path: Path) -> None:
    frame = tables.churn(2000)
    newest = frame["signup_time"] > frame["signup_time"].max() - pd.Timedelta(days=9)
    frame["churned"] = frame["churned"].astype("Int64").mask(newest)
    found = proposed(frame, tmp_path)
    assert 9 <= found.spec().data.label_delay.days <= 10


@pytest.mark.parametrize(
    ("column", "values", "task"),
    [
        ("label", [True, False], "classification"),
        ("label", ["no", "yes"], "classification"),
        ("label", [0, 1, 2], "classification"),
        ("count", [0, 1, 2, 3], "regression"),
        ("target", [1.5, 2.25, 7.0], "regression"),
    ],
)
def test_the_task_follows_from_the_labels(column: str, values: list[Any], task: str, tmp_path: Path) -> None:
    frame = tables.churn(1200).drop(columns=["churned", "refund"])
    frame[column] = [values[number % len(values)] for number in range(len(frame))]
    found = proposed(frame, tmp_path)
    assert (found.target.name, found.target.task) == (column, task)


def test_of_two_texts_the_rarer_is_proposed_as_positive_where_neither_evidently_is(tmp_path: Path) -> None:
    frame = tables.churn(1200).drop(columns=["refund"])
    frame["churned"] = frame["churned"].map({0: "stays", 1: "leaves"}).where(frame["usage"] < 2.5, " Leaves")
    found = proposed(frame, tmp_path)
    assert (found.target.classes, found.target.positive) == (("stays", "leaves"), "leaves")
    assert found.spec().data.positive == "leaves"
    assert "A GUESS" in to_yaml(found, "new")
    evident = proposed(
        frame.assign(churned=frame["churned"].str.strip().str.lower().map({"stays": "no", "leaves": "yes"})), tmp_path
    )
    assert evident.spec().data.positive is None


def test_rare_events_are_calibrated_and_ranked_from_the_start(tmp_path: Path) -> None:
    frame = tables.churn(6000).drop(columns=["refund"])
    frame["churned"] = ((frame["usage"] > 2.2) & (frame["customer_id"] % 2 == 0)).astype(int)
    found = proposed(frame, tmp_path)
    spec = found.spec()
    assert spec.training.calibration == "always"
    (ranked,) = spec.gate.absolute
    assert (ranked.metric, ranked.min) == ("average_precision", pytest.approx(found.target.share, rel=0.1))
    assert parse_spec(to_yaml(found, "new")).fingerprint == spec.fingerprint


def test_what_a_person_names_is_taken(tmp_path: Path) -> None:
    frame = tables.churn(1200).assign(closed_at=lambda rows: rows["signup_time"] + pd.Timedelta(days=3))
    found = proposed(frame, tmp_path, time="closed_at", key=("customer_id",), label="plan")
    assert (found.time.columns, found.key.columns, found.target.name) == (("closed_at",), ("customer_id",), "plan")
    assert sorted(found.target.classes) == ["basic", "pro", "team"]


def test_the_event_is_not_when_the_row_was_loaded(tmp_path: Path) -> None:
    frame = tables.churn(1200)
    frame.insert(0, "loaded_at", frame["signup_time"] + pd.Timedelta(days=1))
    frame = frame.rename(columns={"signup_time": "event_time"})
    found = proposed(frame, tmp_path)
    assert found.time.columns == ("event_time",)
    assert "loaded_at" in found.time.reason


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"time": "nowhere"}, "--time"),
        ({"key": ("nothing",)}, "--key"),
        ({"label": "none"}, "--label"),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_those_that_are(
    change: dict[str, Any], field: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        proposed(tables.churn(300), tmp_path, **change)
    (problem,) = caught.value.problems
    assert problem.field == field
    assert "customer_id" in problem.allowed


def test_a_table_without_a_time_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--time COLUMN"):
        proposed(tables.churn(300).drop(columns=["signup_time"]), tmp_path)


@pytest.mark.parametrize(
    ("write", "told", "sure"),
    [
        (lambda at: at.astype("int64") // 10**9, {"time_unit": "s"}, True),
        (lambda at: at.astype("int64") // 10**6, {"time_unit": "ms"}, True),
        (lambda at: at.dt.strftime("%d.%m.%Y %H:%M"), {"time_format": "%d.%m.%Y %H:%M"}, True),
        (lambda at: at.dt.strftime("%m/%d/%Y"), {"time_format": "%m/%d/%Y"}, True),
        (lambda at: at.dt.strftime("%Y%m%d").astype(int), {"time_format": "%Y%m%d"}, True),
    ],
)
def test_times_that_are_numbers_or_local_texts_are_read_and_said(
    write: Callable[[Any], Any], told: dict[str, str], sure: bool, tmp_path: Path
) -> None:
    frame = tables.churn(1200, days=100)
    frame["signup_time"] = write(frame["signup_time"].dt.floor("s"))
    found = proposed(frame, tmp_path, name="table.csv")
    assert {key: value for key, value in found.source.items() if key != "path"} == told
    assert found.time.sure is sure
    assert "read as" in found.time.reason
    assert found.rehearsal is not None
    assert found.rehearsal.problems == ()
    assert parse_spec(to_yaml(found, "new")).data.source == source_from(dict(found.source))


def test_days_that_may_be_months_are_a_guess(tmp_path: Path) -> None:
    frame = tables.churn(1200, days=10)
    frame["signup_time"] = frame["signup_time"].dt.strftime("%d/%m/%Y %H:%M")
    found = proposed(frame, tmp_path, name="table.csv")
    assert not found.time.sure
    assert "A GUESS" in to_yaml(found, "new")


def test_copies_of_rows_leave_no_key_and_are_counted(tmp_path: Path) -> None:
    frame = tables.churn(300).drop(columns=["customer_id", "note"])
    with pytest.raises(DataError, match="300 of 600 rows are whole copies"):
        proposed(pd.concat([frame, frame]), tmp_path)


def test_codes_of_digits_stay_text_and_padded_numbers_stay_numbers(tmp_path: Path) -> None:
    frame = tables.churn()
    frame["branch_id"] = [f"{number % 40:05d}" for number in range(len(frame))]
    frame["month"] = frame["signup_time"].dt.strftime("%m")
    found = proposed(frame, tmp_path, name="table.csv")
    assert list(found.codes) == ["branch_id"]
    assert found.document()["data"]["source"]["types"] == {"branch_id": "text"}
    assert found.rehearsal is not None
    assert found.rehearsal.candidate is not None
    roles = {one.name: one.role for one in found.rehearsal.candidate.features}
    assert (roles["branch_id"], roles["month"]) == ("categorical", "numeric")
    text = to_yaml(found, "airflow mlops new m --from table.csv")
    assert "# branch_id: named as a code, and begins with zeros" in text
    assert parse_spec(text).fingerprint == found.spec().fingerprint


def test_codes_of_digits_in_the_key_need_no_word(tmp_path: Path) -> None:
    frame = tables.churn()
    frame["customer_id"] = [f"{number:06d}" for number in range(len(frame))]
    found = proposed(frame, tmp_path, name="table.csv")
    assert (found.key.columns, dict(found.codes)) == (("customer_id",), {})
    assert "types" not in found.document()["data"]["source"]
