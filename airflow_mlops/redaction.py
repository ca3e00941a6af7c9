"""No secret is said: one function that takes them out of a text, and what makes errors and logs go through it.

It knows secrets in two ways: by what they look like wherever they stand (the user-info of an address, the signature
in its query, keys whose makers gave them a shape, what is assigned to a `password`), and by having seen them: whoever
opens a connection calls :func:`hide_connection`, and from then on its secrets are taken out in every form in which
libraries write them. Being the lowest floor, it knows neither Airflow nor any store.

Shapes: RFC 3986 (user-info, percent-encoding), RFC 7519 (JWT), RFC 7468 (PEM), and the published formats of AWS,
GitHub, GitLab, Slack, Google, Stripe, Databricks, OpenAI, Hugging Face, PyPI, npm, SendGrid and Vault.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

HIDDEN = "***"
_SHORTEST = 4
"""Characters: what is shorter is no secret, and stands in any text."""
_WHOLE_WORD = 7
"""Shorter secrets are taken out where they are a word of their own."""
_MOST = 20_000
"""Forms of secrets that are remembered: a process that lives for months sees tokens come and go."""
_PLAIN = frozenset({"true", "false", "none", "null", "airflow", "http", "https"})
"""Values that stand where secrets do, and are none."""
_WORDS = (
    "password|passwd|pwd|passphrase|secret|token|api[_-]?key|apikey|access[_-]?key|account[_-]?key|secret[_-]?key"
    "|shared[_-]?key|private[_-]?key|keyfile|credentials?|signature|sas|authorization|cookie|connection[_-]?string"
)
_SIGNED = (
    r"x-(?:amz|goog)-(?:signature|credential|security-token)|sig|signature|token|access_token|id_token|refresh_token"
    r"|awsaccesskeyid|googleaccessid|key|code|auth|pass|sharedaccesssignature|sv|se|sp|" + _WORDS
)


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
def _sensitive_name() -> re.Pattern[str]:
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
        (_ignoring_case(rf"((?:{_BEFORE})(?:{_SIGNED})(?:=|%(?:25)*3D))[^&\s\"'<>#;)]+"), rf"\1{HIDDEN}"),
        (_ignoring_case(r"\b(bearer +)(?=\S*\d)[\w.~+/=-]{12,}"), rf"\1{HIDDEN}"),
    )


@cache
def _assignments() -> tuple[tuple[re.Pattern[str], Any], ...]:
    """What is taken out because of the name that it is given: in what libraries say, not in people's SQL."""
    value = r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&)'\"]+)"
    quoted = r"(?:\\?\"(?:\\.|[^\"\\])*\\?\"|'(?:\\.|[^'\\])*')"
    name = rf"(?:[\w-]{{0,40}}[_-])?(?:{_WORDS})"
    return (
        (_ignoring_case(r"(authorization\\?[\"']?\s*[:=]\s*\\?[\"']?(?:[a-z]+ +)?)[^\s\"',}]+"), rf"\1{HIDDEN}"),
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


# -- secrets that were seen ------------------------------------------------------------------------------------------

_lock = Lock()
_seen: dict[str, None] = {}
_finder: list[re.Pattern[str]] = []
_listeners: list[Callable[[list[str]], None]] = []


def tell_secrets_to(listener: Callable[[list[str]], None]) -> None:
    """Say who else is told of secrets that are seen, such as the masker of Airflow's logs; the last one who does."""
    _listeners[:] = [listener]


def hide(*secrets: str | None) -> None:
    """Take these out of every text from now on, in every form in which libraries write them."""
    wanted = [secret for secret in secrets if secret and len(secret) >= _SHORTEST and secret.lower() not in _PLAIN]
    new = [form for secret in wanted for form in _forms(secret) if form not in _seen]
    if not new:
        return
    with _lock:
        for form in new:
            _seen[form] = None
        while len(_seen) > _MOST:
            _seen.pop(next(iter(_seen)))
        _finder.clear()
    for listener in _listeners:
        listener(new)


def hide_login(user: str | None, password: str | None) -> None:
    """As :func:`hide`, of a user's password: also as both stand together in a header."""
    hide(password)
    if user and password:
        import base64

        hide(base64.b64encode(f"{user}:{password}".encode()).decode())


def hide_connection(connection: Any, *, headers: bool = False) -> None:
    """Take out everything secret that a connection of Airflow holds, from now on.

    Parameters
    ----------
    connection
        With `login`, `password`, `host`, `schema` and `extra`, as Airflow gives it.
    headers
        Whether every text of the extra is one, as headers of a webhook are, and the path of its host, which for Slack
        and its likes is the key.
    """
    hide_login(connection.login, connection.password)
    for text in (connection.host, connection.schema):
        _hide_address(str(text or ""), path=headers)
    for name, value in _leaves(_extra_of(connection)):
        text = str(value)
        if headers or _sensitive_name().search(name):
            hide(text)
            hide(text.partition(" ")[2])  # `Bearer ...`
        _hide_address(text, path=False)


def _extra_of(connection: Any) -> Any:
    try:
        return connection.extra_dejson
    except (AttributeError, TypeError, ValueError):  # an extra that is no JSON: whoever uses it says so
        return {"secret": str(getattr(connection, "extra", "") or "")}


def _leaves(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield names and texts of nested data; what stands below a secret's name is secret, whatever it is called."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") and depth < _DEEPEST:
        import json

        try:
            yield from _leaves(json.loads(value), name, depth + 1)
        except ValueError:
            yield name, value
        yield name, value
    elif isinstance(value, Mapping) and depth < _DEEPEST:
        for key, held in value.items():
            own = name if _sensitive_name().search(name) else str(key)
            yield from _leaves(held, own, depth + 1)
    elif isinstance(value, list | tuple) and depth < _DEEPEST:
        for held in value:
            yield from _leaves(held, name, depth + 1)
    elif isinstance(value, str) and value:
        yield name, value


_DEEPEST = 8


def _hide_address(text: str, *, path: bool) -> None:
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "", text
    end = user_end(scheme or "http", rest)
    user, colon, password = rest[: max(end - 1, 0)].partition(":")
    hide_login(user, password) if colon else hide(user)
    _, question, query = rest.partition("?")
    for part in re.split("[&;]", query) if question else ():
        name, _, value = part.partition("=")
        if re.fullmatch(_SIGNED, name, re.IGNORECASE):
            hide(value)
    if path:
        hide(rest[end:].partition("/")[2])


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as it looks in an address, in JSON, in Python's, HTML's and base64's words."""
    import base64
    import html
    import json
    from urllib.parse import quote, quote_plus, unquote

    plain = dict.fromkeys((secret, unquote(secret)))
    for text in plain:
        raw = text.encode("utf-8", "surrogatepass")
        encoded = [quote(raw, safe=""), quote(raw), quote_plus(raw), quote(quote(raw, safe=""), safe="")]
        yield from dict.fromkeys(
            (
                text,
                *encoded,
                *(form.lower() if "%" in form else form for form in encoded),
                json.dumps(text)[1:-1],
                json.dumps(json.dumps(text)[1:-1])[1:-1],
                repr(text)[1:-1],
                html.escape(text),
                raw.hex(),
                *_in_base64(raw, base64.b64encode),
                *_in_base64(raw, base64.urlsafe_b64encode),
            )
        )


def _in_base64(raw: bytes, encode: Callable[[bytes], bytes]) -> Iterator[str]:
    """Yield what of bytes stays the same in base64 whatever stands before and behind them: three alignments."""
    if len(raw) < _WHOLE_WORD:
        return
    for before in range(3):
        coded = encode(b"\0" * before + raw).decode().rstrip("=")
        first = -(-before * 8 // 6)
        last = (before + len(raw)) * 8 // 6
        yield coded[first:last]


def redact(text: str) -> str:
    """Return a text without secrets.

    >>> redact("cannot reach https://ada:s3cret/pw@mlflow.example.com:5000/x?token=abc")
    'cannot reach https://mlflow.example.com:5000/x?token=***'
    >>> redact("fatal: password=hunter2 in s3://aws_default@bucket/x")
    'fatal: password=*** in s3://aws_default@bucket/x'
    """
    finder = _known()
    if finder is not None:
        text = finder.sub(HIDDEN, text)
    for pattern, instead in (
        *(_patterns() if may_look_secret(text) else ()),
        *(_assignments() if _may_assign(text) else ()),
    ):
        text = pattern.sub(instead, text)
    return text


def _known() -> re.Pattern[str] | None:
    if not _seen:
        return None
    try:
        return _finder[0]
    except IndexError:  # a secret came since
        pass
    with _lock:
        forms = sorted(_seen, key=len, reverse=True)  # the longest first: a secret may begin with another one
        finder = re.compile("|".join(map(_found, forms)))
        _finder[:] = [finder]
    return finder


def _found(form: str) -> str:
    return re.escape(form) if len(form) >= _WHOLE_WORD else rf"(?<!\w){re.escape(form)}(?!\w)"


# -- what is raised, and what is logged -------------------------------------------------------------------------------


class WithheldError(RuntimeError):
    """Stands in a traceback for an error whose own words cannot be changed, and held a secret."""


def without_secrets(error: BaseException) -> BaseException:
    """Return an error none of whose words, notes, causes and contexts holds a secret: the same one where that can be.

    Airflow logs the whole chain of a failed task's error, and libraries quote the addresses they were given.
    """
    return _cleaned(error, set())


def _cleaned(error: BaseException, done: set[int]) -> BaseException:
    if id(error) in done:
        return error
    done.add(id(error))
    for link in ("__cause__", "__context__"):
        linked = getattr(error, link)
        if linked is not None:
            suppressed = error.__suppress_context__
            setattr(error, link, _cleaned(linked, done))
            error.__suppress_context__ = suppressed  # setting a cause says that there is nothing else
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            _cleaned(inner, done)
    if not _says_secret(error):
        return error
    _rewrite(error, done)
    if not _says_secret(error):
        return error
    stand_in = WithheldError(f"{type(error).__name__}: {redact(_words(error))}")
    stand_in.__cause__, stand_in.__context__ = error.__cause__, error.__context__
    stand_in.__suppress_context__ = error.__suppress_context__
    return stand_in.with_traceback(error.__traceback__)


def _words(error: BaseException) -> str:
    try:
        words = str(error)
    except Exception as broken:  # noqa: BLE001 - an error that cannot say what it is must not hide what happened
        words = f"it cannot say ({type(broken).__name__})"
    return "\n".join((words, *map(str, getattr(error, "__notes__", ()))))


def _says_secret(error: BaseException) -> bool:
    words = _words(error)
    return redact(words) != words


def _rewrite(error: BaseException, done: set[int]) -> None:
    """Take secrets out of where errors keep their words: their arguments, their attributes, their notes."""
    notes = getattr(error, "__notes__", None)
    if notes:
        notes[:] = [redact(str(note)) for note in notes]
    error.args = tuple(_rewritten(value, done) for value in error.args)
    held = [*getattr(error, "__dict__", {}), "strerror", "filename", "filename2", "reason", "msg", "text"]
    for name in held:
        value = getattr(error, name, None)
        if name != "__notes__" and isinstance(value, str | BaseException):
            try:
                setattr(error, name, _rewritten(value, done))
            except (AttributeError, TypeError):  # it cannot be set: a stand-in is raised if it is said
                continue


def _rewritten(value: Any, done: set[int]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, BaseException):
        return _cleaned(value, done)
    if isinstance(value, tuple | list):
        return type(value)(_rewritten(one, done) for one in value) if type(value) in (tuple, list) else value
    if isinstance(value, int | float | bytes | type(None)):
        return redact(value.decode("latin-1")).encode("latin-1") if isinstance(value, bytes) else value
    words = str(value)
    return redact(words) if redact(words) != words else value


@contextmanager
def raising_no_secrets() -> Iterator[None]:
    """Take the secrets out of whatever is raised within: the one door by which errors leave a store or a task."""
    try:
        yield
    except Exception as error:
        cleaned = without_secrets(error)
        if cleaned is error:
            raise
        raise cleaned from cleaned.__cause__


@contextmanager
def logging_no_secrets() -> Iterator[None]:
    """Take the secrets out of what any library logs within: they warn of addresses that do not answer, for one."""
    global _guards, _factory  # noqa: PLW0603 - how records are made is the process's
    with _lock:
        if not _guards:
            _factory = logging.getLogRecordFactory()
            logging.setLogRecordFactory(_clean_record)
        _guards += 1
    try:
        yield
    finally:
        with _lock:
            _guards -= 1
            if not _guards and logging.getLogRecordFactory() is _clean_record:
                logging.setLogRecordFactory(_factory)


_guards = 0
_factory: Callable[..., logging.LogRecord] = logging.LogRecord


def _clean_record(*given: Any, **named: Any) -> logging.LogRecord:
    record = _factory(*given, **named)
    try:
        said = record.getMessage()
    except Exception:  # noqa: BLE001 - wrong arguments of somebody's log call are said by logging itself
        return record
    cleaned = redact(said)
    if cleaned != said:
        record.msg, record.args = cleaned, ()
    if record.exc_info and record.exc_info[1] is not None:
        error = without_secrets(record.exc_info[1])
        record.exc_info = (type(error), error, record.exc_info[2])
    return record
