"""Sections of plain text as Markdown, for the model card and the approval form: every text is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from airflow_mlops.core.records.section import Section
from airflow_mlops.core.text import clip_text
from airflow_mlops.reports.html import clip_lines, is_web, number_columns, quote_address, render_page

MOST_ROWS = 60
"""Rows of one table."""


def markdown(title: str, top: Mapping[str, str], sections: Sequence[Section], links: Mapping[str, str]) -> str:
    """The card as GitHub-flavoured Markdown."""
    parts = [f"# {plain(title)}", facts(top), anchors(links), *(section_markdown(part) for part in sections)]
    return "\n\n".join(part for part in parts if part) + "\n"


def section_markdown(part: Section, *, level: int = 2, most: int = MOST_ROWS) -> str:
    """A part as GitHub-flavoured Markdown.

    Parameters
    ----------
    part
        Of plain text, which is escaped.
    level
        Of its heading.
    most
        Rows of its table.
    """
    points = "\n".join(f"{'1.' if part.ranked else '-'} {plain(text)}" for text in part.points)
    parts = [f"{'#' * level} {plain(part.title)}", *(plain(text) for text in part.sentences), points]
    return "\n\n".join(text for text in [*parts, facts(part.facts), table(part, most)] if text)


def short(title: str, top: Mapping[str, str], limits: Sequence[str], links: Mapping[str, str], longest: int) -> str:
    """As many whole lines of Markdown as fit: facts first, then links, then limitations."""
    lines = [f"- **{plain(name)}**: {plain(clip_text(value, 300))}" for name, value in top.items() if name != "Status"]
    named = anchors(links)
    lines += [f"- {named}"] if named and len(named) <= longest // 3 else []
    lines += [f"- **Limitation**: {plain(clip_text(text, 200))}" for text in limits]
    found = f"**{plain(clip_text(title, 150))}**\n"
    for line in lines:
        if len(found) + len(line) + 1 <= longest:
            found += f"\n{line}"
    return found


def html(title: str, top: Mapping[str, str], sections: Sequence[Section], links: Mapping[str, str]) -> str:
    """The card as one self-contained page in the look of all reports."""
    return render_page(title, sections, facts=top, links=links, most=MOST_ROWS)


def plain(text: str) -> str:
    r"""Text that Markdown shows as it is, on one line.

    >>> print(plain("roc_auc | *x* <b>\n# y"))
    roc_auc \| \*x\* \<b\> # y
    """
    line = re.sub(r"([\\`*\[\]<>|~&$])", r"\\\1", " ".join(text.split()))
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)  # within a word it means nothing
    line = re.sub(r":(?=//)|(?<=www)\.|@", lambda found: f"\\{found.group()}", line, flags=re.IGNORECASE)
    # What begins a list, a heading or a rule, where a line begins with it.
    line = re.sub(r"^(\d+)([.)])(?= |$)", r"\1\\\2", line)
    return re.sub(r"^(#+|[+-]|=+)(?= |$)|^(-+|=+)$", lambda found: "\\" + "\\".join(found.group()), line)


def facts(pairs: Mapping[str, str]) -> str:
    """Names and values as a list."""
    return "\n".join(f"- **{plain(name)}**: {plain(clip_text(value))}" for name, value in pairs.items())


def table(part: Section, most: int = MOST_ROWS) -> str:
    """The table of a section as GitHub-flavoured Markdown; empty for none."""
    if not part.rows:
        return ""
    numbers = number_columns(part)
    rule = ["---:" if at in numbers else "---" for at in range(len(part.headings))]
    lines = [[plain(heading) for heading in part.headings], rule]
    lines += [
        [plain(clip_lines(text).replace("\n(", " (").replace("\n", "; ")) for text in row] for row in part.rows[:most]
    ]
    more = len(part.rows) - most
    rest = f"\n\n{more:,} more are in the decision's JSON." if more > 0 else ""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + rest


def anchors(links: Mapping[str, str]) -> str:
    """Links beside each other; an address that is none of the web is only shown."""
    return " \u00b7 ".join(_link(name, address) for name, address in links.items())


def _link(name: str, address: str) -> str:
    return f"[{plain(name)}]({quote_address(address)})" if is_web(address) else f"{plain(name)}: {plain(address)}"
