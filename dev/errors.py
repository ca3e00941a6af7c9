"""What goes wrong on this machine, told to the person who typed the command."""

from __future__ import annotations


class DevError(RuntimeError):
    """The stack or the demo cannot go on. The message says what happened and what to do; no traceback helps."""
