"""A bucket of its own for each test, by a proxy that may misbehave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.s3 import SMALL_RETRIES, S3Proxy, connect, s3_proxy


@pytest.fixture
def proxy(bucket: str, moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    with s3_proxy(moto) as state:
        connect(monkeypatch, "aws", state.address, **SMALL_RETRIES)
        yield state


@pytest.fixture
def name(bucket: str) -> str:
    return bucket.partition("@")[2]
