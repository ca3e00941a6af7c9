"""No secret is said: by its looks, or because it was seen; nothing else is taken out."""

from __future__ import annotations

import base64
import errno
import html
import json
import logging
import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.errors import StoreUnavailableError
from airflow_mlops.redaction import hide, hide_connection, looks, redact, seen
from airflow_mlops.redaction.raised import WithheldError, logging_no_secrets, raising_no_secrets, without_secrets
from airflow_mlops.spec.problems import Problem, ReasonCode


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test hides is said by the next one."""
    monkeypatch.setattr(seen, "_seen", {})
    monkeypatch.setattr(seen, "_finder", [])


LOOKS = {
    "an address": "no answer from https://ada:CANARY@ml.example.com/",
    "with a slash, as AWS's have": "s3://AKIA:wJal/CANARY@bucket/x",
    "with an at": "https://ada:p@CANARY@ml.example.com/",
    "with a colon and a question": "https://ada:a:b?CANARY#x@ml.example.com/",
    "percent-encoded": "https://ada%3ACANARY@ml.example.com/",
    "an address in an address": "next=https%3A%2F%2Fada%3ACANARY%40ml.example.com",
    "in one twice": "next=https%253A%252F%252Fada%253ACANARY%2540ml.example.com",
    "escaped": '"https:\\/\\/ada:CANARY@ml.example.com"',
    "a user that is a token": "https://CANARY@ml.example.com/x",
    "a database": "postgresql+psycopg2://ada:CANARY@db:5432/x",
    "without a scheme": "reading //ada:CANARY@host/x",
    "signed by S3": "https://b.s3.amazonaws.com/k?X-Amz-Signature=CANARY&x=1",
    "S3's token": "https://b.s3.amazonaws.com/k?a=1&X-Amz-Security-Token=CANARY",
    "signed by Azure": "abfs://c@a.dfs.core.windows.net/x?sv=1&sig=CANARY",
    "signed, without its host": "url: /b/k?sig=CANARY (Caused by x)",
    "signed, encoded": "u=https%3A%2F%2Fh%2Fk%3Fsig%3DCANARY",
    "a fragment": "https://h/x#access_token=CANARY",
    "libpq": "connection failed: host=db user=ada password=CANARY dbname=x",
    "libpq, quoted": "password = 'CA NARY CANARY'",
    "ODBC": "DRIVER={x};UID=ada;PWD=CANARY;",
    "Azure's text": "DefaultEndpointsProtocol=https;AccountKey=CANARY==;Suffix=x",
    "JSON": '{"user": "ada", "password": "CANARY", "n": 1}',
    "JSON in JSON": '"{\\"api_key\\": \\"CANARY\\"}"',
    "Python": "{'token': 'CANARY', 'n': 1}",
    "a header": "Authorization: Basic CANARY",
    "a header in Python": "{'Authorization': 'Bearer CANARY'}",
    "a header in bytes": "{b'Authorization': b'Basic CANARY'}",
    "a key's header": "x-api-key: CANARY",
    "a cookie": "Set-Cookie: CANARY; HttpOnly",
    "AWS in YAML": "aws_secret_access_key: CANARY",
    "a bearer": "curl -H bearer CANARYabcdef12345",
    "AWS": "key AKIACANARYCANARY1234 is wrong",
    "GitHub": "ghp_CANARYabcdefghijklmnop",
    "GitHub, new": "github_pat_CANARYabcdefghijklmnop",
    "Slack": "xoxb-1234-CANARY",
    "Slack's webhook": "https://hooks.slack.com/services/T0/B0/CANARY",
    "a JWT": "eyJhbGciOi.CANARYpayload.CANARY",
    "a private key": "-----BEGIN RSA PRIVATE KEY-----\nCANARY\n-----END RSA PRIVATE KEY-----",
    "half a private key": "-----BEGIN PRIVATE KEY-----\nCANARY",
}


@pytest.mark.parametrize("what", LOOKS)
def test_what_looks_like_a_secret_is_taken_out(what: str) -> None:
    cleaned = redact(LOOKS[what])
    assert "CANARY" not in cleaned
    assert redact(cleaned) == cleaned


@pytest.mark.parametrize("what", LOOKS)
@given(before=st.text(max_size=5), behind=st.text(max_size=5))
def test_whether_a_text_is_worth_a_look_decides_nothing(what: str, before: str, behind: str) -> None:
    """What is passed over for want of a mark is what every pattern leaves as it is."""
    for text in (f"{before}{LOOKS[what]}{behind}", f"{before}{LOOKS[what].swapcase()}{behind}", f"{before}{behind}"):
        expected = text
        for pattern, instead in (*looks._patterns(), *looks._assignments()):
            expected = pattern.sub(instead, expected)
        assert redact(text) == expected


HARMLESS = [
    "http://127.0.0.1:5000 (connection 'mlflow_default') in 2 tries",
    "files s3://aws_default@bucket/orders/day=2026-01-01T00:00:00/a@b.parquet",
    "AIRFLOW_CONN_X='mlflow://:@127.0.0.1:5000'",
    "http://[::1]:5000/x@y",
    "column token: found 3 of 4; allowed: 5; did you mean?",
    "training.parameters.token_pattern: found 'a'",
    "tokenizer = word, keyword = x",
    "3f786850e387550fdab836ed7e6dc881de23001b",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "models:/m-0123456789abcdef0123456789abcdef and orders@champion",
    "Basic authentication of bearer bonds",
    "a // b: c @ d",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


SECRET = 'S3cr3t/pw@é:1 "q"\'<&>\\'


def forms(secret: str) -> dict[str, str]:
    raw = secret.encode()
    return {
        "as it is": secret,
        "percent": quote(secret, safe=""),
        "percent, lower": quote(secret, safe="").lower(),
        "percent but slashes": quote(secret),
        "a form": quote_plus(secret),
        "percent twice": quote(quote(secret, safe=""), safe=""),
        "JSON": json.dumps(secret),
        "JSON in JSON": json.dumps(json.dumps({"x": secret})),
        "Python": repr(secret),
        "HTML": html.escape(secret),
        "hexadecimal": raw.hex(),
        "base64": base64.b64encode(raw).decode(),
        "a header": base64.b64encode(b"ada:" + raw).decode(),
        "base64 behind two": base64.b64encode(b"ab" + raw + b"yz").decode(),
        "base64 of addresses": base64.urlsafe_b64encode(b"a" + raw).decode(),
    }


@pytest.mark.parametrize("how", list(forms("x")))
def test_what_was_seen_is_taken_out_in_every_form(how: str) -> None:
    text = forms(SECRET)[how]
    assert redact(f"before ({text}) after") == f"before ({text}) after"
    hide(SECRET)
    cleaned = redact(f"before ({text}) after")
    assert "***" in cleaned
    assert cleaned.startswith("before (")
    assert cleaned.endswith(") after")
    # Of base64 the letters at the ends hold bits of what stands beside the secret, too.
    assert len(cleaned) <= len("before () after") + 20


@given(st.text(min_size=8, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_no_secret_that_was_seen_is_said(secret: str, before: str, after: str) -> None:
    if secret.lower() in seen._PLAIN or "***" in secret or any("\ud800" <= c <= "\udfff" for c in secret):
        return
    hide(secret)
    for text in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert secret not in redact(f"{before} {text} {after}") or set(secret) <= {"*"}


def test_short_words_are_no_secrets_within_words() -> None:
    hide("abc", "plane", "true")
    assert redact("abc planes true plane") == "abc planes true ***"


def connection(**fields: Any) -> Any:
    extra = fields.pop("extra", {})
    given = {"login": None, "password": None, "host": None, "schema": None, "extra_dejson": extra, **fields}
    return SimpleNamespace(**given)


FIELDS = {
    "password": {"password": "CANARY-1"},
    "user-info of the host": {"host": "http://ada:CANARY-1@h"},
    "encoded user-info": {"host": "http://ada:%43ANARY-1@h"},
    "user-info without a scheme": {"host": "ada:CANARY-1@h"},
    "query of the host": {"host": "https://h/x?sig=CANARY-1"},
    "a token": {"extra": {"token": "CANARY-1"}},
    "AWS": {"extra": {"aws_secret_access_key": "CANARY-1"}},
    "camels": {"extra": {"clientSecret": "CANARY-1"}},
    "nested": {"extra": {"service_config": {"s3": {"session_token": "CANARY-1"}}}},
    "below a secret's name": {"extra": {"credentials": {"anything": ["CANARY-1"]}}},
    "JSON in the extra": {"extra": {"keyfile_dict": '{"private_key_id": "x", "private_key": "CANARY-1"}'}},
    "an address in the extra": {"extra": {"registry_uri": "https://ada:CANARY-1@h"}},
    "a proxy": {"extra": {"config_kwargs": {"proxies": {"https": "http://ada:CANARY-1@h"}}}},
    "headers": {"extra": {"headers": {"X-Api": "CANARY-1"}}},
    "a bearer": {"extra": {"authorization": "Bearer CANARY-1"}},
}


@pytest.mark.parametrize("where", FIELDS)
def test_whatever_a_connection_holds_is_taken_out(where: str) -> None:
    assert redact("it says CANARY-1") == "it says CANARY-1"
    hide_connection(connection(**FIELDS[where]))
    assert redact("it says CANARY-1") == "it says ***"


def test_a_webhook_is_secret_in_its_path_and_headers() -> None:
    hide_connection(
        connection(host="https://chat.example.com/hooks/CANARY-1", extra={"X-Any": "CANARY-2"}), headers=True
    )
    assert redact("hooks/CANARY-1 and CANARY-2") == "*** and ***"


def test_user_and_password_of_a_header_are_known() -> None:
    hide_connection(connection(login="ada", password="pw-short"))
    assert redact(base64.b64encode(b"ada:pw-short").decode()) == "***"


KEY = "CANARY"
ADDRESS = f"https://ada:{KEY}@h"
"""Not written where they are raised: a traceback shows the lines of its code."""


def chain() -> BaseException:
    """What libraries do: an error of an error of an error, with secrets in arguments, attributes and notes."""
    try:
        try:
            try:
                raise OSError(errno.ECONNREFUSED, f"no {ADDRESS}", f"/x?sig={KEY}")
            except OSError as error:
                raise KeyError(f"password={KEY}", 3, (ADDRESS,)) from error
        except KeyError:
            raise LookupError(ConnectionError(ADDRESS))  # noqa: B904 - a context is logged, too
    except LookupError as error:
        error.add_note(f"see {ADDRESS}")
        error.message = ADDRESS  # type: ignore[attr-defined]
        return error


def test_a_whole_chain_of_errors_loses_its_secrets() -> None:
    error = chain()
    assert without_secrets(error) is error
    said = "".join(traceback.format_exception(error))
    assert "CANARY" not in said
    assert "CANARY" not in error.message  # type: ignore[attr-defined]
    assert "see https://h" in said
    assert said.count("Traceback") == 3


class Stubborn(Exception):
    """Its words cannot be changed."""

    def __str__(self) -> str:
        return "https://ada:CANARY@h"


def test_an_error_that_cannot_be_changed_is_replaced() -> None:
    with pytest.raises(WithheldError, match="Stubborn: https://h"), raising_no_secrets():
        raise Stubborn
    with pytest.raises(ValueError, match="x") as caught, raising_no_secrets():
        raise ValueError("x") from Stubborn()
    assert isinstance(caught.value.__cause__, WithheldError)


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def test_an_error_that_cannot_speak_goes_through() -> None:
    with pytest.raises(Mute), raising_no_secrets():
        raise Mute


def test_errors_without_secrets_are_left_as_they_are() -> None:
    error = ValueError("x", 1, b"\x00", None)
    error.__cause__ = error  # a circle
    assert without_secrets(error) is error
    assert error.args == ("x", 1, b"\x00", None)


def test_groups_of_errors_lose_theirs() -> None:
    group = ExceptionGroup("two", [ValueError("https://ada:CANARY@h"), OSError("x")])
    assert "CANARY" not in "".join(traceback.format_exception(without_secrets(group)))


def syntax() -> BaseException:
    return SyntaxError("invalid", ("x.py", 1, 1, f"url = '{ADDRESS}'"))


def tuple_of_notes() -> BaseException:
    error = ValueError("x")
    error.__notes__ = (f"see {ADDRESS}",)  # type: ignore[assignment]
    return error


SHOWN: dict[str, Callable[[], BaseException]] = {
    "a line of code": syntax,
    "notes that are no list": tuple_of_notes,
    "a stubborn one in a group": lambda: ExceptionGroup("g", [ExceptionGroup("h", [Stubborn()]), OSError("x")]),
    "the words of a group": lambda: ExceptionGroup(f"at {ADDRESS}", [OSError("x")]),
    "an exit": lambda: SystemExit(f"no {ADDRESS}"),
}


@pytest.mark.parametrize("what", SHOWN)
def test_nothing_that_a_traceback_shows_is_a_secret(what: str) -> None:
    error = SHOWN[what]()
    with pytest.raises(BaseException) as caught, raising_no_secrets():  # noqa: PT011 - whatever it is by then
        raise error
    said = "".join(traceback.format_exception(caught.value))
    assert "CANARY" not in said
    assert "OSError: x" in said or "group" not in what


class TimedOut(BaseException):
    """As Airflow ends a task: no Exception, so that nobody catches it."""


def test_what_was_being_done_when_the_time_was_over_loses_its_secrets() -> None:
    with pytest.raises(TimedOut) as caught, raising_no_secrets():
        try:
            raise OSError(ADDRESS)
        except OSError:
            raise TimedOut("after 60 s")  # noqa: B904 - the context is logged, too
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


def test_what_libraries_log_loses_its_secrets(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("a.library.of.somebody")  # MLflow has a filter of its own on urllib3's
    before = logging.getLogRecordFactory()
    with caplog.at_level(logging.DEBUG), logging_no_secrets(), logging_no_secrets():
        log.warning("Retrying %s: /x?sig=%s", "https://ada:CANARY@h", "CANARY")
        try:
            raise OSError(ADDRESS)
        except OSError:
            log.exception("it failed")
    assert logging.getLogRecordFactory() is before
    assert "Retrying https://h: /x?sig=***" in caplog.text
    assert "it failed" in caplog.text
    assert "CANARY" not in caplog.text


def test_a_problem_holds_no_secret_wherever_it_is_shown() -> None:
    dirty = "https://ada:CANARY@h?token=CANARY"
    problem = Problem(
        code=ReasonCode.STORE_UNAVAILABLE, field=dirty, found=dirty, allowed=dirty, fix=dirty, where=dirty
    )
    refusal = StoreUnavailableError(problem, subject=dirty)
    assert "CANARY" not in f"{problem!r} {refusal} {refusal!r}"


@pytest.mark.parametrize("piece", ["a", "a-", "://", "//a:", "%3A%2F%2F", '"', "password=", "eyJ", "@", "\\", "?", "["])
def test_long_texts_are_read_in_time_that_grows_with_them(piece: str) -> None:
    text = (piece * 50_000)[:50_000]
    begun = time.process_time()
    redact(text)
    assert time.process_time() - begun < 30  # a second or so; were it quadratic, an hour


def test_what_was_seen_long_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "_MOST", 100)
    for number in range(50):
        hide(f"secret-number-{number}")
    assert len(seen._seen) <= 100
    assert redact("secret-number-49") == "***"
