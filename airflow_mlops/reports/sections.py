"""A model card as Markdown and as a page, from sections of plain text: every text is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote, urlsplit

from airflow_mlops.core.records.section import Section
from airflow_mlops.core.text import clip_text
from airflow_mlops.reports.html import facts, page, section, table

MOST_ROWS = 60
"""Rows of one table."""


def markdown(title: str, top: Mapping[str, str], sections: Sequence[Section], links: Mapping[str, str]) -> str:
    """The card as GitHub-flavoured Markdown."""
    parts = [f"# {plain(title)}", _points(top), _links(links)]
    for part in sections:
        parts += [f"## {plain(part.title)}", *(plain(text) for text in part.sentences)]
        parts += ["\n".join(f"- {plain(text)}" for text in part.points), _points(part.facts), _table(part)]
    return "\n\n".join(part for part in parts if part) + "\n"


def short(title: str, top: Mapping[str, str], limits: Sequence[str], links: Mapping[str, str], longest: int) -> str:
    """As many whole lines of Markdown as fit: facts first, then links, then limitations."""
    lines = [f"- **{plain(name)}**: {plain(clip_text(value, 300))}" for name, value in top.items() if name != "Status"]
    named = _links(links)
    lines += [f"- {named}"] if named and len(named) <= longest // 3 else []
    lines += [f"- **Limitation**: {plain(clip_text(text, 200))}" for text in limits]
    found = f"**{plain(clip_text(title, 150))}**\n"
    for line in lines:
        if len(found) + len(line) + 1 <= longest:
            found += f"\n{line}"
    return found


def html(title: str, top: Mapping[str, str], sections: Sequence[Section], links: Mapping[str, str]) -> str:
    """The card as one self-contained page in the look of all reports."""
    anchors = " · ".join(_anchor(name, address) for name, address in links.items())
    parts = [facts({name: clip_text(value) for name, value in top.items()}), f"<p>{anchors}</p>" if anchors else ""]
    for part in sections:
        body = "".join(f"<p>{escape(clip_text(text))}</p>" for text in part.sentences)
        points = "".join(f"<li>{escape(clip_text(text))}</li>" for text in part.points)
        body += f"<ul>{points}</ul>" if points else ""
        body += facts({name: clip_text(value) for name, value in part.facts.items()}) if part.facts else ""
        if part.rows:
            cells = [[escape(clip_text(text)) for text in row] for row in part.rows[:MOST_ROWS]]
            wordy = not {"reason", "in words"}.isdisjoint(part.headings)
            body += table(part.headings, cells, numbers=_numbers(part), stack=wordy)
            body += _rest(part, "<p class='soft'>{}</p>")
        parts.append(section(part.title, body))
    return page(title, *parts)


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


def _points(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"- **{plain(name)}**: {plain(clip_text(value))}" for name, value in pairs.items())


def _table(part: Section) -> str:
    if not part.rows:
        return ""
    numbers = _numbers(part)
    rule = ["---:" if at in numbers else "---" for at in range(len(part.headings))]
    lines = [[plain(heading) for heading in part.headings], rule]
    lines += [[plain(clip_text(text)) for text in row] for row in part.rows[:MOST_ROWS]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + _rest(part, "\n\n{}")


def _rest(part: Section, form: str) -> str:
    more = len(part.rows) - MOST_ROWS
    return form.format(f"{more:,} more are in the decision's JSON.") if more > 0 else ""


def _numbers(part: Section) -> frozenset[int]:
    """Columns that hold nothing but numbers, or the lack of one."""
    return frozenset(
        at for at in range(len(part.headings)) if part.rows and all(_is_number(row[at]) for row in part.rows)
    )


def _is_number(text: str) -> bool:
    found = re.fullmatch(r"-?\d[\d,]*(\.\d+)?(e[+-]?\d+)?( %| \(.*\))?", text)
    return found is not None or text in {"none", "not a number", "infinite", "minus infinite", ""}


def _links(links: Mapping[str, str]) -> str:
    return " \u00b7 ".join(_link(name, address) for name, address in links.items())


def _link(name: str, address: str) -> str:
    return f"[{plain(name)}]({_quoted(address)})" if _is_web(address) else f"{plain(name)}: {plain(address)}"


def _anchor(name: str, address: str) -> str:
    if not _is_web(address):
        return f"{escape(name)}: {escape(address)}"
    return f'<a href="{escape(_quoted(address))}" rel="noopener noreferrer">{escape(name)}</a>'


def _is_web(address: str) -> bool:
    """Only these become links: a card may be opened by somebody who did not write the address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _quoted(address: str) -> str:
    return quote(address, safe="%/:=&?~#+!$,;'@")
