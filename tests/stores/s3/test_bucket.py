"""Objects appear whole, a name is taken once, unfinished parts are given up, and options go with each request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.core.ports import Storage
from airflow_mlops.stores.s3 import bucket as module
from airflow_mlops.stores.s3.address import S3Options
from airflow_mlops.stores.storage.storage import open_storage
from tests.support.s3 import Answer, Asked, S3Proxy, boto, unfinished, wait_until

LARGE = "0123456789abcdef" * (1 << 20)
"""16 MB: three parts of a copy, two of an upload."""


@pytest.fixture
def storage(name: str, proxy: S3Proxy) -> Storage:
    return open_storage(f"s3://aws@{name}/mlops")


def of(proxy: S3Proxy, method: str) -> list[Asked]:
    return [asked for asked in proxy.asked if asked.method == method]


def test_a_large_file_goes_and_moves_in_parts(
    storage: Storage, proxy: S3Proxy, name: str, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COPIED_PART", 6 << 20)
    storage.write_text("large", LARGE)
    sent = [asked.query for asked in of(proxy, "PUT")]
    assert sorted(part for query in sent for part in query.split("&") if "Number" in part) == [
        "partNumber=1",
        "partNumber=2",
    ]
    assert not unfinished(moto, name)
    proxy.asked.clear()
    storage.move("large", "moved")
    assert len([asked for asked in of(proxy, "PUT") if "x-amz-copy-source" in asked.headers]) == 3
    assert storage.read_text("moved") == LARGE
    assert storage.names("") == ("moved",)
    assert not unfinished(moto, name)
    storage.write_text("again", LARGE[1:])
    storage.move("again", "moved")
    assert storage.read_text("moved") == LARGE
    assert storage.names("") == ("moved",)
    assert not unfinished(moto, name)


@pytest.mark.parametrize("failing", ["upload", "copy"])
def test_a_part_that_fails_leaves_nothing(storage: Storage, proxy: S3Proxy, name: str, moto: str, failing: str) -> None:
    if failing == "copy":
        storage.write_text("a", LARGE)
    refused = Answer(status=403, code="AccessDenied")
    proxy.treat = lambda asked: refused if asked.method == "PUT" and "partNumber=" in asked.query else None
    with pytest.raises(StoreUnavailableError, match="access is denied") as caught:
        storage.move("a", "b") if failing == "copy" else storage.write_text("b", LARGE)
    assert not getattr(caught.value.__cause__, "__notes__", ())
    assert not storage.exists("b")
    assert storage.exists("a") is (failing == "copy")
    assert not unfinished(moto, name)


def test_parts_that_cannot_be_given_up_are_said_beside_what_failed(
    storage: Storage, proxy: S3Proxy, name: str, moto: str
) -> None:
    storage.write_text("a", LARGE)
    refused = Answer(status=403, code="AccessDenied")
    proxy.treat = lambda asked: refused if "uploadId=" in asked.query else None
    with pytest.raises(StoreUnavailableError, match="access is denied") as caught:
        storage.move("a", "b")
    (note,) = getattr(caught.value.__cause__, "__notes__", ())
    assert "until a lifecycle rule removes them (AccessDenied)" in note
    assert unfinished(moto, name) == ["mlops/b"]


@pytest.mark.parametrize("text", ["small", LARGE], ids=["put", "parts"])
def test_of_two_that_give_one_name_one_does_and_nothing_is_lost(
    storage: Storage, proxy: S3Proxy, name: str, moto: str, text: str
) -> None:
    """Both see that the name is free; both go on to write it at the same time."""
    texts = {"one": f"1{text}", "two": f"2{text}"}
    for path, content in texts.items():
        storage.write_text(path, content)
    both = threading.Barrier(2, timeout=60)

    def treat(asked: Asked) -> None:
        if asked.path.endswith("/target") and "If-None-Match" in asked.headers:
            both.wait()

    proxy.treat = treat
    proxy.asked.clear()
    raised: list[BaseException] = []

    def move(path: str) -> None:
        try:
            open_storage(storage.root).move(path, "target")
        except BaseException as error:  # noqa: BLE001 - a thread's is asserted on below
            raised.append(error)

    threads = [threading.Thread(target=move, args=[path]) for path in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    naming = [asked for asked in proxy.asked if "If-None-Match" in asked.headers]
    assert len(naming) == 2
    assert storage.read_text("target") in texts.values()
    assert storage.names("") == ("target",)
    assert not unfinished(moto, name)


def test_a_name_that_two_give_at_once_is_tried_again(storage: Storage, proxy: S3Proxy) -> None:
    storage.write_text("a", "x")
    conflicts = [Answer(status=409, code="ConditionalRequestConflict")] * 2
    proxy.treat = lambda asked: conflicts.pop() if conflicts and "If-None-Match" in asked.headers else None
    storage.move("a", "b")
    assert storage.read_text("b") == "x"
    assert not storage.exists("a")


def test_an_answer_that_is_lost_does_not_lose_the_name(storage: Storage, proxy: S3Proxy) -> None:
    """S3 has given the name, and nobody heard it: asked again it says that the name is taken, by the same bytes."""
    storage.write_text("a", "x")
    lost = []

    def treat(asked: Asked) -> Answer | None:
        if "If-None-Match" in asked.headers and not lost:
            lost.append(asked)
            boto(proxy.moto).put_object(Bucket=asked.path.split("/")[1], Key="mlops/b", Body=b"x")
            return Answer(status=500, code="InternalError")
        return None

    proxy.treat = treat
    storage.move("a", "b")
    assert len(lost) == 1
    assert storage.read_text("b") == "x"
    assert not storage.exists("a")


def test_what_is_copied_is_what_was_looked_at(storage: Storage, proxy: S3Proxy) -> None:
    """Refused because the first name has other bytes by now is not refused because the second one is taken."""
    storage.write_text("a", LARGE)
    refused = Answer(status=412, code="PreconditionFailed")
    proxy.treat = lambda asked: refused if "x-amz-copy-source" in asked.headers else None
    with pytest.raises(StoreUnavailableError, match="it was replaced while it was read"):
        storage.move("a", "b")
    proxy.treat = lambda _: None
    assert storage.exists("a")
    assert not storage.exists("b")


def test_a_move_of_nothing_is_said(storage: Storage) -> None:
    with pytest.raises(StoreUnavailableError, match=r"cannot write .*/b: No such file"):
        storage.move("a", "b")


WRITER = """
import signal, sys
from airflow_mlops.stores.storage.storage import open_storage

