"""Secrets that were seen: whoever opens a connection tells of them, and from then on they are in no text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import Any

from airflow_mlops.redaction.looks import HIDDEN, SIGNED, sensitive_name, user_end

_SHORTEST = 4
"""Characters: what is shorter is no secret, and stands in any text."""
_WHOLE_WORD = 7
"""Shorter secrets are taken out where they are a word of their own."""
_MOST = 20_000
"""Forms of secrets that are remembered: a process that lives for months sees tokens come and go."""
_PLAIN = frozenset({"true", "false", "none", "null", "airflow", "http", "https"})
"""Values that stand where secrets do, and are none."""

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
        if headers or sensitive_name().search(name):
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
            own = name if sensitive_name().search(name) else str(key)
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
        if re.fullmatch(SIGNED, name, re.IGNORECASE):
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


def without_seen(text: str) -> str:
    """Take out what was seen."""
    finder = _known()
    return text if finder is None else finder.sub(HIDDEN, text)


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
