"""What a person sees while work is done."""

from __future__ import annotations

import io

from penstock.progress import Lines, Terminal, progress


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_say_steps_at_once_and_progress_now_and_then() -> None:
    """Every step is a line with the seconds since the start; progress at most every five."""
    out, clock = io.StringIO(), _Clock()
    lines = Lines(out, clock)
    clock.now += 2
    lines.step("flights", "sending 1,000 records")
    for done in range(0, 1_000, 100):
        clock.now += 1
        lines.advance("flights", done, 1_000)
    assert out.getvalue().splitlines() == [
        "   2.0 s  flights: sending 1,000 records",
        "   7.0 s  flights: 400 of 1,000 records (40%)",
        "  12.0 s  flights: 900 of 1,000 records (90%)",
    ]


def test_a_terminal_gets_one_live_line_that_later_lines_replace() -> None:
    """The live line starts with a return and ends without a line break."""
    out, clock = io.StringIO(), _Clock()
    terminal = Terminal(out)
    terminal.clock = clock
    clock.now += 10_000_000
    terminal.advance("flights", 500, 1_000)
    live = out.getvalue()
    assert live.startswith("\r")
    assert "500 of 1,000" in live
    assert not live.endswith("\n")
    terminal.note("flights", "done")
    assert out.getvalue().endswith("flights: done\n")


def test_where_it_goes_decides() -> None:
    """A file is no terminal."""
    assert type(progress(io.StringIO())) is Lines