def stop(*_):
    raise SystemExit(3)  # as Airflow does with a task that is to end

signal.signal(signal.SIGTERM, stop)
open_storage(sys.argv[1]).write_text("large", "x" * (40 << 20))
"""


@pytest.mark.parametrize(("how", "left"), [(signal.SIGKILL, ["mlops/large"]), (signal.SIGTERM, [])])
def test_a_writer_that_is_killed_leaves_nothing_that_is_seen(
    storage: Storage, proxy: S3Proxy, name: str, moto: str, tmp_path: Path, how: signal.Signals, left: list[str]
) -> None:
    """Parts of a killed one stay, unseen, and are the bucket's to remove: docs/iam/lifecycle.json."""
    storage.write_text("large", "whole")
    signalled = threading.Event()

    def treat(asked: Asked) -> None:
        if "partNumber=3" in asked.query:
            signalled.wait(60)

    proxy.treat = treat
    root = str(Path(__file__).parents[3])
    with (tmp_path / "log").open("wb") as log:
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, storage.root],
            env={**os.environ, "PYTHONPATH": root},
            stdout=log,
            stderr=log,
        )
        wait_until(lambda: any("partNumber=3" in asked.query for asked in proxy.asked), 60)
        writer.send_signal(how)
        if how == signal.SIGKILL:
            writer.wait(30)
        signalled.set()
        writer.wait(60)
    assert writer.returncode == (-how if how == signal.SIGKILL else 3)
    assert storage.read_text("large") == "whole"
    assert storage.names("") == ("large",)
    assert unfinished(moto, name) == left


def test_options_go_with_each_request(name: str, proxy: S3Proxy, moto: str) -> None:
    options = S3Options(encryption="aws:kms", kms_key_id="alias/mlops", bucket_owner="123456789012")
    storage = open_storage(f"s3://aws@{name}/mlops", s3=options)
    storage.write_text("small", "x")
    storage.write_text("large", LARGE)
    for path in ("small", "large"):
        storage.move(path, f"{path}-moved")
        storage.read_text(f"{path}-moved")
    assert storage.names("") == ("large-moved", "small-moved")
    assert not storage.exists("small")
    assert len(proxy.asked) > 15
    headers = [{key.lower(): value for key, value in asked.headers.items()} for asked in proxy.asked]
    assert {one.get("x-amz-expected-bucket-owner") for one in headers} == {"123456789012"}
    copied = [one for one in headers if "x-amz-copy-source" in one]
    assert {one["x-amz-source-expected-bucket-owner"] for one in copied} == {"123456789012"}
    for path in ("small-moved", "large-moved"):
        found = boto(moto).head_object(Bucket=name, Key=f"mlops/{path}")
        assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "alias/mlops")


def test_without_options_nothing_is_asked_for(storage: Storage, proxy: S3Proxy) -> None:
    storage.write_text("a", "x")
    (asked,) = proxy.asked
    names = {key.lower() for key in asked.headers}
    assert not {"x-amz-expected-bucket-owner", "x-amz-server-side-encryption"} & names
