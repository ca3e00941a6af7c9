"""A part of a report as data: made once, rendered as a page, as Markdown and on a form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a report: any of sentences, points, facts and a table, in this order."""

    title: str
    key: str = ""
    """What it is about, for those who pick it or add a plot to it: the field of the evidence, such as `slices`."""
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    ranked: bool = False
    """Whether the points stand in the order in which they matter: they are numbered then."""
    facts: Mapping[str, str] = field(default_factory=dict)
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    """Cells of plain text. Behind a line break stands what is told beside it, in small letters where there are such."""
    tones: tuple[tuple[str, ...], ...] = ()
    """For each row, the tones of its first cells: `good`, `bad`, `unsure`, `plain`, or empty for none.

    The cell's word says the same: a tone is for the eye. Empty: no row has any.
    """
