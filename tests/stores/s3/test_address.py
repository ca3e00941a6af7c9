"""Addresses and options of S3."""

from __future__ import annotations

import pytest

from airflow_mlops.config import open_configured_storage, s3_options
from airflow_mlops.core.errors import DataError
from airflow_mlops.stores.s3.address import S3Address, S3Options, s3_address


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("s3://b", S3Address(bucket="b")),
        ("s3://b/", S3Address(bucket="b")),
        ("S3A://c@b/x/y/", S3Address(bucket="b", key="x/y", conn_id="c", scheme="s3a")),
        ("s3://b/a@b/c d", S3Address(bucket="b", key="a@b/c d")),
        ("/srv/s3://b", None),
        ("gs://b/x", None),
    ],
)
def test_an_address_is_read(uri: str, found: S3Address | None) -> None:
    assert s3_address(uri) == found


def test_the_connection_of_an_address_comes_before_the_one_beside_it() -> None:
    assert s3_address("s3://c@b/x", conn_id="other") == S3Address(bucket="b", key="x", conn_id="c")
    assert s3_address("s3://b/x", conn_id="other") == S3Address(bucket="b", key="x", conn_id="other")


def test_options_are_read_from_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3_options() == S3Options()
    monkeypatch.setenv("AIRFLOW__MLOPS__S3_ENCRYPTION", "aws:kms")
    monkeypatch.setenv("AIRFLOW__MLOPS__S3_KMS_KEY_ID", "alias/x")
    monkeypatch.setenv("AIRFLOW__MLOPS__S3_BUCKET_OWNER", "123456789012")
    assert s3_options() == S3Options(encryption="aws:kms", kms_key_id="alias/x", bucket_owner="123456789012")
    assert open_configured_storage("s3://bucket/x").root == "s3://bucket/x"


def test_every_wrong_option_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MLOPS__S3_ENCRYPTION", "rot13")
    monkeypatch.setenv("AIRFLOW__MLOPS__S3_KMS_KEY_ID", "alias/x")
    monkeypatch.setenv("AIRFLOW__MLOPS__S3_BUCKET_OWNER", "12")
    with pytest.raises(DataError) as caught:
        open_configured_storage("s3://bucket/x")
    assert [problem.field for problem in caught.value.problems] == [
        "[mlops] s3_encryption",
        "[mlops] s3_kms_key_id",
        "[mlops] s3_bucket_owner",
    ]
