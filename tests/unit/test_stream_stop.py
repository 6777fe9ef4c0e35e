"""A stream that is asked to stop ends by itself; who asks twice does not want to wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from penstock.run.interruption import stoppable

WAIT_S = 60.0
PROGRAM = """
    import signal, sys, time
    from penstock.run.interruption import stoppable

    try:
        with stoppable() as stop:
            print("ready", flush=True)
            while not stop.wait(0.02):
                pass
            print("asked", flush=True)
            if sys.argv[1] == "ends":
                print("ended", flush=True)
            else:
                time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    defaults = signal.SIG_DFL, signal.default_int_handler
    print(*(signal.getsignal(one) in defaults for one in (signal.SIGINT, signal.SIGTERM)))
"""


@contextmanager
def program(how: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs until it is asked to stop, and then ``ends`` or ``stays``."""
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """The next line it writes."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_nothing_is_interrupted(number: signal.Signals) -> None:
    """What is under way ends; the handlers that were there stand again."""
    with program("ends") as process:
        assert line(process) == "ready"
        process.send_signal(number)
        assert [line(process) for _ in range(3)] == ["asked", "ended", "True True"]
        assert process.wait(WAIT_S) == 0


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_interrupts(first: signal.Signals, second: signal.Signals) -> None:
    """Whichever of the two either is."""
    with program("stays") as process:
        assert line(process) == "ready"
        process.send_signal(first)
        assert line(process) == "asked"
        process.send_signal(second)
        assert [line(process) for _ in range(2)] == ["interrupted", "True True"]
        assert process.wait(WAIT_S) == 0


def _failing(seen: list[int]) -> None:
    with stoppable() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.is_set(), seen) == (True, [])
        raise ValueError("of its own")


def test_other_handlers_stand_again_also_after_an_error() -> None:
    """Of whoever embeds the engine."""
    seen: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with pytest.raises(ValueError, match="of its own"):
            _failing(seen)
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert seen == [signal.SIGTERM]
