"""A registry of Avro schemas, as Confluent's: asked once for each id, over HTTP.

``GET {url}/schemas/ids/{id}`` answers ``{"schema": "…"}`` (Confluent, "Schema Registry API
Reference"); a schema under an id never changes. Apicurio and Karapace answer the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import urllib3

from penstock.errors import CredentialsError, TemporaryError
from penstock.streaming.secret import secret

TIMEOUT_S = 5.0  # of one request
TRIES = 4  # of a request that is not answered, or by an error of the server's
UNKNOWN_S = 60.0  # an id that is not known is not asked for again so long: it may be poison
_NOBODY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

#: Schemas by registry and id, and ids nobody knows with the time they may be asked for again. A
#: process of its own keeps its own.
_KNOWN: dict[tuple[str, int], str] = {}
_UNKNOWN: dict[tuple[str, int], float] = {}
_MOST = 10_000  # ids that are remembered as unknown: poison may name any of 4 billion


@dataclass(frozen=True)
class Registry:
    """One registry.

    Args:
        url: Its address.
        username: Reference; None where it asks for none.
        password: Likewise.
    """

    url: str
    username: str | None = None
    password: str | None = None

    def schema(self, number: int, clock: Callable[[], float] = time.monotonic) -> str | None:
        """JSON text of the schema with an id; None where there is none.

        Raises:
            CredentialsError: The registry does not know us.
            TemporaryError: It does not answer.
        """
        place = (self.url, number)
        if place in _KNOWN:
            return _KNOWN[place]
        if _UNKNOWN.get(place, 0.0) > clock():
            return None
        found = self._asked(number)
        if found is not None:
            _KNOWN[place] = found
            return found
        if len(_UNKNOWN) >= _MOST:
            _UNKNOWN.clear()
        _UNKNOWN[place] = clock() + UNKNOWN_S
        return None

    def _asked(self, number: int) -> str | None:
        url = f"{self.url.rstrip('/')}/schemas/ids/{number}"
        headers = {"accept": "application/json", **self._identity()}
        patience = urllib3.Retry(
            TRIES - 1, backoff_factor=0.2, status_forcelist=range(500, 600), raise_on_status=False
        )
        try:
            answer = _pool().request(
                "GET", url, headers=headers, timeout=TIMEOUT_S, retries=patience, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._failed(number, type(error).__name__) from None
        if answer.status in _NOBODY:
            message = f"the schema registry {self.url} refuses us: HTTP {answer.status}"
            raise CredentialsError(message, "Set username and password of streams.GROUP.avro")
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        try:
            found = json.loads(answer.data)["schema"] if answer.status == HTTPStatus.OK else None
        except (ValueError, KeyError, TypeError):
            found = None
        if not isinstance(found, str):
            raise self._failed(number, f"HTTP {answer.status}")
        return found

    def _failed(self, number: int, why: str) -> TemporaryError:
        message = f"the schema registry {self.url} does not answer for schema {number}: {why}"
        return TemporaryError(message, "Run the same command again; no event was put aside for it")

    def _identity(self) -> dict[str, Any]:
        if self.username is None or self.password is None:
            return {}
        told = f"{secret(self.username)}:{secret(self.password)}"
        headers: dict[str, Any] = urllib3.make_headers(basic_auth=told)
        return headers


_POOLS: list[urllib3.PoolManager] = []


def _pool() -> urllib3.PoolManager:
    """One a process: it is not pickled."""
    if not _POOLS:
        _POOLS.append(urllib3.PoolManager(maxsize=2))
    return _POOLS[0]
