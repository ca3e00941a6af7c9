"""One look for all reports: self-contained HTML that reads offline, in light and dark, and escapes all text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

TONES = {"good": "#1a7f4b", "bad": "#c0392b", "unsure": "#b7791f", "plain": "#57606a"}

_STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--paper:#fff;--soft:#57606a;--line:#d8dee4;--band:#f6f8fa}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--soft:#9198a1;--line:#30363d;--band:#161b22}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:66rem;margin:2rem auto;
padding:0 1.25rem}
h1{font-size:1.35rem;margin:0 0 .75rem}h2{font-size:1.05rem;margin:2rem 0 .5rem}
.banner{border-left:.5rem solid var(--tone);background:var(--band);padding:.8rem 1rem;border-radius:.3rem}
.banner b{color:var(--tone);font-size:1.15rem}.banner ul{margin:.4rem 0 0;padding-left:1.2rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}td.number,th.number{text-align:right;white-space:nowrap}
.mark{color:var(--tone);font-weight:600;white-space:nowrap}.soft{color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{color:var(--soft)}dd{margin:0;
overflow-wrap:anywhere}.wide{overflow-x:auto}
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
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    meta = '<meta name="viewport" content="width=device-width,initial-scale=1">'
    return f"{head}{meta}<style>{_STYLE}</style><body><h1>{escape(title)}</h1>{''.join(parts)}</body></html>\n"


def banner(tone: str, verdict: str, sentences: Iterable[str]) -> str:
    """The answer first, with its reasons."""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    reasons = f"<ul>{items}</ul>" if items else ""
    return f'<div class="banner" style="--tone:{TONES[tone]}"><b>{escape(verdict)}</b>{reasons}</div>'


def section(heading: str, body: str) -> str:
    """A heading over a body that is already HTML."""
    return f"<h2>{escape(heading)}</h2>{body}"


def facts(pairs: Mapping[str, str]) -> str:
    """Names and values, one below the other."""
    return "<dl>" + "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in pairs.items()) + "</dl>"


def mark(tone: str, word: str) -> str:
    """A coloured word."""
    return f'<span class="mark" style="--tone:{TONES[tone]}">{escape(word)}</span>'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: frozenset[int] = frozenset()) -> str:
    """A table of cells that are already HTML; the columns in `numbers` are set to the right."""

    def row(tag: str, cells: Sequence[str]) -> str:
        classes = [' class="number"' if i in numbers else "" for i in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{c}>{cell}</{tag}>" for c, cell in zip(classes, cells, strict=True)) + "</tr>"

    body = "".join(row("td", cells) for cells in rows)
    return f'<div class="wide"><table>{row("th", [escape(h) for h in headings])}{body}</table></div>'
