"""Seals of what is written to MLflow: SHA-256, or HMAC-SHA256 where the operator gives a key.

A plain SHA-256 beside a text shows accidents: an upload that was cut off, a file that somebody edited. Who may write
the text may write such a seal too. A keyed one is made only by who holds a key of `[mlops] seal_secret`; it also binds
the text to its place, so that neither can be carried elsewhere.

Sources: RFC 2104 and FIPS 198-1 (HMAC), as Python's :mod:`hmac` has it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_mlops.core.errors import RecordError
from airflow_mlops.spec.problems import Problem, ReasonCode

SHORTEST = 16
"""Characters of a secret: of random letters and digits, more than 80 bits."""
_KEYED = re.compile(r"hmac-sha256:([A-Za-z0-9_.-]+):([0-9a-f]{64})")
_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_FIELD = "[mlops] seal_secret"


@dataclass(frozen=True)
class SealKeys:
    """The operator's keys: the first seals, all verify.

    Parameters
    ----------
    secrets
        By id, the one that seals first. They are shown nowhere.
    unkeyed_until
        Until then plain seals are accepted beside keyed ones: what was sealed before there were keys. None: they are
        not accepted where there are keys.
    """

    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    unkeyed_until: datetime | None = None

    @property
    def accept_unkeyed(self) -> bool:
        """Whether a plain seal is good here now."""
        return not self.secrets or (self.unkeyed_until is not None and datetime.now(UTC) < self.unkeyed_until)

    def seal(self, place: str, text: str) -> str:
        """Return the seal of a text at a place, `<run>/<tag>`: keyed with the first key; plain without keys.

        Examples
        --------
        >>> SealKeys().seal("r1/mlops.decision_digest", "{}")[:16]
        '44136fa355b3678a'
        >>> SealKeys({"2026": b"0123456789abcdef"}).seal("r1/mlops.decision_digest", "{}")[:24]
        'hmac-sha256:2026:336770c'
        """
        if not self.secrets:
            return _plain(text)
        name = next(iter(self.secrets))
        return f"hmac-sha256:{name}:{_keyed(self.secrets[name], place, text)}"

    def flaw(self, place: str, text: str, seal: str) -> Flaw | None:
        """Return what is wrong with a seal of a text at a place; None when it is good."""
        found = _KEYED.fullmatch(seal)
        if found is None:
            if not hmac.compare_digest(seal.encode(), _plain(text).encode()):
                return Flaw(altered=True)
            return None if self.accept_unkeyed else Flaw(words=f"a seal without a key, while {_FIELD} gives one")
        secret = self.secrets.get(found[1])
        if secret is None:
            return Flaw(words=f"a seal of key '{found[1]}', which this process does not have")
        return None if hmac.compare_digest(found[2], _keyed(secret, place, text)) else Flaw(altered=True)

    def is_current(self, seal: str) -> bool:
        """Whether a seal is of the kind that is made now: plain without keys, of the newest key with them."""
        found = _KEYED.fullmatch(seal)
        return found is None if not self.secrets else found is not None and found[1] == next(iter(self.secrets))


@dataclass(frozen=True)
class Flaw:
    """Why a seal is not good: what was sealed is another text, or nobody here can tell."""

    altered: bool = False
    words: str = ""

    def refusal(self, what: str) -> RecordError:
        """Return the refusal of what cannot be told: SEAL_REFUSED."""
        return RecordError(
            Problem(
                code=ReasonCode.SEAL_REFUSED,
                field=what,
                found=self.words,
                allowed=f"a seal of one of the keys of {_FIELD}",
                fix=f"give this process the key in {_FIELD}; or, of what was sealed before there was one, set [mlops] "
                "seal_unkeyed_until, look at it with airflow mlops verify, and seal it with airflow mlops seal",
            )
        )


def read_keys(secrets: str, unkeyed_until: str = "") -> SealKeys:
    """Read `[mlops] seal_secret` and `seal_unkeyed_until`.

    Parameters
    ----------
    secrets
        ``id:secret``, separated by commas, white space or lines; the newest first. Empty: no keys.
    unkeyed_until
        ISO 8601; of a time without a zone, UTC.

    Raises
    ------
    RecordError
        SPEC_INVALID_VALUE, without any part of a secret.

    Examples
    --------
    >>> keys = read_keys("2026-06:a-long-and-random-secret, 2026-01:an-older-random-secret")
    >>> list(keys.secrets), keys
    (['2026-06', '2026-01'], SealKeys(unkeyed_until=None))
    """
    found: dict[str, bytes] = {}
    for number, entry in enumerate((part for part in re.split(r"[,\s]+", secrets) if part), 1):
        name, colon, secret = entry.partition(":")
        if not colon or not _ID.fullmatch(name):
            raise _wrong(f"entry {number} without an id before a colon", "id:secret, the id of letters, digits, _ . -")
        if len(secret) < SHORTEST:
            raise _wrong(f"only {len(secret)} characters for id '{name}'", f"{SHORTEST} characters and more")
        if name in found:
            raise _wrong(f"two secrets with the id '{name}'", "an id for each")
        found[name] = secret.encode()
    return SealKeys(found, _instant(unkeyed_until))


def _instant(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError as error:
        allowed = "a date or time in ISO 8601, 2026-07-01T00:00:00+00:00"
        raise _wrong("no date or time", allowed, "[mlops] seal_unkeyed_until") from error
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read


def _plain(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _keyed(secret: bytes, place: str, text: str) -> str:
    # JSON keeps the parts apart; the text is hashed first, so that a seal of a long one costs no copy of it.
    message = json.dumps(["airflow_mlops seal 1", place, _plain(text)])
    return hmac.new(secret, message.encode(), hashlib.sha256).hexdigest()


def _wrong(found: str, allowed: str, where: str = _FIELD) -> RecordError:
    return RecordError(
        Problem(code=ReasonCode.SPEC_INVALID_VALUE, field=where, found=found, allowed=allowed, fix="correct the option")
    )
