"""A part of a report as data: made once, rendered as a page, as Markdown and on a form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a report: any of sentences, points, facts and a table, in this order."""

    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
