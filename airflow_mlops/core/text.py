"""Words and numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from airflow_mlops.redaction import redact


def metric_label(metric: str) -> str:
    """Write a metric's name in words; the import path of a team's own stays one.

    >>> metric_label("roc_auc"), metric_label("our_team.costs.cost_of_delay")
    ('roc auc', 'our_team.costs.cost_of_delay')
    """
    return metric if "." in metric else metric.replace("_", " ")


def one_line(text: str, longest: int) -> str:
    """One line of printable characters, without secrets; PostgreSQL stores no NUL and UTF-8 no half of a pair."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in redact(text)).split())
    line = line.encode("utf-8", "replace").decode()
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def visible(text: str, *, keep: str = "\n\t") -> str:
    r"""Text in which every character shows: a terminal obeys some, and some readers of YAML and JSON end a line at one.

    What does not show is written as JSON and YAML write it between quotes; there it is still the same text.

    >>> visible("ok\x1b[2K\u2028a"), visible("a\nb", keep="")
    ('ok\\u001b[2K\\u2028a', 'a\\u000ab')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(ord(c)) for c in text)


def _escaped(number: int) -> str:
    if number <= 0xFFFF:  # noqa: PLR2004 - what four digits say
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def as_sentences(parts: Iterable[str]) -> str:
    """Join what several places say so that a reader sees where each ends; some of them write a full stop, some do not.

    >>> as_sentences(("rmse 9.03: up to 7.54 is no decay", "the estimate says nothing"))
    'rmse 9.03: up to 7.54 is no decay; the estimate says nothing.'
    >>> as_sentences(("2 of 6 columns are in drift.", "temp: PSI 0.7."))
    '2 of 6 columns are in drift. temp: PSI 0.7.'
    """
    said = ""
    for part in filter(None, (part.strip() for part in parts)):
        between = "" if not said else " " if said.endswith(_STOPS) else "; " if part[0].islower() else ". "
        said += between + part
    return said if not said or said.endswith(_STOPS) else f"{said}."


_STOPS = (".", "!", "?")


LONGEST, SHORT = 300, 80
"""Characters of a sentence, and of a name, that are shown."""


def format_number(value: float | None) -> str:
    """A number for a person; what is none is said in words.

    >>> [format_number(value) for value in (0.41234567, 23.4567, 123456.0, 0.000012, 1e300)]
    ['0.4123', '23.457', '123,456', '1.2e-05', '1e+300']
    >>> [format_number(value) for value in (None, float("nan"), float("-inf"))]
    ['none', 'not a number', 'minus infinite']
    """
    if value is None:
        return "none"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite" if value > 0 else "minus infinite"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 5e-4 or size >= 1e9:  # noqa: PLR2004 - plain digits would be zeros
        return f"{value:.2g}"
    if size > 1 and float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.{4 if size < 10 else 3 if size < 100 else 1}f}"  # noqa: PLR2004 - about five digits


def format_percent(share: float) -> str:
    """A share in percent.

    >>> format_percent(0.0421), format_percent(float("nan"))
    ('4.2 %', 'not a number')
    """
    return f"{share * 100:.1f} %" if math.isfinite(share * 100) else format_number(share)


def spell_out(word: str) -> str:
    """A name in words: `roc_auc` becomes `roc auc`. Of a metric, which may be an import path: :func:`metric_label`."""
    return word.replace("_", " ")


def clip_text(text: str, most: int = LONGEST) -> str:
    """Text of a length that a page can show."""
    return text if len(text) <= most else f"{text[: most - 1]}\u2026"
