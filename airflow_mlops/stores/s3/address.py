"""Where something is in S3, and how what is written there is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_mlops.core.errors import DataError
from airflow_mlops.spec.problems import Problem, ReasonCode

SCHEMES = ("s3", "s3a", "s3n")
ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")


@dataclass(frozen=True, kw_only=True)
class S3Address:
    """A bucket, and a prefix of it or an object in it, by a connection of Airflow."""

    bucket: str
    key: str = ""
    conn_id: str | None = None
    scheme: str = "s3"

    @property
    def root(self) -> str:
        """URI of the bucket, with its connection.

        >>> S3Address(bucket="b", key="x/y", conn_id="aws").root, S3Address(bucket="b").root
        ('s3://aws@b', 's3://b')
        """
        return f"{self.scheme}://{f'{self.conn_id}@' if self.conn_id else ''}{self.bucket}"

    def uri(self, key: str) -> str:
        """URI of an object of the bucket; of the bucket itself, for no name."""
        return f"{self.root}/{key}" if key else self.root


def s3_address(uri: str, *, conn_id: str | None = None) -> S3Address | None:
    """Read a URI; None if it is of another scheme.

    Parameters
    ----------
    conn_id
        Connection, where the URI has none.

    Examples
    --------
    >>> s3_address("s3://aws_default@bucket/mlops/")
    S3Address(bucket='bucket', key='mlops', conn_id='aws_default', scheme='s3')
    >>> s3_address("gs://bucket/mlops") is None
    True
    """
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme.lower() not in SCHEMES:
        return None
    place, _, key = rest.partition("/")
    named, _, bucket = place.rpartition("@")
    return S3Address(bucket=bucket, key=key.strip("/"), conn_id=named or conn_id, scheme=scheme.lower())


@dataclass(frozen=True, kw_only=True)
class S3Options:
    """What an operator asks of a bucket that is written to."""

    encryption: str = ""
    """One of ENCRYPTIONS; empty: the bucket's own default."""
    kms_key_id: str = ""
    """Key of AWS KMS, by its id, ARN or alias; empty: the account's own key for S3."""
    bucket_owner: str = ""
    """Account that must own the bucket; empty: any."""

    def require_sound(self) -> None:
        """Refuse options that no bucket takes.

        Raises
        ------
        DataError
            With every one of them.

        Examples
        --------
        >>> S3Options(encryption="aws:kms", bucket_owner="123456789012").require_sound()
        >>> S3Options(bucket_owner="me").require_sound()
        Traceback (most recent call last):
        airflow_mlops.core.errors.DataError: [mlops] s3_bucket_owner: found 'me'; allowed: an AWS account's 12 digits...
        """
        problems = []
        if self.encryption and self.encryption not in ENCRYPTIONS:
            problems.append(_wrong("s3_encryption", self.encryption, f"one of {', '.join(ENCRYPTIONS)}, or nothing"))
        if self.kms_key_id and not self.encryption.startswith("aws:kms"):
            problems.append(_wrong("s3_kms_key_id", self.kms_key_id, "a key where s3_encryption is aws:kms"))
        if self.bucket_owner and not re.fullmatch(r"\d{12}", self.bucket_owner):
            problems.append(_wrong("s3_bucket_owner", self.bucket_owner, "an AWS account's 12 digits, or nothing"))
        if problems:
            raise DataError(problems)


PLAIN = S3Options()
"""Nothing is asked of a bucket."""


def _wrong(option: str, found: str, allowed: str) -> Problem:
    return Problem(
        code=ReasonCode.SPEC_INVALID_VALUE,
        field=f"[mlops] {option}",
        found=f"'{found}'",
        allowed=allowed,
        fix="correct Airflow's configuration, section [mlops]",
    )
