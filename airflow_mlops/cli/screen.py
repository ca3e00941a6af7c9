"""What a long command shows: lines that stay, and one line that changes on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from airflow_mlops.core.text import visible

_CLEAR = "\r\x1b[2K"


class Screen:
    """Writes lines; on a terminal also a status line below them, which nothing but a terminal can show."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._live = self._out.isatty()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def say(self, line: str = "") -> None:
        """Write a line that stays."""
        self._out.write((_CLEAR if self._live else "") + visible(line) + "\n")
        self._out.flush()

    def status(self, text: str) -> None:
        """Replace the status line; it shows that something happens, and what."""
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._out.write(_CLEAR + visible(f"[{self.seconds:4.0f} s] {text}", keep="")[:width])
            self._out.flush()

    def clear(self) -> None:
        """Remove the status line."""
        if self._live:
            self._out.write(_CLEAR)
            self._out.flush()
