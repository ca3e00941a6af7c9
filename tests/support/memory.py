"""How much memory a piece of work took, in this process or as a program of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

PRINT_PEAK = (
    "import pathlib\n"
    "print(next(int(line.split()[1]) for line in pathlib.Path('/proc/self/status').read_text().splitlines()"
    " if line.startswith('VmHWM:')))\n"
)
"""Lines that a test gives to a program of its own: prints its largest resident set, in KiB.

Not `getrusage`: across fork and exec, that begins with what the parent held, which is a test worker of 1 GB.
"""


def _kilobytes(field: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def peak_growth(work: Callable[[], object]) -> int:
    """KiB by which the resident set was larger at its largest while `work` ran than before.

    The kernel's mark is put back first (`proc(5)`, clear_refs, 5): otherwise, a test that follows one which held
    much could not fail.
    """
    _RESET.write_text("5")
    before = _kilobytes("VmRSS:")
    work()
    return _kilobytes("VmHWM:") - before
