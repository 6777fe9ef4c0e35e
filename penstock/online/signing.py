"""Signature Version 4, most of it once a second: a request costs three short hashes.

What stays the same within a second (key, scope, date, token, the canonical request up to the hash
of the body) is one immutable value that is replaced, never changed. The signature is botocore's
own, byte for byte: tests compare the two for every method, path and header set that is sent.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from penstock.errors import CredentialsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.online.keys import Keys

SERVICE = "sagemaker"  # the signing name (botocore model)
CONTENT_TYPE = "application/json"
_BLOCK = 64  # of SHA-256, for HMAC (RFC 2104)
_EMPTY = hashlib.sha256()
_PORTS = {"http": 80, "https": 443}


class Template(NamedTuple):
    """What is known of the requests of one second to one path before there is a body.

    Args:
        canonical: SHA-256 of the canonical request up to the body's hash.
        head: The request's head up to the signature.
    """

    canonical: Any
    head: bytes


class Second(NamedTuple):
    """What is the same for all requests of one second.

    Args:
        second: Which one, in epoch seconds.
        generation: Of the credentials.
        stamp: ``X-Amz-Date``.
        credential: Access key and scope.
        token: Session token or None.
        inner: HMAC's inner hash, keyed, and fed with the string to sign up to the request's hash.
        outer: HMAC's outer hash, keyed.
        templates: Of requests with a body, by method and path; belongs to this value alone.
    """

    second: int
    generation: int
    stamp: str
    credential: str
    token: str | None
    inner: Any
    outer: Any
    templates: dict[tuple[str, str], Template]


class Signer:
    """Makes the heads of one run's requests; used by one thread.

    Args:
        url: Base URL of the service.
        region: Signing region.
        keys: Where credentials come from; asked once a second and after a renewal.
        clock: Epoch seconds.
    """

    def __init__(
        self, url: str, region: str, keys: Keys, clock: Callable[[], float] = time.time
    ) -> None:
        self._host = host_of(url)
        self._region = region
        self._keys = keys
        self._clock = clock
        self._state: Second | None = None

    def head(self, method: str, path: str, body: bytes) -> tuple[bytes, int]:
        """The head of a request, signed, and the generation of the credentials.

        Args:
            method: HTTP method.
            path: Percent-encoded path, with a query if there is one.
            body: The body; an empty one has no content type.

        Raises:
            CredentialsError: There are no credentials, or they could not be refreshed.
        """
        now = int(self._clock())
        state = self._state
        if state is None or state.second != now or state.generation != self._keys.generation:
            state = self._state = self._at(now)
        template = state.templates.get((method, path)) if body else None
        if template is None:
            template = self._template(state, method, path, bool(body))
            if body:  # a deletion has none: its query, hence its template, is seen once
                state.templates[method, path] = template
        payload = _EMPTY.copy()
        payload.update(body)
        canonical = template.canonical.copy()
        canonical.update(payload.hexdigest().encode())
        inner = state.inner.copy()
        inner.update(canonical.hexdigest().encode())
        outer = state.outer.copy()
        outer.update(inner.digest())
        tail = f"{outer.hexdigest()}\r\nContent-Length: {len(body)}\r\n\r\n"
        return template.head + tail.encode(), state.generation

    def _at(self, now: int) -> Second:
        credentials, generation = self._keys.frozen()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        scope = f"{stamp[:8]}/{self._region}/{SERVICE}/aws4_request"
        token = credentials.token or None
        if any(not text.isprintable() for text in (credentials.access_key, token or "")):
            message = "the AWS credentials hold characters that no header can carry"
            raise CredentialsError(message, "Check the credentials file or environment")
        key = _derived(credentials.secret_key, stamp[:8], self._region)
        inner = hashlib.sha256(bytes(one ^ 0x36 for one in key.ljust(_BLOCK, b"\0")))
        outer = hashlib.sha256(bytes(one ^ 0x5C for one in key.ljust(_BLOCK, b"\0")))
        inner.update(f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n".encode())
        credential = f"{credentials.access_key}/{scope}"
        return Second(now, generation, stamp, credential, token, inner, outer, {})

    def _template(self, state: Second, method: str, path: str, has_body: bool) -> Template:  # noqa: FBT001 - private, one caller
        target, _, query = path.partition("?")
        headers = {"Content-Type": CONTENT_TYPE} if has_body else {}
        headers |= {"Host": self._host, "X-Amz-Date": state.stamp}
        if state.token is not None:
            headers["X-Amz-Security-Token"] = state.token
        signed = ";".join(name.lower() for name in headers)  # they stand in order
        lines = [f"{name.lower()}:{' '.join(value.split())}" for name, value in headers.items()]
        uri, ordered = quote(target, safe="/~"), "&".join(sorted(query.split("&")))
        canonical = "\n".join([method, uri, ordered, *lines, "", signed, ""])
        wire = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = (
            f"{method} {path} HTTP/1.1\r\n{wire}User-Agent: penstock\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={state.credential}, "
            f"SignedHeaders={signed}, Signature="
        )
        return Template(hashlib.sha256(canonical.encode()), head.encode())


def host_of(url: str) -> str:
    """The Host header of a URL: lower case, with the port unless it is the scheme's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    own = parts.port in (None, _PORTS.get(parts.scheme))
    return host if own else f"{host}:{parts.port}"


def _derived(secret: str, date: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, SERVICE, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
