"""Suggestions for misspelt words, and values shown briefly in messages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import islice
from typing import Any

_SHOWN = 60
_COMPARED = 100
"""Characters of a word that are compared: difflib takes quadratic time, and the word may be anything."""
_MOST = 5000
"""Known words that are compared, each in some microseconds."""


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` most likely stands for, whatever its case; None when none is near.

    Examples
    --------
    >>> find_nearest("Origin", ["origin", "dest"]), find_nearest("zzz", ["origin"])
    ('origin', None)
    """
    from difflib import get_close_matches  # only a wrong specification pays for it

    lowered = {name.lower(): name for name in islice(known, _MOST)}
    near = get_close_matches(word.lower()[:_COMPARED], lowered, n=1, cutoff=0.6)
    return lowered[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the nearest known word; empty when none is near.

    Examples
    --------
    >>> did_you_mean("log_los", ["log_loss", "roc_auc"]), did_you_mean("zzz", ["log_loss"])
    ("did you mean 'log_loss'?", '')
    """
    near = find_nearest(word, known)
    return f"did you mean {near!r}?" if near is not None else ""


def composed(text: str) -> str:
    """Return a text with each letter and its marks as one character, where there is one: Unicode's normal form NFC.

    macOS and some databases write an accent as a character of its own; nobody sees or types the difference.

    >>> composed("e\u0301") == "\u00e9", composed("plain")
    (True, 'plain')
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def likeness(wanted: str, found: str) -> float:
    """How alike two column names are, from 0 to 1.

    Case and separators do not count; a name whose words are the other's, or begin them, is nearly the same.

    >>> likeness("depTime", "dep_time"), likeness("scheduled_departure", "sched_dep") > 0.8, likeness("a", "z")
    (1.0, True, 0.0)
    """
    from difflib import SequenceMatcher

    left, right = _words(composed(wanted)), _words(composed(found))
    if "".join(left) == "".join(right):
        return 1.0
    short, long = sorted((left, right), key=len)
    if short and all(any(_begins(word, other) for other in long) for word in short):
        return 0.75 + 0.2 * len(short) / len(long)
    return SequenceMatcher(None, "".join(left), "".join(right)).ratio()


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+", name)]


def _begins(word: str, other: str) -> bool:
    short, long = sorted((word, other), key=len)
    return word == other or (len(short) >= 3 and long.startswith(short))  # noqa: PLR2004 - shorter ones begin too many


def shown(value: Any) -> str:
    """Show a value of the specification in a few words.

    Examples
    --------
    >>> shown("roc"), shown({"a": 1}), shown(None), shown([1, 2])
    ("'roc'", 'a mapping', 'nothing (null)', 'a list of 2')
    """
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
