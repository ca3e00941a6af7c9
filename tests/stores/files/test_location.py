"""Paths and URIs."""

from __future__ import annotations

import pytest

from airflow_mlops.core.errors import DataError
from airflow_mlops.stores.files.store import FileStore


def test_an_object_store_without_its_package_or_scheme_is_refused() -> None:
    for uri, message in [
        ("gs://bucket/x", "apache-airflow-providers-google"),
        ("nope://x/y", "no file system for 'nope://'"),
    ]:
        with pytest.raises(DataError, match=message):
            FileStore(uri).schema()
