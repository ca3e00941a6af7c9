"""Secrets that are known by their looks, wherever they stand.

Shapes: RFC 3986 (user-info, percent-encoding), RFC 7519 (JWT), RFC 7468 (PEM), and the published formats of AWS,
GitHub, GitLab, Slack, Google, Stripe, Databricks, OpenAI, Hugging Face, PyPI, npm, SendGrid and Vault.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

HIDDEN = "***"
_WORDS = (
    "password|passwd|pwd|passphrase|secret|token|api[_-]?key|apikey|access[_-]?key|account[_-]?key|secret[_-]?key"
    "|shared[_-]?key|private[_-]?key|keyfile|credentials?|signature|sas|authorization|cookie|connection[_-]?string"
)
SIGNED = (
    r"x-(?:amz|goog)-(?:signature|credential|security-token)|sig|signature|token|access_token|id_token|refresh_token"
    r"|awsaccesskeyid|googleaccessid|key|code|auth|pass|sharedaccesssignature|sv|se|sp|" + _WORDS
)


_HEADERS = "(?:x-)?api-key|x-[a-z-]{0,30}(?:token|secret)|(?:set-)?cookie|aws_(?:secret_access_key|session_token)"
"""Names of headers, and of a file's lines, whose values stand behind a colon without quotes."""
_MARKS = (
    *("//", "\\/", "%", "=", "earer ", "EARER ", "PRIVATE KEY", "AKIA", "ASIA", "ABIA", "ACCA", "ghp_", "gho_", "ghu_"),
    *("ghs_", "ghr_", "github_pat_", "glpat-", "xox", "xapp-", "hooks.slack.com", "/api/webhooks/", "eyJ", "AIza"),
    *("ya29.", "k_live_", "k_test_", "sk-", "dapi", "hf_", "pypi-", "npm_", "SG.", "hvs.", "hvb."),
)
"""Of these one stands in every text that could have a secret's looks: most texts are done with after a search, and
patterns are made only where one is needed. What gets a pattern below gets its mark here."""
_NAMED = ("authorization", "pass", "pwd", "secret", "token", "key", "credential", "signature", "sas", "cookie", "conn")
"""In small letters, of these one stands in every name of a secret."""


def may_look_secret(text: str) -> bool:
    """Whether a text is worth a look: in what this is false of, :func:`looks_secret` is, and that costs much more."""
    return any(mark in text for mark in _MARKS)


def _may_assign(text: str) -> bool:
    lowered = text.lower()
    return ("=" in text or ":" in text) and any(name in lowered for name in _NAMED)


@cache
def sensitive_name() -> re.Pattern[str]:
    """Find names of fields whose values are secrets."""
    return re.compile(rf"(?:^|[_\-. ]|(?<=[a-z])(?=[A-Z]))(?:{_WORDS}|headers?|dsn|auth|bearer|key)$", re.IGNORECASE)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], Any], ...]:
    """What is taken out by its looks, in this order."""
    whole = [
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
        r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{16,}",
        r"\bgithub_pat_\w{16,}",
        r"\bglpat-[\w-]{16,}",
        r"\bxox[abeoprs]-[\w-]{8,}",
        r"\bxapp-[\w-]{8,}",
        r"(?<=hooks\.slack\.com/services/)[\w/-]+",
        r"(?<=/api/webhooks/)[\w/-]+",
        r"\beyJ[\w-]{6,}\.[\w-]{4,}(?:\.[\w-]*)?",
        r"\bAIza[\w-]{30,}",
        r"\bya29\.[\w-]{16,}",
        r"\b[srp]k_(?:live|test)_\w{10,}",
        r"\bsk-[\w-]{20,}",
        r"\bdapi[0-9a-f]{32}",
        r"\bhf_[A-Za-z0-9]{24,}",
        r"\bpypi-[\w-]{32,}",
        r"\bnpm_\w{30,}",
        r"\bSG\.[\w-]{12,}\.[\w-]{12,}",
        r"\bhv[sb]\.[\w-]{16,}",
    ]
    return (
        (re.compile("|".join(whole), re.DOTALL), HIDDEN),
        (re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{0,30})?(:(?:\\?/){2})([^\s\"'<>`]+)"), _without_user),
        (re.compile(r"(?<![\w:/\\])//[^\s/@\"']{1,300}:[^\s\"']{0,2000}@"), "//"),
        (_ignoring_case(r"%(?:25)*3A(?:%(?:25)*2F){2}\S{0,2000}?%(?:25)*40"), f"%3A%2F%2F{HIDDEN}%40"),
        (_ignoring_case(rf"((?:{_BEFORE})(?:{SIGNED})(?:=|%(?:25)*3D))[^&\s\"'<>#;)]+"), rf"\1{HIDDEN}"),
        (_ignoring_case(r"\b(bearer +)(?=\S*\d)[\w.~+/=-]{12,}"), rf"\1{HIDDEN}"),
    )


