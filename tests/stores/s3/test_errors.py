"""S3 that refuses, is busy, is elsewhere or is no S3: one sentence each, and whether trying again helps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from airflow_mlops.core.errors import DataError, StoreUnavailableError
from airflow_mlops.core.ports import Storage
from airflow_mlops.stores.change_token import file_change_token
from airflow_mlops.stores.files.store import FileStore
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.s3 import CUT, DROP, HANG, PASSWORD, SMALL_RETRIES, Answer, S3Proxy, connect, s3_proxy

pytestmark = pytest.mark.server
TOKEN = "FwoGZXIvYXdzEBY+TOKEN/0123456789"
PATIENCE = {"connect_timeout": 1, "read_timeout": 0.5, "retries": {"mode": "standard", "total_max_attempts": 1}}


@pytest.fixture
def proxy(bucket: str, moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    """A proxy before the bucket, by the connection `aws`, which carries a session token."""
    with s3_proxy(moto) as state:
        connect(monkeypatch, "aws", state.address, aws_session_token=TOKEN, **SMALL_RETRIES)
        yield state


@pytest.fixture
def storage(bucket: str, proxy: S3Proxy) -> Storage:
    return open_storage(f"s3://aws@{bucket.partition('@')[2]}/mlops")


def said(storage: Storage, doing: str) -> StoreUnavailableError:
    """Write, read or look at one name, and return the refusal; what it says has no secret and no signature."""
    looks = {
        "write": lambda: storage.write_text("a/b", "x"),
        "read": lambda: storage.read_text("a/b"),
        "exists": lambda: storage.exists("a/b"),
        "names": lambda: storage.names("a"),
        "move": lambda: storage.move("a/b", "a/c"),
        "delete": lambda: storage.delete("a/b"),
    }
    with pytest.raises(StoreUnavailableError) as caught:
        looks[doing]()
    chain: list[BaseException] = [caught.value]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    words = "\n".join(map(str, chain))
    assert not any(secret in words for secret in (PASSWORD, TOKEN, "X-Amz-Signature"))
    (problem,) = caught.value.problems
    assert problem.field == "[mlops] storage"
    assert problem.fix
    return caught.value


def refusals() -> dict[str, tuple[Answer, str, bool]]:
    """What S3 answers, what is said of it, and whether it lasts: as of now, because one is about the time."""
    hour_ago = {"Date": format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)}
    return {
        "denied": (Answer(status=403, code="AccessDenied"), r"access is denied \(AccessDenied at", True),
        "key": (Answer(status=403, code="InvalidAccessKeyId"), "S3 does not know these credentials", True),
        "secret": (Answer(status=403, code="SignatureDoesNotMatch"), "S3 does not know these credentials", True),
        "expired": (Answer(status=400, code="ExpiredToken"), "session token has expired", True),
        "kms": (Answer(status=400, code="KMS.DisabledException"), "the KMS key cannot be used", True),
        "skew": (
            Answer(status=403, code="RequestTimeTooSkewed", headers=hour_ago),
            r"this machine's clock is not S3's: it is 36\d\d seconds ahead",
            True,
        ),
        "busy": (
            Answer(status=503, code="SlowDown"),
            r"S3 asks for fewer requests \(SlowDown at \w+, in 2 tries\)",
            False,
        ),
        "broken": (Answer(status=500, code="InternalError"), r"S3 answers that it cannot now .*, in 2 tries", False),
        "gateway": (Answer(status=504), "S3 answers that it cannot now", False),
        "odd": (Answer(status=400, code="Nobody &lt;b&gt;"), r"S3 refuses \(400 at", False),
        "torn": (Answer(status=400, code="A <b>page</b>"), r"what answers is not S3 \(TypeError\)", True),
    }


@pytest.mark.parametrize("kind", refusals())
def test_a_refusal_is_one_sentence(storage: Storage, proxy: S3Proxy, kind: str) -> None:
    """Also of a HEAD request, whose answer has no body to say why."""
    answer, words, lasting = refusals()[kind]
    proxy.treat = lambda _: answer
    for doing in ("write", "read", "exists"):
        refusal = said(storage, doing)
        at = "write" if doing == "write" else "read"
        assert refusal.problems[0].found.startswith(f"cannot {at} {storage.uri('a/b')}: ")
        assert re.search(words, refusal.problems[0].found), refusal.problems[0].found
        assert (kind, refusal.lasting) == (kind, lasting)


def test_a_request_that_is_busy_once_is_made_again(storage: Storage, proxy: S3Proxy) -> None:
    answers = [Answer(status=503, code="SlowDown")]
    proxy.treat = lambda _: answers.pop() if answers else None
    storage.write_text("a", "x")
    assert [asked.method for asked in proxy.asked] == ["PUT", "PUT"]
    assert storage.read_text("a") == "x"


def test_a_missing_bucket_is_named(bucket: str) -> None:
    """Also by looking for a file, to which S3 says no more than 404: a file that is not there is no fault."""
    for doing in ("write", "read", "exists", "names", "move", "delete"):
        refusal = said(open_storage(f"{bucket}-gone/mlops"), doing)
        assert f"{bucket}-gone/mlops/a" in refusal.problems[0].found
        assert "there is no such bucket (NoSuchBucket at" in refusal.problems[0].found
        assert refusal.lasting


def test_another_region_is_named(storage: Storage, proxy: S3Proxy) -> None:
    proxy.treat = lambda _: Answer(
        status=400, code="AuthorizationHeaderMalformed", more="<Region>eu-central-1</Region>"
    )
    refusal = said(storage, "write")
    assert "the bucket is in another region, eu-central-1, (AuthorizationHeaderMalformed" in refusal.problems[0].found
    assert "region_name" in refusal.problems[0].fix
    assert refusal.lasting


@pytest.mark.parametrize("how", [HANG, DROP])
def test_an_endpoint_that_is_away_is_one_sentence(
    bucket: str, moto: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with s3_proxy(moto, lambda _: how) as state:
        connect(monkeypatch, "aws", state.address, config_kwargs=PATIENCE)
        storage = open_storage(f"s3://aws@{bucket.partition('@')[2]}")
        for doing in ("write", "read", "exists", "names"):
            refusal = said(storage, doing)
            assert "no answer from S3 (" in refusal.problems[0].found
            assert not refusal.lasting


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "aws", "http://127.0.0.1:9", config_kwargs=PATIENCE)
    assert (
        "no answer from S3 (EndpointConnectionError)"
        in said(open_storage("s3://aws@bucket"), "write").problems[0].found
    )


@pytest.mark.parametrize("page", ["<!doctype html><p>Sign in", "<html><body>Sign in</body></html>", ""])
def test_a_page_of_somebody_else_is_no_answer_of_s3(storage: Storage, proxy: S3Proxy, page: str) -> None:
    """A proxy that asks for a login says that all went well."""
    proxy.treat = lambda _: Answer(status=200, page=page, headers={"Content-Type": "text/html"})
    for doing in ("write", "read", "exists", "names"):
        refusal = said(storage, doing)
        if page.startswith("<!doctype") and doing in ("write", "names"):
            # What cannot be parsed is an error 500 to botocore, which asks again.
            assert "S3 answers that it cannot now (500 at" in refusal.problems[0].found
        else:
            assert "what answers is not S3 (NotS3Error)" in refusal.problems[0].found
            assert refusal.lasting


def test_no_credentials_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    refusal = said(open_storage("s3://bucket/mlops"), "write")
    assert "there are no credentials (NoCredentialsError)" in refusal.problems[0].found
    assert refusal.lasting


def test_an_answer_that_breaks_off_is_taken_up_where_it_ended(storage: Storage, proxy: S3Proxy) -> None:
    text = "0123456789" * 30_000
    storage.write_text("a", text)
    cuts = [CUT, CUT]
    proxy.treat = lambda asked: cuts.pop() if cuts and asked.method == "GET" else None
    assert storage.read_text("a") == text
    ranges = [asked.headers.get("Range") for asked in proxy.asked if asked.method == "GET"]
    assert ranges == [None, "bytes=150000-", "bytes=225000-"]


def test_what_is_replaced_while_it_is_read_is_not_mixed(storage: Storage, proxy: S3Proxy) -> None:
    storage.write_text("a", "old" * 100_000)

    first = []

    def cut_then_replace(asked: Any) -> str | None:
        if asked.method == "GET" and not first:
            first.append(asked)
            return CUT
        if asked.method == "GET" and len(first) == 1:
            first.append(asked)
            storage.write_text("a", "new" * 100_000)
        return None

    proxy.treat = cut_then_replace
    refusal = said_of(lambda: storage.read_text("a"))
    assert "it was replaced while it was read (PreconditionFailed at GetObject)" in refusal.problems[0].found
    assert not refusal.lasting


def said_of(look: Any) -> StoreUnavailableError:
    with pytest.raises(StoreUnavailableError) as caught:
        look()
    return caught.value


@pytest.mark.parametrize("look", [lambda path: FileStore(path).schema(), file_change_token])
def test_a_source_says_the_same_of_itself(bucket: str, proxy: S3Proxy, look: Any) -> None:
    place = f"s3://aws@{bucket.partition('@')[2]}/orders"
    proxy.treat = lambda _: Answer(status=403, code="AccessDenied")
    refusal = said_of(lambda: look(place))
    assert refusal.problems[0].field == "data.source.path"
    assert f"cannot read {place}" in refusal.problems[0].found
    assert refusal.lasting


def test_a_connection_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's hook would go on with whatever credentials the machine has."""
    for look in (lambda: open_storage("s3://nobody@bucket/x"), lambda: FileStore("s3://nobody@bucket/x").schema()):
        with pytest.raises(DataError, match=r"no Airflow connection 'nobody'.*add the connection"):
            look()
    monkeypatch.setenv("AIRFLOW_CONN_WEB", '{"conn_type": "http", "host": "x"}')
    with pytest.raises(DataError, match=r"connection 'web' of type 'http'.*Amazon Web Services"):
        open_storage("s3://web@bucket/x")
    connect(monkeypatch, "odd", "not an address")
    with pytest.raises(DataError, match=r"connection 'odd' that no client of S3 can be made of \(ValueError\)"):
        open_storage("s3://odd@bucket/x").exists("a")
