"""Reading files, text and mappings: paths that are resolved, what is refused, and the way out and in again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.spec import ReasonCode, SpecError, load_spec, parse_spec
from airflow_mlops.spec.data import FileSource, SqlSource
from airflow_mlops.spec.metrics import METRICS
from airflow_mlops.spec.value_checks import PRESETS
from tests.spec.samples import RAW, TEN_LINES


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + TEN_LINES.encode())
    assert load_spec(file) == load_spec(str(file)) == parse_spec(TEN_LINES)


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


def test_problems_of_a_mapping_are_all_told() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec({**RAW, "ownr": 1, "gate": {"primary": "nope"}, "features": {"numeric": ["late"]}}, where="form")
    assert {p.field for p in caught.value.problems} == {"ownr", "gate.primary", "features.numeric"}
    assert {p.where for p in caught.value.problems} == {"form"}


@pytest.mark.parametrize("data", [None, 7, "x: [", []])
def test_what_is_no_specification_at_all(data: Any) -> None:
    with pytest.raises(SpecError):
        parse_spec(data)


names = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)
words = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
instants = st.datetimes(datetime(1900, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))
durations = st.builds("{}{}".format, st.integers(1, 60), st.sampled_from("smhdw"))
numbers = st.integers(-(2**63) + 1, 2**63 - 1)
plain = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | words,
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
            "start": draw(instants.map(datetime.isoformat)),
            "timezone": draw(st.sampled_from(["UTC", "Europe/Berlin"])),
        },
        "data": {"source": draw(sources), "time": time, "label": label, "key": key, "window": "900d"},
        "features": {"numeric": features[:2], "categorical": features[2:], "exclude": []},
        "validation": draw(
            st.lists(
                st.builds(
                    lambda column, low, level: {"expect": "between", "column": column, "min": low, "severity": level},
                    st.sampled_from(columns), numbers, st.sampled_from(["error", "warning"]),
                ),
                max_size=2,
            )
        ),
        "training": {
            "estimator": "sklearn.linear_model.LogisticRegression",
            "parameters": draw(st.dictionaries(words.filter(lambda name: name != "~"), plain, max_size=3)),
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


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "no_such_file.yaml")
    assert caught.value.problems[0].found == "no such file"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path)


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_text("name: x\n" + "# filler\n" * 40_000)
    with pytest.raises(SpecError, match="more than 256 kB") as caught:
        load_spec(huge)
    assert caught.value.problems[0].code is ReasonCode.SPEC_UNSAFE


@pytest.mark.parametrize("name", ["9" * 400, "é" * 200])
def test_a_query_of_a_name_that_no_file_can_have_is_no_file(tmp_path: Path, name: str) -> None:
    """The fuzzer's second find."""
    text = TEN_LINES.replace("{path: flights/}", f"{{conn_id: w, query: {name}.sql}}")
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(SpecError, match=r"data\.source\.query: found .*and no such file"):
        load_spec(tmp_path / "m.yaml")
