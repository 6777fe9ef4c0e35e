"""The loop: wait until an event is due, hand it over, until all have arrived or something ends it.

Nothing here knows who takes the events. Clock, sleep and the wish to stop are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from penstock.errors import PenstockError
from penstock.replay.events import Event
from penstock.replay.pacing import Pace
from penstock.replay.target import Sink

TICK_S = 0.05  # at least so often it looks whether to stop
SAID_EVERY_S = 5.0
STOPPED_S = 10.0  # how long a stopped replay waits for what is on its way

Clock = Callable[[], float]


@dataclass(frozen=True)
class Sent:
    """How it ended.

    Args:
        sent: Events that have arrived.
        failed: Events that were handed over, and nobody knows whether they arrived.
        seconds: From the first to the last.
        stopped: Whether it was asked to.
        failure: What ended it; None where nothing did.
    """

    sent: int
    failed: int
    seconds: float
    stopped: bool
    failure: PenstockError | None


@dataclass(frozen=True)
class Surroundings:
    """What the loop is given of the world.

    Args:
        clock: Monotonic seconds.
        sleep: Waits so many.
        stopped: Whether somebody wants it to end.
        told: Gets the number of events that have arrived, every few seconds.
    """

    clock: Clock
    sleep: Callable[[float], None]
    stopped: Callable[[], bool] = lambda: False
    told: Callable[[int], None] = lambda _sent: None


def replay(events: Iterable[Event], pace: Pace, sink: Sink, around: Surroundings) -> Sent:
    """Send events in their order.

    At least once: an event whose answer was lost may arrive twice, and the same replay again sends
    all of it again.

    Args:
        events: In the order they are sent. An error of ours that they raise is the failure.
        pace: When each is due.
        sink: Takes them.
        around: Clock, sleep, and who may stop it.
    """
    return _Loop(pace, sink, around).run(events)


class _Loop:
    def __init__(self, pace: Pace, sink: Sink, around: Surroundings) -> None:
        self._pace, self._sink, self._around = pace, sink, around
        self._given = 0
        self._began = self._said = around.clock()

    def run(self, events: Iterable[Event]) -> Sent:
        broken: PenstockError | None = None
        try:
            self._send(events)
        except PenstockError as error:  # of a file: what was read before it arrives all the same
            broken = error
        self._drain()
        sent, seconds = self._sink.sent, self._around.clock() - self._began
        failure = self._sink.failure or broken
        return Sent(sent, self._given - sent, seconds, self._around.stopped(), failure)

    def _send(self, events: Iterable[Event]) -> None:
        first: float | None = None
        for event in events:
            if first is None:
                first = event.at
            since = 0.0 if event.at is None or first is None else event.at - first
            self._wait(self._began + self._pace.due(self._given, since))
            if not self._handed_over(event):
                return
            self._given += 1

    def _goes_on(self) -> bool:
        return self._sink.failure is None and not self._around.stopped()

    def _handed_over(self, event: Event) -> bool:
        """Whether it was taken; not if something ended the replay before."""
        while self._goes_on():
            if self._sink.send(event):
                return True
            self._serve(TICK_S)
        return False

    def _wait(self, due: float) -> None:
        while self._goes_on() and (left := due - self._now()) > 0.0:
            self._serve(left)

    def _drain(self) -> None:
        """Until nothing is on its way; a sink ends by itself, one that is stopped is hurried."""
        until: float | None = None
        while self._sink.pending and self._sink.failure is None:
            if self._around.stopped():
                now = self._around.clock()
                until = now + STOPPED_S if until is None else until
                if now >= until:
                    return
            self._serve(TICK_S)

    def _serve(self, most: float) -> None:
        """Let the sink do its work, and sleep where it has none."""
        idle = self._sink.serve()
        self._now()
        if idle > 0.0:
            self._around.sleep(min(idle, most, TICK_S))

    def _now(self) -> float:
        """The clock's reading; now and then somebody is told how far it is."""
        now = self._around.clock()
        if now - self._said >= SAID_EVERY_S:
            self._said = now
            self._around.told(self._sink.sent)
        return now
