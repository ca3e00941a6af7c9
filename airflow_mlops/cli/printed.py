"""What commands print: a text from elsewhere shows on a terminal, and does not move, clear or colour it."""

from __future__ import annotations

from typing import TextIO

from airflow_mlops.core.text import visible


def say(*texts: object, sep: str = " ", end: str = "\n", file: TextIO | None = None, flush: bool = False) -> None:
    """Print, with every character visible: names of columns, reasons and tags are other people's words."""
    print(*(visible(str(text)) for text in texts), sep=sep, end=end, file=file, flush=flush)
