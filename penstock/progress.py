"""What a person sees while work is done: one live line on a terminal, plain lines elsewhere.

The engine tells a :class:`Progress`; it never prints. Everything goes to standard error, so that
standard output holds results only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TextIO


class Progress(Protocol):
    """What the engine says while it works."""

    def step(self, what: str, detail: str) -> None:
        """A step of ``what`` (a feature group) has begun."""

    def advance(self, what: str, done: int, total: int) -> None:
        """So many of so many records are through."""

    def live(self, what: str, text: str) -> None:
        """How something stands that goes on and on."""

    def note(self, what: str, text: str) -> None:
        """Something worth knowing that is no failure."""


class Silent:
    """Says nothing."""

    def step(self, what: str, detail: str) -> None:
        """Nothing."""

    def advance(self, what: str, done: int, total: int) -> None:
        """Nothing."""

    def live(self, what: str, text: str) -> None:
        """Nothing."""

    def note(self, what: str, text: str) -> None:
        """Nothing."""


@dataclass
class Lines:
    """One line an event; of progress at most one line every ``every_s`` seconds.

    Args:
        out: Where to.
        clock: Monotonic seconds.
        every_s: Seconds between progress lines.
    """

    out: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic
    every_s: float = 5.0
    _began: float = field(init=False)
    _said: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self._said = self.clock()

    def step(self, what: str, detail: str) -> None:
        """One line."""
        self._line(what, detail)
        self._said = self.clock()

    def advance(self, what: str, done: int, total: int) -> None:
        """A line when enough time has passed."""
        if self.clock() - self._said >= self.every_s and total:
            self._said = self.clock()
            self._line(what, f"{done:,} of {total:,} records ({done / total:.0%})")

    def live(self, what: str, text: str) -> None:
        """A line when enough time has passed."""
        if self.clock() - self._said >= self.every_s:
            self._said = self.clock()
            self._line(what, text)

    def note(self, what: str, text: str) -> None:
        """One line."""
        self._line(what, text)

    def _line(self, what: str, text: str) -> None:
        self.out.write(f"{self.clock() - self._began:6.1f} s  {what}: {text}\n")
        self.out.flush()


class Terminal(Lines):
    """The same lines, and between them a live one that is written over."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out=out, every_s=0.2)

    def advance(self, what: str, done: int, total: int) -> None:
        """The live line: bar, share, rate."""
        now = self.clock()
        if now - self._said < self.every_s or not total:
            return
        self._said = now
        full = 24 * done // total
        bar = "█" * full + "░" * (24 - full)
        self._over(now, what, f"{bar} {done:,} of {total:,}")

    def live(self, what: str, text: str) -> None:
        """The live line."""
        self._over(self.clock(), what, text)

    def _over(self, now: float, what: str, text: str) -> None:
        self.out.write(f"\r\x1b[K{now - self._began:6.1f} s  {what}: {text}")
        self.out.flush()

    def _line(self, what: str, text: str) -> None:
        self.out.write("\r\x1b[K")
        super()._line(what, text)


def progress(out: TextIO) -> Progress:
    """The right one for where it goes."""
    return Terminal(out) if out.isatty() else Lines(out)
