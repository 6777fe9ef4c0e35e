"""Credentials of one process, found by botocore and never written down or sent anywhere.

botocore refreshes temporary credentials by its clock; it is asked at most once a second, for those
about to expire it would run a profile's ``credential_process`` at each request. When the service
says that a key has expired although botocore thinks otherwise, everything is looked up anew, once,
however many requests noticed. A file that is being rewritten at that moment may be seen empty or
half written, so such a look-up is tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError

from penstock.errors import CredentialsError

#: Answers botocore credentials (with ``get_frozen_credentials``), or None where there are none.
Resolve = Callable[[], Any]
FRESH_S = 1.0
#: Looking up anew is tried this often, so far apart: longer than a file takes to be rewritten.
TRIES, APART_S = 5, 0.1


class Keys:
    """The credentials in use, with a generation that counts the look-ups; safe between threads.

    Args:
        resolve: Looks credentials up anew.
        clock: Monotonic seconds.
        pause: Sleeps that many seconds between two tries of looking up anew.

    Raises:
        CredentialsError: There are none.
    """

    def __init__(
        self,
        resolve: Resolve,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._resolve = resolve
        self._clock = clock
        self._pause = pause
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._current = (self._found(), 1)
        self._frozen: tuple[Any, int, float] | None = None

    @property
    def generation(self) -> int:
        """How often credentials were looked up."""
        return self._current[1]

    def frozen(self) -> tuple[Any, int]:
        """Credentials for one request, refreshed by botocore where due, and their generation.

        Raises:
            CredentialsError: They could not be refreshed.
        """
        found = self._held()
        if found is None:
            with self._asking:
                found = self._held() or self._asked()
        return found

    def _held(self) -> tuple[Any, int] | None:
        """What was asked for within the last second, of the generation in use."""
        held, generation = self._frozen, self.generation
        if held is None or held[1] != generation or self._clock() - held[2] >= FRESH_S:
            return None
        return held[0], generation

    def _asked(self) -> tuple[Any, int]:
        credentials, generation = self._current
        try:
            frozen = credentials.get_frozen_credentials()
        except BotoCoreError as error:
            message = f"credentials could not be refreshed: {error}"
            raise CredentialsError(message, "Check the role or profile") from error
        self._frozen = (frozen, generation, self._clock())
        return frozen, generation

    def renew(self, generation: int) -> None:
        """Look up anew, unless that was done since ``generation``.

        Raises:
            CredentialsError: None were found, at any of the tries.
        """
        with self._lock:
            if self._current[1] == generation:
                self._current = (self._found_again(), generation + 1)

    def _found_again(self) -> Any:
        for _ in range(TRIES - 1):
            try:
                return self._found()
            except CredentialsError:
                self._pause(APART_S)
        return self._found()

    def _found(self) -> Any:
        try:
            credentials = self._resolve()
        except BotoCoreError as error:
            message = f"AWS credentials could not be found: {error}"
            raise CredentialsError(message, "Check the role or profile") from error
        if credentials is None:
            raise CredentialsError("no AWS credentials were found", "Set a profile or role")
        return credentials
