"""How a stream goes, told while it goes: a live line, its status, its page, metrics as lines."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import UsageError
from penstock.ledger.journal import written
from penstock.run.context import Context
from penstock.streaming.meter import Meter
from penstock.streaming.places import StreamPlaces
from penstock.streaming.standing import line_of
from penstock.streaming.track import Track
from penstock.ticker import ticking

TOLD_S = 2.0  # from one look at the stream to the next
_LOG = logging.getLogger(__name__)


class Telling:
    """Tells of one run of a stream.

    Args:
        context: The surroundings.
        places: Where the stream lies.
        meter: What is told.
        run: Identifier of the run.
        metrics: File that gets a JSON line whenever the figures have changed, every two seconds at
            most; None for none. It only grows.
    """

    def __init__(
        self, context: Context, places: StreamPlaces, meter: Meter, run: str, metrics: Path | None
    ) -> None:
        self._context, self._places, self._meter = context, places, meter
        self._run, self._metrics, self._told = run, metrics, ""
        self._track = Track(context, places.group, places.number, run)

    @contextmanager
    def going(self) -> Iterator[None]:
        """Tell now and then."""

        def tell() -> bool:
            self.note()
            return True

        with ticking("penstock-stream", TOLD_S, tell):
            yield

    def note(self, *, ended: bool = False) -> None:
        """Write down how it goes, where that has changed, or that it ends."""
        now = self._context.now()
        plain = self._meter.plain(now.timestamp())
        self._track.add(plain, now.timestamp() - self._meter.began)
        self._context.progress.live(self._places.group, line_of(plain))
        state = "stopped" if ended else "running"
        figures = {"run": self._run, "state": state, **plain}
        text = json.dumps(figures, sort_keys=True)
        if ended:
            self._track.close(plain)
        elif text == self._told:
            return
        self._told = text
        said = {**figures, "at": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        self._context.storage.write(self._places.status, json.dumps(said).encode())
        if self._metrics is not None:
            line = {"utc": written(now), "group": self._places.group, **figures}
            try:
                with self._metrics.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
            except OSError:  # the stream goes on: its status says the same
                _LOG.warning("metrics could not be written to %s", self._metrics, exc_info=True)


def check_metrics(metrics: Path | None) -> None:
    """Return where a file of metrics can be written.

    Raises:
        UsageError: It cannot.
    """
    if metrics is None:
        return
    try:
        with metrics.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        message = f"metrics cannot be written to {metrics}: {error.strerror}"
        raise UsageError(message, "Name a file in a folder that is there: --metrics") from None
