"""Reading a specification: short forms, YAML's traps, the object in Python, overrides, fingerprint."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from airflow_mlops.spec import ModelSpec, ReasonCode, SpecError, apply_overrides, load_spec, parse_spec
from airflow_mlops.spec.data import FileSource, SqlSource, source_from
from airflow_mlops.spec.gate import GateSpec
from airflow_mlops.spec.metrics import METRICS
from airflow_mlops.spec.model import ScheduleSpec
from airflow_mlops.spec.overrides import LOCKED
from airflow_mlops.spec.training import TrainingSpec
from airflow_mlops.spec.types import format_duration, parse_duration
from airflow_mlops.spec.validation import Expectation
from airflow_mlops.spec.value_checks import PRESETS
from airflow_mlops.spec.yaml_lines import plain_scalar

TEN_LINES = """\
name: flight_delay
owner: ops-analytics
schedule: "@monthly"
data:
  source: {path: flights/}
  time: departure
  key: flight_id
  label: late
training:
  estimator: sklearn.linear_model.LogisticRegression
"""
RAW: dict[str, Any] = {
    "name": "flight_delay",
    "owner": "ops-analytics",
    "schedule": "@monthly",
    "data": {"source": {"path": "flights/"}, "time": "departure", "key": "flight_id", "label": "late"},
    "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
}


def with_lines(text: str) -> ModelSpec:
    return parse_spec(TEN_LINES + text)


def test_ten_lines_are_enough() -> None:
    spec = parse_spec(TEN_LINES)
    assert spec == ModelSpec.model_validate(RAW) == ModelSpec(**RAW)
    assert (spec.data.key, spec.schedule.cron, spec.risk_tier) == (("flight_id",), "@monthly", "medium")
    assert (spec.data.window, spec.gate.holdout) == (timedelta(days=90), timedelta(days=14))
    assert (spec.registered_model, spec.experiment) == ("flight_delay", "flight_delay")
    assert isinstance(spec.data.source, FileSource)


def test_built_from_parts_in_python() -> None:
    parts = ModelSpec.model_validate(
        {
            **RAW,
            "schedule": ScheduleSpec(cron="@monthly"),
            "training": TrainingSpec(estimator=RAW["training"]["estimator"]),
        }
    )
    assert parts == ModelSpec.model_validate(RAW)
    assert hash(parts) == hash(ModelSpec.model_validate(RAW))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"), ("NO", "NO"), ("on", "on"), ("y", "y"), ("12:30", "12:30"), ("2013-03-01", "2013-03-01"),
        ("1e-3", 0.001), ("1E5", 100000.0), (".5", 0.5), ("1.", 1.0), ("-7", -7), ("+7", 7), ("010", 10),
        ("0x1F", 31), ("0o17", 15), ("1_000", "1_000"), ("~", None), ("null", None), ("TRUE", True), ("false", False),
        ("1.2.3", "1.2.3"), ("-", "-"), ("e5", "e5"), ("1e", "1e"), ("٣", "٣"), ("inf", "inf"), ("0xZZ", "0xZZ"),
        ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_plain_scalars_follow_yaml_1_2(written: str, meant: Any) -> None:
    assert plain_scalar(written) == meant
    assert type(plain_scalar(written)) is type(meant)


def test_quoted_scalars_are_text() -> None:
    spec = with_lines('  parameters: {a: "1", b: 1, c: \'true\', d: true, e: ~, f: [1e-3, "x"]}\n')
    assert spec.training.parameters == {"a": "1", "b": 1, "c": "true", "d": True, "e": None, "f": [0.001, "x"]}


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + TEN_LINES.encode())
    assert load_spec(file) == load_spec(str(file)) == parse_spec(TEN_LINES)


def test_dates_without_a_zone_are_read_in_the_schedules() -> None:
    raw = {
        **RAW,
        "schedule": {"start": "2013-03-01", "end": "2013-04-01T00:00:00+00:00", "timezone": "America/New_York"},
    }
    schedule = ModelSpec.model_validate(raw).schedule
    assert schedule.start == datetime(2013, 3, 1, tzinfo=ZoneInfo("America/New_York"))
    assert schedule.end == datetime(2013, 4, 1, tzinfo=UTC)


def test_a_query_file_is_found_beside_the_specification(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "flights.sql").write_text("SELECT 1")
    file = tmp_path / "spec.yaml"
    file.write_text(TEN_LINES.replace("{path: flights/}", "{conn_id: warehouse, query: sql/flights.sql}"))
    source = load_spec(file).data.source
    assert isinstance(source, SqlSource)
    assert source.query == str((tmp_path / "sql" / "flights.sql").resolve())


def test_sql_text_and_data_paths_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(
        TEN_LINES.replace("{path: flights/}", "{conn_id: w, query: 'select * from a.sql where t < :window_end'}")
    )
    source = load_spec(file).data.source
    assert isinstance(source, SqlSource)
    assert source.query == "select * from a.sql where t < :window_end"
    file.write_text(TEN_LINES)
    assert load_spec(file).data.source == FileSource(path="flights/")


@pytest.mark.parametrize("path", ["s3://bucket/key/", "s3://conn@bucket/key", "/data/a@b:c/", "C:/data"])
def test_addresses_without_a_password_are_kept(path: str) -> None:
    assert FileSource(path=path).path == path


@pytest.mark.parametrize("source", [{"path": "x/", "format": "csv"}, {"conn_id": "w", "table": "t"}])
def test_a_source_survives_a_trigger(source: dict[str, Any]) -> None:
    made = source_from(source)
    assert source_from(made.model_dump(mode="json")) == made


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(preset: str) -> None:
    assert ScheduleSpec(cron=preset).cron == preset


@pytest.mark.parametrize("cron", ["* * * * *", "0 6 * * 1-5", "*/15 0-6/2 1,15 jan-mar MON,wed", "0 0 31 12 7"])
def test_cron_expressions(cron: str) -> None:
    assert ScheduleSpec(cron=cron).cron == cron


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *",
             "*/0 * * * *", "a * * * *", "1- * * * *", "5/2 * * * *", "@reboot", "1,,2 * * * *", "0 0 1 1 1 1"]
)  # fmt: skip
def test_broken_cron_expressions(cron: str) -> None:
    with pytest.raises(SpecError):
        ScheduleSpec(cron=cron)


@given(st.integers(0, 36525 * 86400))
def test_durations_round_trip(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


def test_a_part_is_a_frozen_value() -> None:
    spec = parse_spec(TEN_LINES)
    with pytest.raises(AttributeError, match="frozen"):
        spec.name = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del spec.name
    assert pickle.loads(pickle.dumps(spec)) == copy.deepcopy(spec) == copy.copy(spec) == spec
    assert copy.deepcopy(spec).model_fields_set == {"name", "owner", "schedule", "data", "training"}
    assert spec != GateSpec()
    assert "TrainingSpec(estimator='sklearn.linear_model.LogisticRegression')" in repr(spec)


def test_a_part_is_a_field_type_for_pydantic() -> None:
    adapter = TypeAdapter(list[GateSpec])
    assert adapter.validate_python([{"holdout": "7d"}])[0].holdout == timedelta(days=7)


def test_copies_are_validated() -> None:
    spec = parse_spec(TEN_LINES)
    copied = spec.model_copy(update={"gate": {"holdout": "7d"}})
    assert (copied.gate.holdout, copied.training) == (timedelta(days=7), spec.training)
    with pytest.raises(SpecError, match=r"data.window"):
        spec.model_copy(update={"gate": GateSpec(holdout=timedelta(days=90))})


def test_defaults_are_not_shared() -> None:
    first, second = parse_spec(TEN_LINES), parse_spec(TEN_LINES)
    first.training.parameters["C"] = 2
    assert second.training.parameters == {}
    assert parse_spec(TEN_LINES).training.parameters == {}


def test_extra_arguments_of_an_expectation_are_plain() -> None:
    expectation = Expectation.model_validate({"expect": "expect_x", "column": "a", "value_set": (1, "b")})
    assert (expectation.arguments, expectation.targets) == ({"value_set": [1, "b"]}, ("a",))
    with pytest.raises(SpecError, match="a datetime"):
        Expectation.model_validate({"expect": "expect_x", "min_value": datetime(2013, 1, 1, tzinfo=UTC)})


def test_parameters_are_plain() -> None:
    with pytest.raises(SpecError, match=r"training.parameters.estimator: found a TrainingSpec"):
        parse_spec({**RAW, "training": {**RAW["training"], "parameters": {"estimator": TrainingSpec(estimator="a.B")}}})


def test_problems_of_a_mapping_are_all_told() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec({**RAW, "ownr": 1, "gate": {"primary": "nope"}, "features": {"numeric": ["late"]}}, where="form")
    assert {p.field for p in caught.value.problems} == {"ownr", "gate.primary", "features.numeric"}
    assert {p.where for p in caught.value.problems} == {"form"}


@pytest.mark.parametrize("data", [None, 7, "x: [", []])
def test_what_is_no_specification_at_all(data: Any) -> None:
    with pytest.raises(SpecError):
        parse_spec(data)


# -- overrides ------------------------------------------------------------------------------------------------


def test_overrides_replace_values_at_paths() -> None:
    spec = with_lines("  parameters: {C: 1.0, class_weight: [{0: 1}]}\n")
    other = apply_overrides(
        spec,
        {
            "training.parameters.max_iter": 50,
            "training.search.parameters": {"tol": [0.1, 0.2]},
            "training.parameters.class_weight.0": "balanced",
            "data.window": "30d",
            "schedule": "@daily",
        },
    )
    assert other.training.parameters == {"C": 1.0, "class_weight": ["balanced"], "max_iter": 50}
    assert other.training.search is not None
    assert other.data.window.days == 30
    assert other.schedule.cron == "@daily"
    assert spec.training.parameters["C"] == 1.0
    assert "max_iter" not in spec.training.parameters
    assert apply_overrides(spec, {}) == spec


@pytest.mark.parametrize("path", LOCKED)
def test_locked_fields_stay(path: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides(parse_spec(TEN_LINES), {path: "other.Thing"})
    assert [(p.field, p.found) for p in caught.value.problems] == [(path, "an override")]


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"tracking.conn_id": "elsewhere"}, "tracking"),
        ({"data.source.path": "/etc"}, "data.source"),
        ({"training": {"estimator": "subprocess.Popen"}}, "training.estimator"),
        ({"training": {**RAW["training"], "format": "cloudpickle"}}, "training.format"),
        ({"data": {**RAW["data"], "source": {"path": "/etc"}}}, "data.source"),
        ({"promotion": {"registered_model": "other"}}, "promotion"),
    ],
)
def test_locked_fields_stay_by_any_path(overrides: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides(parse_spec(TEN_LINES), overrides)
    assert [p.field for p in caught.value.problems] == [field]


def test_every_problem_of_overrides_is_told() -> None:
    with pytest.raises(SpecError, match="overrides of flight_delay") as caught:
        apply_overrides(
            parse_spec(TEN_LINES),
            {"name": "x", "scoring.windw": "1d", "scoring.chunk_rows": 0, "owner.first": 1, "training.search.folds": 1},
        )
    assert {"name", "scoring.windw", "scoring.chunk_rows", "owner.first", "training.search.folds"} <= {
        p.field for p in caught.value.problems
    }
    assert "did you mean 'window'?" in str(caught.value)


@pytest.mark.parametrize("overrides", ["gate.primary", ["gate"], 7])
def test_overrides_are_a_mapping(overrides: Any) -> None:
    with pytest.raises(SpecError, match="a mapping of dotted paths"):
        apply_overrides(parse_spec(TEN_LINES), overrides)


# -- fingerprint ----------------------------------------------------------------------------------------------


def changed(spec: ModelSpec, path: str, value: Any) -> ModelSpec:
    """The specification as its owner would write it with another value: nothing is locked for the owner."""
    data = spec.model_dump(mode="json", exclude_unset=True)
    place = data
    *parents, last = path.split(".")
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return ModelSpec.model_validate(data)


@pytest.mark.parametrize(
    ("path", "value", "changes"),
    [
        ("training.parameters.C", 2.0, True),
        ("training.seed", 1, True),
        ("data.window", "30d", True),
        ("features.exclude", ["tail"], True),
        ("gate.holdout", "7d", True),
        ("gate.primary", "roc_auc", False),
        ("owner", "others", False),
        ("risk_tier", "high", False),
        ("schedule", "@daily", False),
        ("validation", [{"expect": "row_count", "min": 1}], False),
        ("execution.retries", 0, False),
    ],
)
def test_the_fingerprint_covers_what_changes_the_model(path: str, value: Any, changes: bool) -> None:
    assert (changed(parse_spec(TEN_LINES), path, value).fingerprint != parse_spec(TEN_LINES).fingerprint) is changes


def test_the_metric_that_a_search_chooses_by_is_in_the_fingerprint() -> None:
    spec = with_lines("  search: {parameters: {C: [1, 2]}}\n")
    assert changed(spec, "gate.primary", "roc_auc").fingerprint != spec.fingerprint


def test_the_fingerprint_knows_no_folder_of_a_query_file() -> None:
    def fingerprint(query: str) -> str:
        return parse_spec({**RAW, "data": {**RAW["data"], "source": {"conn_id": "w", "query": query}}}).fingerprint

    assert fingerprint("/here/flights.sql") == fingerprint("/there/flights.sql") != fingerprint("/here/other.sql")


# -- round trip -----------------------------------------------------------------------------------------------

names = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)
words = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
durations = st.builds("{}{}".format, st.integers(1, 60), st.sampled_from("smhdw"))
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
classification = st.sampled_from([name for name, metric in METRICS.items() if metric.kind == "classification"])
sources = st.one_of(
    st.fixed_dictionaries({"path": names}, optional={"format": st.sampled_from(["csv", "parquet"])}),
    st.fixed_dictionaries({"conn_id": names, "table": words}),
    st.fixed_dictionaries({"conn_id": names, "query": words}),
)


@st.composite
def raw_specs(draw: st.DrawFn) -> dict[str, Any]:
    columns = draw(st.lists(words.map(str.strip).filter(bool), min_size=6, max_size=9, unique=True))
    time, label, key, *features = columns
    return {
        "name": draw(names),
        "owner": draw(words),
        "description": draw(words),
        "risk_tier": draw(st.sampled_from(["low", "medium", "high"])),
        "schedule": {
            "cron": draw(st.sampled_from([None, *PRESETS, "0 6 * * 1"])),
            "start": draw(st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)),
            "timezone": draw(st.sampled_from(["UTC", "Europe/Berlin"])),
        },
        "data": {"source": draw(sources), "time": time, "label": label, "key": key, "window": "900d"},
        "features": {"numeric": features[:2], "categorical": features[2:], "exclude": []},
        "validation": draw(
            st.lists(
                st.builds(
                    lambda column, low, level: {"expect": "between", "column": column, "min": low, "severity": level},
                    st.sampled_from(columns), st.integers(), st.sampled_from(["error", "warning"]),
                ),
                max_size=2,
            )
        ),
        "training": {
            "estimator": "sklearn.linear_model.LogisticRegression",
            "parameters": draw(st.dictionaries(words, plain, max_size=3)),
            "seed": draw(st.integers(0, 2**32 - 1)),
            "search": draw(
                st.none()
                | st.sampled_from(["grid", "random"]).map(lambda m: {"method": m, "parameters": {"~": [1, None]}})
            ),
        },
        "gate": {
            "primary": draw(classification),
            "holdout": "420d",
            "champion": {"block": draw(st.none() | st.just("3d"))},
        },
        "execution": {"timeout": draw(durations), "retry_delay": draw(durations)},
    }  # fmt: skip


class Quoting(yaml.SafeDumper):
    """Quotes every text, as YAML 1.1's rules for plain scalars are not ours."""


Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@given(raw_specs())
def test_a_specification_survives_its_own_yaml(raw: dict[str, Any]) -> None:
    spec = parse_spec(raw)
    for exclude_unset in (False, True):
        dumped = spec.model_dump(mode="json", exclude_unset=exclude_unset)
        again = parse_spec(yaml.dump(dumped, Dumper=Quoting, allow_unicode=True))
        assert again == spec
        assert again.fingerprint == spec.fingerprint
    assert parse_spec(json.loads(spec.model_dump_json())) == spec
    assert parse_spec(spec.model_dump()) == spec


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_refused_or_read(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(raw)
    with pytest.raises(SpecError) as caught:
        load_spec(file)
    assert caught.value.problems


@given(plain)
def test_any_plain_value_is_refused_with_problems(value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec({**RAW, "gate": {"oops": value}, "owner": [value]})
    assert {p.field for p in caught.value.problems} == {"gate.oops", "owner"}
    assert all(p.code in ReasonCode for p in caught.value.problems)
