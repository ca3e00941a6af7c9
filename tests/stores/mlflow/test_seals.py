"""Seals: plain and keyed, rotated, and of what was sealed before there were keys."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlops.core.errors import RecordError
from airflow_mlops.spec.problems import ReasonCode
from airflow_mlops.stores.mlflow.seals import SealKeys, read_keys

OLD, NEW = {"a": b"0123456789abcdef"}, {"b": b"fedcba9876543210", "a": b"0123456789abcdef"}
PLAIN, KEYED, BOTH = SealKeys(), SealKeys(OLD), SealKeys(NEW)


def altered(keys: SealKeys, place: str, text: str, seal: str) -> bool:
    flaw = keys.flaw(place, text, seal)
    return flaw is not None and flaw.altered


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_a_seal_is_of_one_text_at_one_place(place: str, text: str, other: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    other = other.encode("utf-8", "replace").decode()
    for keys in (PLAIN, KEYED, BOTH):
        seal = keys.seal(place, text)
        assert keys.flaw(place, text, seal) is None
        assert keys.is_current(seal)
        if other != text:
            assert altered(keys, place, other, seal)
    if other != place:
        assert altered(KEYED, other, text, KEYED.seal(place, text))


def test_a_keyed_seal_is_the_standards_hmac_of_place_and_digest() -> None:
    """By the definition of RFC 2104, not by Python's module."""
    key, block = OLD["a"].ljust(64, b"\0"), 64
    assert len(key) == block
    digest = hashlib.sha256(b"text").hexdigest()
    message = json.dumps(["airflow_mlops seal 1", "r/tag", digest]).encode()
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()
    assert KEYED.seal("r/tag", "text") == f"hmac-sha256:a:{outer}"
    assert hmac.new(OLD["a"], message, hashlib.sha256).hexdigest() == outer


def test_a_newer_key_seals_and_older_ones_verify() -> None:
    old = KEYED.seal("p", "t")
    assert BOTH.flaw("p", "t", old) is None
    assert not BOTH.is_current(old)
    assert BOTH.seal("p", "t").startswith("hmac-sha256:b:")
    flaw = KEYED.flaw("p", "t", BOTH.seal("p", "t"))
    assert flaw is not None
    assert "key 'b', which this process does not have" in str(flaw.refusal("x"))
    assert PLAIN.flaw("p", "t", old) is not None


def test_a_plain_seal_is_good_with_a_key_only_until_the_operator_says() -> None:
    plain, soon = PLAIN.seal("p", "t"), datetime.now(UTC) + timedelta(hours=1)
    assert SealKeys(OLD, soon).flaw("p", "t", plain) is None
    assert altered(SealKeys(OLD, soon), "p", "u", plain)
    for late in (SealKeys(OLD), SealKeys(OLD, soon - timedelta(hours=2))):
        flaw = late.flaw("p", "t", plain)
        assert flaw is not None
        assert [problem.code for problem in flaw.refusal("x").problems] == [ReasonCode.SEAL_REFUSED]
        assert altered(late, "p", "u", plain)


@pytest.mark.parametrize("seal", ["", "x", "hmac-sha256:a:", "hmac-sha256:a:" + "0" * 64, "hmac-sha256::" + "0" * 64])
def test_what_is_no_seal_is_altered(seal: str) -> None:
    assert altered(KEYED, "p", "t", seal)


def test_keys_are_read_with_the_newest_first() -> None:
    keys = read_keys("b:fedcba9876543210,\n a:0123456789abcdef ", "2026-07-01")
    assert list(keys.secrets.items()) == list(NEW.items())
    assert keys.unkeyed_until == datetime(2026, 7, 1, tzinfo=UTC)
    assert read_keys("", "") == SealKeys()
    assert read_keys("a:with:colons:0123456789").secrets == {"a": b"with:colons:0123456789"}


@pytest.mark.parametrize(
    ("text", "until", "said"),
    [
        ("tOpSeCrEt-tOpSeCrEt", "", "entry 1 without an id"),
        ("a:0123456789abcdef, tOpSeCrEt-tOpSeCrEt", "", "entry 2 without an id"),
        ("a b:tOpSeCrEt-tOpSeCrEt", "", "entry 1 without an id"),
        ("a:tOpSeCrEt", "", "only 9 characters for id 'a'"),
        ("a:tOpSeCrEt-tOpSeCrEt,a:tOpSeCrEt-tOpSeCrEt", "", "two secrets with the id 'a'"),
        (":tOpSeCrEt-tOpSeCrEt", "", "entry 1 without an id"),
        ("a:0123456789abcdef", "tomorrow", "no date or time"),
    ],
)
def test_what_cannot_be_read_is_said_without_the_secret(text: str, until: str, said: str) -> None:
    with pytest.raises(RecordError, match=said) as error:
        read_keys(text, until)
    assert "tOpSeCrEt" not in str(error.value)
    assert error.value.__cause__ is None or "tOpSeCrEt" not in str(error.value.__cause__)


def test_keys_show_no_secret() -> None:
    assert "0123456789abcdef" not in f"{KEYED!r} {KEYED} {[KEYED]}"
