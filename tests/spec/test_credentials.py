"""Credentials have no place in a specification, in whatever form the syntax of addresses lets them be written."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.spec import ModelSpec, SpecError, apply_overrides, parse_spec
from airflow_mlops.spec.credentials import holds_credentials
from airflow_mlops.spec.data import FileSource
from tests.spec.samples import RAW

SECRET_PLACES = [
    "s3://AKIA:CANARY@bucket/x",
    "s3://AKIA:wJalrXUt/CANARY@bucket/x",
    "s3://u%3ACANARY@b/x",
    "s3://u%253ACANARY@b/x",
    "s3://:CANARY@b/x",
    "s3://u:CAN%40ARY@b/x",
    "s3://u:CA\nNARY@b",
    "s3:\\\\u:CANARY@b",
    "s3:/u:CANARY@b/x",
    "u:CANARY@h/x",
    "//u:CANARY@h/x",
    "//CANARY@h/x",
    "file://u:CANARY@h/x",
    "https://CANARY@h/x",
    "HTTPS://U:CANARY@h",
    "https://u:123/CANARY@h/x",
    "https://[u:CANARY@::1]/x",
    "s3\uff1a\uff0f\uff0fu\uff1aCANARY\uff20b/x",
    "https%3A%2F%2Fu%3ACANARY%40h",
    "https%253A%252F%252Fu%253ACANARY%2540h",
    "postgresql+psycopg2://u:CANARY@h/db",
    "https://h/x.parquet?X-Amz-Signature=CANARY",
    "https://h/x?a=1&%73ig=CANARY",
    "abfs://c@a.dfs.core.windows.net/x?sig=CANARY",
    "https://h/x#access_token=CANARY",
    "https://h/x;password=CANARY",
    "s3://AKIACANARYCANARY1234@b/x",
    "s3://ghp_CANARYabcdefghijklmnop@b/x",
]


@pytest.mark.parametrize("path", SECRET_PLACES)
def test_a_place_with_a_secret_is_refused_and_not_shown(path: str) -> None:
    raw = {**RAW, "data": {**RAW["data"], "source": {"path": path}}}
    for make in (lambda: parse_spec(raw), lambda: ModelSpec.model_validate(raw)):
        with pytest.raises(SpecError, match=r"data\.source\.path") as caught:
            make()
        assert "CANARY" not in f"{caught.value} {caught.value!r}"
    with pytest.raises(SpecError) as caught:
        FileSource.model_validate({"path": path})
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "data/flights/",
        "s3://aws_default@bucket/flights",
        "s3://my-conn.id@bucket/flights",
        "s3://bucket/day=2026-01-01T00:00:00/a@b.parquet",
        "s3://bucket/token=1/key=2/x.parquet",
        "file:///srv/x",
        "abfs://container@account.dfs.core.windows.net/x",
        "hdfs://nn:8020/x",
        "s3://b/a%20b",
        "data/a b (1).csv",
        "~/x",
        "memory://f1/x",
    ],
)
def test_a_place_without_one_is_taken(path: str) -> None:
    assert FileSource.model_validate({"path": path}).path == path


WHEREVER: dict[str, dict[str, Any]] = {
    "description": {"description": "rows of https://ada:CANARY@h/x"},
    "a signature without a host": {"description": "rows of exports/k?sig=CANARY"},
    "limitations": {"limitations": ["ghp_CANARYabcdefghijklmnop"]},
    "owner": {"owner": "https://ada:CANARY@h"},
    "a parameter": {"training": {**RAW["training"], "parameters": {"a": {"b": ["x", "https://ada:CANARY@h"]}}}},
    "a name of a parameter": {"training": {**RAW["training"], "parameters": {"https://ada:CANARY@h": 1}}},
    "an expectation": {"validation": [{"expect": "in_set", "column": "late", "values": ["AKIACANARYCANARY1234"]}]},
    "the experiment": {"tracking": {"experiment": "https://ada:CANARY@h"}},
    "a query": {
        "data": {
            **RAW["data"],
            "source": {
                "conn_id": "w",
                "query": "SELECT * FROM f('http://ada:CANARY@h') WHERE a >= :window_start AND a < :window_end",
            },
        }
    },
    "an argument": {
        "notifications": [{"events": ["promoted"], "notifier": "airflow_mlops.notifications.LoopNotifier",
                           "arguments": {"conn_id": "x", "headers": {"Authorization": "CANARY"}}}]
    },
    "a basic header": {
        "notifications": [{"events": ["promoted"], "notifier": "airflow_mlops.notifications.LoopNotifier",
                           "arguments": {"conn_id": "x", "headers": {"X": "Basic CANARYx"}}}]
    },
}  # fmt: skip


@pytest.mark.parametrize("where", WHEREVER)
def test_a_secret_anywhere_in_a_specification_is_refused(where: str) -> None:
    raw = {**RAW, **WHEREVER[where]}
    for make in (lambda: parse_spec(raw), lambda: parse_spec(json.dumps(raw)), lambda: ModelSpec.model_validate(raw)):
        with pytest.raises(SpecError, match="spec_unsafe") as caught:
            make()
        assert "CANARY" not in str(caught.value)


def test_a_triggered_run_brings_none_either() -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides(parse_spec(RAW), {"training.parameters.x": "https://ada:CANARY@h"})
    assert "CANARY" not in str(caught.value)


def test_what_people_write_is_taken() -> None:
    query = "SELECT * FROM t WHERE token = 'a' AND password=1 AND a >= :window_start AND a < :window_end"
    told = {"notifier": "airflow_mlops.notifications.LoopNotifier", "events": ["promoted"]}
    spec = parse_spec(
        {
            **RAW,
            "data": {**RAW["data"], "source": {"conn_id": "w", "query": query}},
            "description": "See https://wiki.example.com/x?page=2; ask ada@example.com. 50 % of é\u0301.",
            "notifications": [{**told, "arguments": {"token": "{{ event.title }}", "conn_id": "x"}}],
        }
    )
    assert spec.data.source.model_dump()["query"] == query


letters = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)


@given(letters, letters, st.sampled_from(["s3", "https", "abfs", "postgresql"]), st.integers(0, 3))
def test_user_and_password_are_seen_whatever_letters_they_have(user: str, word: str, scheme: str, times: int) -> None:
    encoded = f"{quote(user, safe='')}:{quote(word, safe='')}"
    place = f"{scheme}://{encoded}@bucket/x"
    for _ in range(times):
        place = quote(place, safe="")
    assert holds_credentials(place, place=True)


def test_many_texts_cost_what_one_long_text_costs() -> None:
    columns = [f"c//é{number}" for number in range(20_000)]
    begun = time.process_time()
    parse_spec({**RAW, "features": {"numeric": columns}})
    assert time.process_time() - begun < 10  # half a second; looked at one by one, many
