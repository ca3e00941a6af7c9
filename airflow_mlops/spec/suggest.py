"""Suggestions for misspelt words, and values shown briefly in messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_SHOWN = 60
_COMPARED = 100
"""Characters of a word that are compared: difflib takes quadratic time, and the word may be anything."""


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` most likely stands for, whatever its case; None when none is near.

    Examples
    --------
    >>> find_nearest("Origin", ["origin", "dest"]), find_nearest("zzz", ["origin"])
    ('origin', None)
    """
    from difflib import get_close_matches  # only a wrong specification pays for it

    lowered = {name.lower(): name for name in known}
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
