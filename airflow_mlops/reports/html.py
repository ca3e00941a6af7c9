"""One look for all reports: self-contained HTML that reads offline, in light and dark.

The pages are Jinja2 templates whose environment escapes every text by itself; what is not text but SVG is marked so
here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

from airflow_mlops.core.records.section import Section
from airflow_mlops.core.text import clip_text

if TYPE_CHECKING:
    from jinja2 import Environment

TONES = {"good": "var(--good)", "bad": "var(--bad)", "unsure": "var(--unsure)", "plain": "var(--soft)"}
"""Colours of a verdict in SVG; in HTML they are classes. They never stand alone: a word or a shape says the same."""
_NOT_FINITE = frozenset({"not a number", "infinite", "minus infinite"})
_WORDY = frozenset({"reason", "in words", "segment", "because"})
"""Columns of sentences: on a narrow screen their tables show a row's cells below each other, instead of scrolling."""
_MOST_LINES = 5
"""Of one cell."""
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Banner:
    """The answer of a page, with its reasons: plain text."""

    tone: str
    verdict: str
    reasons: Sequence[str] = ()


class PageLink(NamedTuple):
    """A name and an address; only one of the web can be followed."""

    name: str
    address: str
    web: bool


class TableCell(NamedTuple):
    """A cell of plain text, and how it is shown."""

    name: str
    """Its heading, where the cell does not say by itself what it is."""
    text: str
    number: bool
    tone: str
    best: bool
    faint: bool


def render_page(
    title: str,
    sections: Iterable[Section],
    *,
    alarm: tuple[str, str] | None = None,
    banner: Banner | None = None,
    facts: Mapping[str, str] = _NOTHING,
    links: Mapping[str, str] = _NOTHING,
    plots: Mapping[str, str] = _NOTHING,
    most: int | None = None,
    note: str = "",
) -> str:
    """Write a page that needs nothing but itself. Every text is plain: the template escapes it.

    Parameters
    ----------
    title
        Heading and window title.
    sections
        The parts, in order.
    alarm
        Heading and sentence of what nobody may overlook, above the answer.
    banner
        The answer.
    facts
        Names and values above the first section.
    links
        Names and addresses; only http and https become links.
    plots
        SVG by the key of the section that it belongs to, made by the functions of `svg`: the only markup that a caller
        hands over.
    most
        Rows of one table; None: all.
    note
        A last, small paragraph.

    Returns
    -------
    str
        HTML with its style inside.
    """
    from markupsafe import Markup

    return (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            sections=list(sections),
            alarm=alarm,
            banner=banner,
            facts=facts,
            links=[
                PageLink(name, quote_address(link) if is_web(link) else link, is_web(link))
                for name, link in links.items()
            ],
            plots={key: Markup(svg) for key, svg in plots.items()},  # noqa: S704 - SVG of our own, whose texts are escaped
            most=most,
            note=note,
        )
    )


@cache
def _environment() -> Environment:
    """Jinja2 is imported, and each template compiled, when the first page is written."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("airflow_mlops.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "clipped": clip_text,
        "cells": _cells,
        "number_columns": number_columns,
        "is_wordy": _is_wordy,
    }
    return made


def _cells(part: Section, most: int | None) -> list[list[TableCell]]:
    numbers = number_columns(part)
    rows = []
    for at, row in enumerate(part.rows[:most]):
        tones = part.tones[at] if part.tones else ()
        rows.append(
            [
                _cell(heading if column or not part.tones else "", text, column in numbers, tone)
                for column, (heading, text, tone) in enumerate(
                    zip(part.headings, row, (*tones, *[""] * (len(row) - len(tones))), strict=True)
                )
            ]
        )
    return rows


def _cell(heading: str, text: str, number: bool, tone: str) -> TableCell:
    return TableCell(
        name=heading,
        text=clip_lines(text),
        number=number,
        tone=tone if tone in TONES else "bad" if number and text in _NOT_FINITE else "",
        best=number and text.startswith("\u2713"),
        faint=number and text == "none",
    )


def clip_lines(text: str) -> str:
    """A cell of a length that a table can show: each of its first lines is."""
    return "\n".join(clip_text(line) for line in text.split("\n", _MOST_LINES - 1))


def number_columns(part: Section) -> frozenset[int]:
    """Columns that hold nothing but numbers or dates, or the lack of one."""
    return frozenset(
        at
        for at in range(len(part.headings))
        if any(row[at] for row in part.rows) and all(_is_number(row[at]) for row in part.rows)
    )


def _is_number(text: str) -> bool:
    found = re.fullmatch(r"(\u2713\u00a0|< )?-?\d[\d,]*(\.\d+)?(e[+-]?\d+)?( %|[ \n]\(.*\))?", text)
    return (
        found is not None
        or re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None
        or text in {*_NOT_FINITE, "none", "-", ""}
    )


def _is_wordy(part: Section) -> bool:
    return not _WORDY.isdisjoint(part.headings)


def is_web(address: str) -> bool:
    """Only these become links: a card may be opened by somebody who did not write the address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def quote_address(address: str) -> str:
    """An address whose every sign may stand in a link of HTML and of Markdown."""
    return quote(address, safe="%/:=&?~#+!$,;'@")
