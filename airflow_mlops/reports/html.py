"""One look for all reports: self-contained HTML that reads offline, in light and dark, and escapes all text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

TONES = {"good": "var(--good)", "bad": "var(--bad)", "unsure": "var(--unsure)", "plain": "var(--soft)"}
"""Colours of a verdict. They never stand alone: a word or a shape says the same."""

# Colours keep a contrast of 4.5:1 on their background. `one` and `two` are the two models of a plot: blue and orange,
# which every common colour blindness tells apart.
_STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--paper:#fff;--soft:#57606a;--line:#d8dee4;--band:#f6f8fa;
--good:#1a7f4b;--bad:#c0392b;--unsure:#8a5a00;--one:#0b66b0;--two:#b85400;--loud:#7a3e00}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--soft:#9ba4ae;--line:#30363d;--band:#161b22;
--good:#4cc38a;--bad:#ff7b72;--unsure:#e3b341;--one:#6cb6ff;--two:#f0a35e;--loud:#8a5a00}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:66rem;margin:2rem auto;
padding:0 1.25rem}
h1{font-size:1.35rem;margin:0 0 .75rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:2rem 0 .5rem}p{margin:.4rem 0}
.banner{border-left:.5rem solid var(--tone);background:var(--band);padding:.8rem 1rem;border-radius:.3rem;
overflow-wrap:anywhere}
.banner b{color:var(--tone);font-size:1.15rem}.banner ul{margin:.4rem 0 0;padding-left:1.2rem}
.loud{background:var(--loud);color:#fff;padding:.8rem 1rem;border-radius:.3rem;margin:0 0 .75rem;overflow-wrap:anywhere}
.loud b{font-size:1.15rem;display:block}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35rem .45rem;border-bottom:1px solid var(--line);vertical-align:top}
td{overflow-wrap:break-word}td:first-child .soft{white-space:nowrap}.wide+.wide,.plots+.wide{margin-top:1rem}
th{color:var(--soft);font-weight:600}td.number,th.number{text-align:right}td.number{white-space:nowrap}
.mark{color:var(--tone);font-weight:600;white-space:nowrap}.soft{color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{color:var(--soft)}dd{margin:0;
overflow-wrap:anywhere}.wide{overflow-x:auto}code{overflow-wrap:anywhere}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1rem 2rem}
a{color:var(--one)}figure{margin:0;max-width:32rem;break-inside:avoid}figcaption{font-weight:600;margin-bottom:.2rem}
svg{display:block;width:100%;height:auto;font:14px system-ui,sans-serif;fill:currentColor}
svg .soft{fill:var(--soft)}svg .grid{stroke:var(--line)}svg .axis{stroke:var(--soft)}
.one{color:var(--one)}.two{color:var(--two)}
.key{font-weight:400;font-size:.9rem;margin-right:1rem;white-space:nowrap}
.key::before{content:"";display:inline-block;width:1.6rem;border-top:3px solid currentColor;vertical-align:middle;
margin-right:.4rem}.key.two::before{border-top-style:dashed}
@media (max-width:40rem){body{margin:1rem auto;padding:0 .8rem}.wide:not(.stack) td:not(.number){min-width:7rem}
dl{display:block}dd{margin-bottom:.4rem}
.stack tr{display:block;padding:.5rem 0;border-bottom:1px solid var(--line)}.stack thead{
display:none}.stack td{display:block;border:0;padding:.05rem 0;overflow-wrap:anywhere}
.stack td:not([data-name]),.stack td:not([data-name])+td{display:inline}
.stack td .mark{margin-right:.4rem}.stack td.number{text-align:left;white-space:normal}
.stack td[data-name]:not(:empty)::before{content:attr(data-name) ": ";color:var(--soft)}
.stack td:not([data-name])+td::before{content:""!important}}
@media print{body{max-width:none;margin:0;font-size:11px}.wide{overflow:visible}tr{break-inside:avoid}
h2{break-after:avoid}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}figure{max-width:24rem}}
"""


def page(title: str, *parts: str) -> str:
    """Put parts, each already HTML, on one page.

    Parameters
    ----------
    title
        Plain text: heading and window title.
    parts
        HTML made by the other functions of this module.
    """
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    meta = '<meta name="viewport" content="width=device-width,initial-scale=1">'
    body = "\n".join(part for part in parts if part)
    return f"{head}{meta}<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"


def banner(tone: str, verdict: str, sentences: Iterable[str]) -> str:
    """The answer first, with its reasons."""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    reasons = f"<ul>{items}</ul>" if items else ""
    return f'<div class="banner" style="--tone:{TONES[tone]}"><b>{escape(verdict)}</b>{reasons}</div>'


def loud(what: str, sentence: str) -> str:
    """Something that nobody may overlook, above the answer."""
    return f'<div class="loud" role="alert"><b>{escape(what)}</b>{escape(sentence)}</div>'


def section(heading: str, body: str) -> str:
    """A heading over a body that is already HTML."""
    return f"<h2>{escape(heading)}</h2>{body}"


def optional(heading: str, *bodies: str) -> str:
    """A section over bodies that are already HTML, or nothing at all when every body is empty."""
    return section(heading, "".join(bodies)) if any(bodies) else ""


def words(text: str) -> str:
    """A small paragraph of plain text."""
    return f'<p class="soft">{escape(text)}</p>' if text else ""


def facts(pairs: Mapping[str, str]) -> str:
    """Names and values, one below the other."""
    return "<dl>" + "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in pairs.items()) + "</dl>"


def mark(tone: str, word: str) -> str:
    """A coloured word."""
    return f'<span class="mark" style="--tone:{TONES[tone]}">{escape(word)}</span>'


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: frozenset[int] = frozenset(),
    stack: bool = False,
) -> str:
    """A table of cells that are already HTML.

    Parameters
    ----------
    headings
        Plain text.
    rows
        Cells, as many as headings.
    numbers
        Columns that are set to the right.
    stack
        On a narrow screen, show each row's cells one below the other: for tables with sentences. Otherwise the table
        scrolls sideways.
    """

    def cell(tag: str, at: int, content: str) -> str:
        kind = ' class="number"' if at in numbers else ""
        name = f' data-name="{escape(headings[at])}"' if stack and tag == "td" and headings[at] else ""
        return f"<{tag}{kind}{name}>{content}</{tag}>"

    def row(tag: str, cells: Sequence[str]) -> str:
        named = zip(range(len(headings)), cells, strict=True)
        return "<tr>" + "".join(cell(tag, at, content) for at, content in named) + "</tr>"

    body = "".join(row("td", cells) for cells in rows)
    head = row("th", [escape(heading) for heading in headings])
    kind = "wide stack" if stack else "wide"
    return f'<div class="{kind}"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'
