"""What stays and what changes on a terminal, and what a pipe gets."""

from __future__ import annotations

import io

from airflow_mlops.cli.screen import Screen


def test_a_pipe_gets_plain_lines_and_no_status() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.status("never seen in a pipe")
    screen.say("done")
    screen.clear()
    assert out.getvalue() == "done\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_status_line_gives_way_to_lines_that_stay() -> None:
    out = Terminal()
    screen = Screen(out)
    screen.status("working")
    screen.say("done")
    assert "working" in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[2Kdone\n")
