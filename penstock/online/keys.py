"""Credentials of one process, found by botocore and never written down or sent anywhere.

botocore refreshes temporary credentials by its clock. When the service says that a key has expired
although botocore thinks otherwise, everything is looked up anew, once, however many requests
noticed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError

from penstock.errors import CredentialsError

#: Answers botocore credentials (with ``get_frozen_credentials``), or None where there are none.
Resolve = Callable[[], Any]


class Keys:
    """The credentials in use, with a generation that counts the look-ups.

    Args:
        resolve: Looks credentials up anew.

    Raises:
        CredentialsError: There are none.
    """

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._lock = threading.Lock()
        self._current = (self._found(), 1)

    def frozen(self) -> tuple[Any, int]:
        """Credentials for one request, refreshed by botocore where due, and their generation."""
        credentials, generation = self._current
        return credentials.get_frozen_credentials(), generation

    def renew(self, generation: int) -> None:
        """Look up anew, unless that was done since ``generation``."""
        with self._lock:
            if self._current[1] == generation:
                self._current = (self._found(), generation + 1)

    def _found(self) -> Any:
        try:
            credentials = self._resolve()
        except BotoCoreError as error:
            message = f"AWS credentials could not be found: {error}"
            raise CredentialsError(message, "Check the role or profile") from error
        if credentials is None:
            raise CredentialsError("no AWS credentials were found", "Set a profile or role")
        return credentials