@cache
def _assignments() -> tuple[tuple[re.Pattern[str], Any], ...]:
    """What is taken out because of the name that it is given: in what libraries say, not in people's SQL."""
    value = r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&)'\"]+)"
    quoted = r"(?:\\?\"(?:\\.|[^\"\\])*\\?\"|'(?:\\.|[^'\\])*')"
    name = rf"(?:[\w-]{{0,40}}[_-])?(?:{_WORDS})"
    return (
        (_ignoring_case(r"(authorization\\?[\"']?\s*[:=]\s*b?\\?[\"']?(?:[a-z]+ +)?)[^\s\"',}]+"), rf"\1{HIDDEN}"),
        (_ignoring_case(rf"(?<![\w-])((?:{_HEADERS})\s*:\s*)[^\s\"',;}}]+"), rf"\1{HIDDEN}"),
        (_ignoring_case(rf"(?<!\w)({name}\s*=\s*){value}"), rf"\1{HIDDEN}"),
        (_ignoring_case(rf"(\\?[\"']{name}\\?[\"']\s*:\s*){quoted}"), rf'\1"{HIDDEN}"'),
    )


_BEFORE = "[?&;#]|%(?:25)*(?:3F|26|3B|23)"
"""What stands before a name in a query: as it is, or percent-encoded, however often."""


def _ignoring_case(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def looks_secret(text: str) -> bool:
    """Whether something in a text has a secret's looks, whatever it is called there.

    >>> looks_secret("SELECT * FROM t WHERE token = 'a'"), looks_secret("https://ada:pw@example.com")
    (False, True)
    """
    return may_look_secret(text) and any(pattern.sub(instead, text) != text for pattern, instead in _patterns())


def _without_user(match: re.Match[str]) -> str:
    scheme, mark, rest = match[1] or "", match[2], match[3]
    start = user_end(scheme, rest)
    return f"{scheme}{mark}{rest[start:]}"


def user_end(scheme: str, rest: str) -> int:
    """Return where the host begins in an address without its scheme: behind the user-info, if that may hold a secret.

    A password that was not percent-encoded may hold any of / @ : ? and #, so what counts is the last @ as soon as
    something before it looks like a user and a password. The id of an Airflow connection, without a colon, stays.

    >>> user_end("http", "ada:p/w@d@host:5000/x"), user_end("s3", "aws_default@bucket/x"), user_end("s3", "bucket/a@b")
    (10, 0, 0)
    """
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if at and not _has_colon(user) and scheme.lower() not in {"http", "https", "ftp", "ftps"}:
        return 0
    if at and user.strip(":") == "":
        return 0
    if not at:
        host = authority.rpartition("]")[2] if authority.startswith("[") else authority
        _, colon, port = host.partition(":")
        if not (colon and not port.isdigit() and port):
            return 0
    last = rest.rfind("@")
    if last < 0:
        encoded = [found.end() for found in re.finditer("%40", rest)]
        return encoded[-1] if encoded else 0
    return last + 1


def _has_colon(user: str) -> bool:
    return ":" in user or re.search("%(?:25)*3a", user, re.IGNORECASE) is not None


def without_looks(text: str) -> str:
    """Take out what has a secret's looks."""
    for pattern, instead in (
        *(_patterns() if may_look_secret(text) else ()),
        *(_assignments() if _may_assign(text) else ()),
    ):
        text = pattern.sub(instead, text)
    return text
