"""Words and numbers as people read them."""

from __future__ import annotations


def metric_label(metric: str) -> str:
    """Write a metric's name in words; the import path of a team's own stays one.

    >>> words("roc_auc"), words("our_team.costs.cost_of_delay")
    ('roc auc', 'our_team.costs.cost_of_delay')
    """
    return metric if "." in metric else metric.replace("_", " ")


def one_line(text: str, longest: int) -> str:
    """One line of printable characters; PostgreSQL stores no NUL and UTF-8 no half of a pair."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    line = line.encode("utf-8", "replace").decode()
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
