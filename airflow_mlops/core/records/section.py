"""A part of a report as data: made once, rendered as a page, as Markdown and on a form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, kw_only=True)
class StoredSection:
    """A part of a report as a model card keeps it: any of sentences, points, facts and a table, in this order."""

    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    """Cells of plain text. Behind a line break stands what is told beside it, in small letters where there are such."""


@dataclass(frozen=True, kw_only=True)
class Section(StoredSection):
    """A part of a report with what only a page needs, which is not stored."""

    key: str = ""
    """What it is about, for those who pick it or add a plot to it: the field of the evidence, such as `slices`."""
    ranked: bool = False
    """Whether the points stand in the order in which they matter: they are numbered then."""
    tones: tuple[tuple[str, ...], ...] = ()
    """For each row, the tones of its first cells: `good`, `bad`, `unsure`, `plain`, or empty for none.

    The cell's word says the same: a tone is for the eye. Empty: no row has any.
    """

    def stored(self) -> StoredSection:
        """The part as a card keeps it."""
        return StoredSection(**{one.name: getattr(self, one.name) for one in fields(StoredSection)})

    @classmethod
    def shown(cls, part: StoredSection) -> Section:
        """A part that a card kept, to be rendered."""
        return cls(**{one.name: getattr(part, one.name) for one in fields(StoredSection)})
