"""Policies of docs/iam: each allows what the package does in S3, and nothing that it does not need.

A server that asks its own IAM before each request (moto) is used with the policy's user. Conditions, which it does not
read, are held against the requests that a proxy saw.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote
from uuid import uuid4

import boto3
import pytest
import requests

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.stores.change_token import file_change_token
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.s3 import LOGIN, PASSWORD, Answer, Asked, boto, connect, s3_proxy

pytestmark = pytest.mark.server
IAM = Path(__file__).parents[1] / "docs" / "iam"
LARGE = "x" * (9 << 20)


def policy(name: str, bucket: str) -> dict[str, Any]:
    """A policy of the documentation, for another bucket."""
    text = (IAM / f"{name}-policy.json").read_text()
    found: dict[str, Any] = json.loads(
        text.replace(":::my-bucket", f":::{bucket}").replace(":::my-data", f":::{bucket}")
    )
    return found


def actions(of: dict[str, Any]) -> list[str]:
    return [action for one in of["Statement"] for action in listed(one["Action"])]


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def without(of: dict[str, Any], action: str) -> dict[str, Any]:
    kept = [{**one, "Action": [a for a in listed(one["Action"]) if a != action]} for one in of["Statement"]]
    return {**of, "Statement": [one for one in kept if one["Action"]]}


def user(moto: str, held: dict[str, Any]) -> tuple[str, str]:
    """Make a user who may do what a policy says; return the keys."""
    session = boto3.session.Session(LOGIN, PASSWORD, region_name="us-east-1")
    iam = session.client("iam", endpoint_url=moto)
    name = f"u{uuid4().hex}"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(held))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


@contextmanager
def asking_iam(moto: str) -> Iterator[None]:
    before = requests.post(f"{moto}/moto-api/reset-auth", data="0", timeout=10).json()
    try:
        yield
    finally:
        count = before["PREVIOUS_INITIAL_NO_AUTH_ACTION_COUNT"]
        requests.post(f"{moto}/moto-api/reset-auth", data=count, timeout=10).raise_for_status()


def write_and_read(root: str) -> None:
    """Everything that a storage does."""
    storage = open_storage(f"{root}/mlops")
    for name, text in (("small", "x"), ("large", LARGE)):
        storage.write_text(f"a/{name}", text)
        storage.move(f"a/{name}", f"b/{name}")
        storage.write_text(f"a/{name}", text)
        storage.move(f"a/{name}", f"b/{name}")
        assert storage.read_text(f"b/{name}") == text
        assert not storage.exists(f"a/{name}")
        storage.delete(f"a/{name}")
    assert storage.names("b") == ("large", "small")
    assert storage.folders("") == ("b",)


def read_source(root: str) -> None:
    """Everything that is done with a source."""
    for path in ("orders", "orders/a.csv"):
        FileStore(f"{root}/{path}").schema()
        file_change_token(f"{root}/{path}")


DOES: dict[str, Callable[[str], None]] = {"storage": write_and_read, "source": read_source}


@pytest.fixture
def name(bucket: str, moto: str) -> str:
    name = bucket.partition("@")[2]
    boto(moto).put_object(Bucket=name, Key="orders/a.csv", Body=b"t,x\n2024-01-01T00:00:00Z,1\n")
    return name


@pytest.mark.parametrize("kind", DOES)
def test_a_policy_allows_what_is_done_and_needs_each_action(
    kind: str, name: str, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = policy(kind, name)
    needed = [action for action in actions(whole) if action not in NOT_ASKED]
    assert len(needed) >= 2
    keys = {action: user(moto, without(whole, action)) for action in ("", *needed)}
    with asking_iam(moto):
        for action, (login, password) in keys.items():
            connection = {"endpoint_url": moto, "region_name": "us-east-1"}
            known = {"conn_type": "aws", "login": login, "password": password, "extra": connection}
            monkeypatch.setenv("AIRFLOW_CONN_USER", json.dumps(known))
            if not action:
                DOES[kind](f"s3://user@{name}")
                continue
            with pytest.raises(StoreUnavailableError, match="access is denied"):
                DOES[kind](f"s3://user@{name}")


NOT_ASKED = frozenset({"s3:AbortMultipartUpload"})
"""What is done only where something fails, or what the server does not ask its IAM about."""


ACTIONS = {
    "HEAD": "s3:GetObject",
    "GET": "s3:GetObject",
    "PUT": "s3:PutObject",
    "POST": "s3:PutObject",
    "DELETE": "s3:DeleteObject",
}


def asked_for(asked: Asked) -> tuple[str, str, str]:
    """Action, resource and prefix of a request, by https://docs.aws.amazon.com/AmazonS3/latest/API."""
    query = parse_qs(asked.query, keep_blank_values=True)
    bucket, _, key = unquote(asked.path).lstrip("/").partition("/")
    if not key:
        assert (asked.method, query["list-type"]) == ("GET", ["2"])
        return "s3:ListBucket", f"arn:aws:s3:::{bucket}", query["prefix"][0]
    action = "s3:AbortMultipartUpload" if asked.method == "DELETE" and "uploadId" in query else ACTIONS[asked.method]
    return action, f"arn:aws:s3:::{bucket}/{key}", ""


def allows(held: dict[str, Any], action: str, resource: str, prefix: str) -> bool:
    for one in held["Statement"]:
        prefixes = one.get("Condition", {}).get("StringLike", {}).get("s3:prefix", ["*"])
        if (
            action in listed(one["Action"])
            and any(fnmatch.fnmatchcase(resource, pattern) for pattern in listed(one["Resource"]))
            and any(fnmatch.fnmatchcase(prefix, pattern) for pattern in prefixes)
        ):
            return True
    return False


@pytest.mark.parametrize("kind", DOES)
def test_every_request_is_one_that_the_policy_allows(
    kind: str, name: str, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With places and prefixes; and each action is used by some request, also where something fails."""
    held = policy(kind, name)
    with s3_proxy(moto) as proxy:
        connect(monkeypatch, "aws", proxy.address)
        DOES[kind](f"s3://aws@{name}")
        refused = Answer(status=403, code="AccessDenied")
        proxy.treat = lambda asked: refused if "partNumber=" in asked.query else None
        if kind == "storage":
            with pytest.raises(StoreUnavailableError):
                open_storage(f"s3://aws@{name}/mlops").write_text("c", LARGE)
        asked = {asked_for(one) for one in proxy.asked}
    assert [one for one in asked if not allows(held, *one)] == []
    assert {action for action, _, _ in asked} == set(actions(held))


def test_the_rule_for_uploads_of_killed_tasks_is_one_that_s3_takes(name: str, moto: str) -> None:
    rule = json.loads((IAM / "lifecycle.json").read_text())
    boto(moto).put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=rule)
    assert boto(moto).get_bucket_lifecycle_configuration(Bucket=name)["Rules"][0]["Filter"] == {"Prefix": "mlops/"}


@pytest.mark.parametrize("file", sorted(IAM.glob("*-policy.json")), ids=lambda file: file.stem)
def test_no_policy_allows_everything_of_something(file: Path) -> None:
    held = json.loads(file.read_text())
    assert held["Version"] == "2012-10-17"
    assert len(held["Statement"]) >= 1
    for one in held["Statement"]:
        assert one["Effect"] == "Allow"
        assert not any("*" in action for action in listed(one["Action"]))
        assert "*" not in listed(one["Resource"])
        # What names a whole bucket, or a key, is bound to a prefix, or to S3.
        assert "Condition" in one or all("/" in resource for resource in listed(one["Resource"]))
