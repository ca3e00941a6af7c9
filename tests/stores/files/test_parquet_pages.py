"""Bytes that say that they are a page's header. That a lying one is refused by file and column: test_parquet_limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.stores.files.compact_protocol import CompactReader


@given(st.binary(max_size=60))
def test_any_bytes_are_a_struct_or_refused(raw: bytes) -> None:
    try:
        found = CompactReader(raw).struct()
    except (IndexError, ValueError):
        return
    assert isinstance(found, dict)
