"""What makes a page of another package harmless: values that cannot become markup, and a frame that reaches nothing.

Evidently writes the names and categories of the data into a script of its page as they are: a category
`</script><script>...` ends that script and begins one of its own, on MLflow's own address, with the reader's session.
So it is given names and categories that hold no character of markup, and categories only of columns whose values the
specification lets reports show. And because its page is scripts throughout, it is put into a frame of an origin of its
own that can send nothing anywhere: the attribute `sandbox` of the frame (HTML standard, 4.8.5) without
`allow-same-origin`, and a content security policy (W3C CSP3) that its content inherits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from airflow_mlops.core.records.candidate import Feature

_LOOK_ALIKES = str.maketrans(
    {"<": "\u2039", ">": "\u203a", "&": "+", '"': "\u02ba", "'": "\u02b9", "`": "\u02cb", "\\": "\u2216", "=": "\u2e40"}
)
"""What looks like them, for the characters that mean something in HTML, in scripts, or in templates."""
_BRACES = str.maketrans({"{": "(", "}": ")", "$": "S", "%": "\u2052", "/": "\u2215"})
_LONGEST = 60
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; connect-src 'none'; form-action 'none'; base-uri 'none'; object-src 'none'"
)
"""Scripts may draw, and load, send or submit nothing."""
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer"><title>{title}</title>
<style>html,body,iframe{{margin:0;border:0;padding:0;width:100%;height:100%}}iframe{{display:block;height:100vh}}</style>
</head><body><iframe sandbox="allow-scripts" title="{title}" srcdoc="{content}"></iframe></body></html>
"""


def sandboxed(page: str, title: str) -> str:
    """Return a page that shows another one, whose scripts reach neither the server that it came from nor any other.

    >>> "&lt;script&gt;" in sandboxed("<script>alert(1)</script>", "Drift")
    True
    """
    return _PAGE.format(policy=escape(POLICY), title=escape(title), content=escape(page))


def harmless(text: str) -> str:
    r"""Return a text that is the same to a person, and no markup, script or template to any program.

    >>> ascii(harmless("<b>{{x}}"))
    "'\\u2039b\\u203a((x))'"
    """
    shown = text.translate(_LOOK_ALIKES).translate(_BRACES)
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in shown)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}\u2026"


def _distinct(texts: Iterable[str]) -> Mapping[str, str]:
    """Return harmless texts by text; those that would be the same are numbered."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for text in texts:
        shown, number = harmless(text), 1
        while shown in taken:
            number += 1
            shown = f"{harmless(text)[: _LONGEST - 8]} ({number})"
        taken.add(shown)
        found[text] = shown
    return found


def harmless_frames(
    frames: Sequence[pd.DataFrame], features: Sequence[Feature], shown: Collection[str]
) -> tuple[list[pd.DataFrame], list[Feature]]:
    """Return frames of features, and the features, with names and categories that are harmless.

    Parameters
    ----------
    frames
        Each with a column for each feature, shape (n, features).
    shown
        Columns whose values may be shown. Categories of others are numbered by how often they come, in all frames.
    """
    from dataclasses import replace

    import pandas as pd

    names = _distinct(feature.name for feature in features)
    cleaned = [pd.DataFrame(index=frame.index) for frame in frames]
    for feature in features:
        columns = [frame[feature.name] for frame in frames]
        if feature.role != "numeric":
            counts = pd.concat([column.astype(object) for column in columns]).value_counts()
            texts = [str(value) for value in counts.index]
            known = _distinct(texts)
            if feature.name not in shown:
                known = {text: f"category {number}" for number, text in enumerate(known, start=1)}
            columns = [_renamed(column, known) for column in columns]
        for frame, column in zip(cleaned, columns, strict=True):
            frame[names[feature.name]] = column
    return cleaned, [replace(feature, name=names[feature.name]) for feature in features]


def _renamed(column: pd.Series, known: Mapping[str, str]) -> pd.Series:
    values = column.astype(object)
    return values.where(values.isna(), values.map(lambda value: known.get(str(value), "")))
