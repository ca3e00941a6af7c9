"""Credentials have no place in a specification: it is stored with every model, shown on pages, and in version control.

Every text of it is looked at, in every form in which the syntax of addresses lets a secret be written: user and
password before a host, percent-encoded or not, with letters that only look like `:` and `@`, signatures in a query or a
fragment, keys whose makers gave them a shape, and headers that authorise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from airflow_mlops.redaction import looks_secret, may_look_secret, user_end
from airflow_mlops.spec.base import SpecModel
from airflow_mlops.spec.errors import wrong

if TYPE_CHECKING:
    from airflow_mlops.spec.model import ModelSpec
    from airflow_mlops.spec.problems import Problem

_DEEPEST = 4
"""Times that a text may be percent-encoded."""
_NAMES = "password|passwd|pwd|passphrase|secret|token|api_?key|access_?key|private_?key|authorization|credentials?"
NOT_SHOWN = "(not shown)"


def holds_credentials(text: str, *, place: bool = False) -> bool:
    """Whether a text holds a secret.

    Parameters
    ----------
    place
        Whether the text is an address or a path, and nothing else: then anything that could be a user and a password
        is one, and every query that carries a name of signatures.

    Examples
    --------
    >>> holds_credentials("s3://aws_default@bucket/x"), holds_credentials("s3://AKIA:wJalrXUt/K7MDENG@bucket/x")
    (False, True)
    >>> holds_credentials("https://h/x.parquet?X-Amz-Signature=S3CR3T"), holds_credentials("a: b, c@d")
    (True, False)
    """
    return any(_plainly(form, place=place) for form in _decoded(text))


def _decoded(text: str) -> Iterator[str]:
    """Yield a text as it is, and as programs would read it: percent-decoded, and with compatible letters."""
    from urllib.parse import unquote

    form = text
    for _ in range(_DEEPEST):
        yield form
        folded = normalize("NFKC", form)
        if folded != form:
            yield folded
        decoded = unquote(folded)
        if decoded == form:
            return
        form = decoded


def _plainly(text: str, *, place: bool) -> bool:
    joined = "".join(text.split()) if place else text  # line ends within an address are passed over by some readers
    return looks_secret(joined) or (place and _hides_user(joined))


def _hides_user(text: str) -> bool:
    """Whether something in a place could be a user and a password, by anybody's reading of it."""
    scheme, mark, rest = text.replace("\\", "/").partition("://")
    if not mark:
        return re.search(r"^(?:[a-z0-9+.-]+:)?/{0,3}[^/@]+:[^@]*@|^//[^/]*@", text, re.IGNORECASE) is not None
    if user_end(scheme, rest):
        return True
    authority = rest.partition("/")[0]
    user, at, _ = authority.rpartition("@")
    # An @ behind a port: nobody can tell a path from a password that holds a slash.
    port = ":" in authority.rpartition("]")[2] and "@" in rest
    return port or (bool(at) and _conn_id().fullmatch(user) is None)


@cache
def _conn_id() -> re.Pattern[str]:
    return re.compile(r"[\w.\-]{1,200}")


def problems_of_credentials(spec: ModelSpec) -> Iterator[Problem]:
    """Yield a problem for each text of a whole specification that holds a secret; none of them is shown."""
    for path in _holding(list(_texts(spec))):
        yield _problem(path, f"a text with a password, a token or a key {NOT_SHOWN}")
    for number, told in enumerate(spec.notifications):
        for path, text in _texts(told.arguments):
            name = path.rpartition(".")[2]
            named = re.fullmatch(rf"(?:\w*[_\-.])?(?:{_NAMES})", name, re.IGNORECASE)
            if (named and "{{" not in text) or re.match(r"(?:basic|bearer|token) +\S{6,}$", text, re.IGNORECASE):
                yield _problem(f"notifications.{number}.arguments.{path}", f"a secret as an argument {NOT_SHOWN}")


def _holding(texts: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the paths of texts that hold a secret.

    All are looked at as one, and halves of them only where something is: a file of 60,000 texts costs what one search
    of 256 kB costs.
    """
    together = "\n".join(text for _, text in texts)
    if together.isascii() and not may_look_secret(together):  # other letters may fold to those of a mark
        return
    if not holds_credentials(together):
        return
    if len(texts) == 1:
        yield texts[0][0]
        return
    half = len(texts) // 2
    yield from _holding(texts[:half])
    yield from _holding(texts[half:])


def _texts(data: Any) -> Iterator[tuple[str, str]]:
    left: list[tuple[str, Any]] = [("", data)]
    while left:
        path, value = left.pop()
        if isinstance(value, str):
            yield path, value
            continue
        inner: list[tuple[Any, Any]] = []
        if isinstance(value, SpecModel):
            inner = [*value.__dict__.items(), *(value.model_extra or {}).items()]
        elif isinstance(value, Mapping):
            inner = list(value.items())
            yield from ((path, str(key)) for key in value)
        elif isinstance(value, list | tuple):
            inner = list(enumerate(value))
        left += [(f"{path}.{key}" if path else str(key), held) for key, held in reversed(inner)]


def _problem(path: str, found: str) -> Problem:
    return wrong(
        path or "(top level)",
        found,
        "texts without secrets: a specification is stored with every model, and shown on its pages",
        "keep it in an Airflow connection, and name that; and change the secret, which others have read by now",
        code="spec_unsafe",
    )
