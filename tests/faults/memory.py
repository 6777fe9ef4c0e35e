"""Results in memory, so that a random script costs no disk; send files stay files."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pyarrow as pa

from penstock.storage import LocalStorage


@dataclass
class Memory(LocalStorage):
    """A :class:`penstock.storage.Storage` whose written objects are bytes in a mapping."""

    objects: dict[str, bytes] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """The first one stays."""
        with self._lock:
            return self.objects.setdefault(path, data) is data

    def write(self, path: str, data: bytes) -> None:
        """The last one stays."""
        self.objects[path] = data

    def read(self, path: str) -> bytes:
        """All bytes; raises FileNotFoundError."""
        try:
            return self.objects[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def exists(self, path: str) -> bool:
        """Whether it was written."""
        return path in self.objects

    def list(self, folder: str) -> list[str]:
        """Paths directly in ``folder``, sorted."""
        with self._lock:
            return sorted(one for one in self.objects if one.rpartition("/")[0] == folder)

    def open_input(self, path: str) -> pa.NativeFile:
        """What was written, else a file."""
        held = self.objects.get(path)
        return super().open_input(path) if held is None else pa.BufferReader(held)
