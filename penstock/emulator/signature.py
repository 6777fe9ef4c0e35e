"""AWS Signature Version 4, checked over the raw request.

Written on hashlib and hmac because botocore's signer builds request objects we do not have; the
tests hold it against botocore's signer. What an Authorization header says before its signature is
parsed once, and its signing key derived once: both change with the date alone.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from penstock.emulator.refusal import Refusal
from penstock.emulator.wire import Request

#: A request is refused when its date is further than this from our clock (seconds; AWS: 5 minutes).
MAX_SKEW = 300

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request, *"
    r"SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})"
)
_UNRESERVED = "-_.~"
_MAX_SIGNERS = 256
_sha256 = hashlib.sha256


class Verifier:
    """Knows one key pair and tells for which service a request was signed with it.

    Args:
        access_key: The only access key id that is known.
        secret_key: Its secret.
        region: The only region requests may be scoped to.
        clock: Epoch seconds.
    """

    def __init__(
        self, access_key: str, secret_key: str, region: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        self._clock = clock
        self._retired: set[str] = set()
        self._signers: dict[str, _Signer] = {}

    def rotate(self, access_key: str, secret_key: str) -> None:
        """Know this key pair from now on; the one before has expired."""
        self._retired.add(self._access_key)
        self._access_key, self._secret_key = access_key, secret_key
        self._signers.clear()

    def service(self, request: Request) -> str:
        """Service name of the credential scope.

        Raises:
            Refusal: 403; not signed, unknown or expired key, other region, too old, or the
                signature differs.
        """
        headers = request.headers
        given, _, signature = headers.get("authorization", "").rpartition("Signature=")
        signer = self._signers.get(given)
        if signer is None or "x-amz-security-token" in headers:
            signer = self._signer(request, given, signature)
        moment = self._moment(headers.get("x-amz-date", ""), signer.date)
        digest = _sha256(canonical_request(request, signer.names, signer.signed).encode())
        text = f"AWS4-HMAC-SHA256\n{moment}\n{signer.scope}\n{digest.hexdigest()}"
        expected = hmac.digest(signer.key, text.encode(), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise _mismatch(
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method."
            )
        return signer.service

    def _signer(self, request: Request, given: str, signature: str) -> _Signer:
        """What the header says before its signature, checked; kept, for it seldom changes."""
        if "authorization" not in request.headers:
            text = "Missing Authentication Token"
            raise Refusal("MissingAuthenticationTokenException", text, 403)
        match = _AUTHORIZATION.fullmatch(f"{given}Signature={signature}")
        if match is None:
            text = "Authorization header is not AWS Signature Version 4."
            raise Refusal("IncompleteSignatureException", text, 403)
        key, date, region, service, names, _ = match.groups()
        if key in self._retired:
            text = "The security token included in the request is expired"
            raise Refusal("ExpiredTokenException", text, 403)
        if key != self._access_key or "x-amz-security-token" in request.headers:
            text = "The security token included in the request is invalid."
            raise Refusal("UnrecognizedClientException", text, 403)
        if region != self._region:
            raise _mismatch(
                f"Credential should be scoped to a valid region. Expected: {self._region}."
            )
        scope = f"{date}/{region}/{service}/aws4_request"
        made = _Signer(date, service, names, tuple(names.split(";")), scope, self._key(scope))
        if len(self._signers) >= _MAX_SIGNERS:
            self._signers.clear()
        self._signers[given] = made
        return made

    def _moment(self, moment: str, date: str) -> str:
        seconds = _epoch(moment)
        if seconds is None or not moment.startswith(date):
            raise _mismatch(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date."
            )
        if abs(seconds - self._clock()) > MAX_SKEW:
            raise _mismatch(f"Signature expired: {moment}.")
        return moment

    def _key(self, scope: str) -> bytes:
        key = f"AWS4{self._secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key


class _Signer(NamedTuple):
    """An Authorization header without its signature, and the key that goes with it."""

    date: str
    service: str
    names: str
    signed: tuple[str, ...]
    scope: str
    key: bytes


def canonical_request(request: Request, names: str, signed: Sequence[str]) -> str:
    """The text that is hashed and signed; the path is encoded a second time, as for all but S3.

    Raises:
        Refusal: 403; a signed header is missing, or host or x-amz-date is not signed.
    """
    headers = request.headers
    if "host" not in signed or "x-amz-date" not in signed or any(n not in headers for n in signed):
        raise _mismatch("'Host' and 'X-Amz-Date' must be signed and every signed header be sent.")
    query = _canonical_query(request.query) if request.query else ""
    text = f"{request.method}\n{_canonical_path(request.path)}\n{query}\n"
    for name in signed:
        value = headers[name]
        if "  " in value or not value.isprintable():
            value = " ".join(value.split())
        text += f"{name}:{value}\n"
    return f"{text}\n{names}\n{_sha256(request.body).hexdigest()}"


@lru_cache(maxsize=1024)
def _canonical_path(path: str) -> str:
    return quote(path, safe="/~")


def _canonical_query(query: str) -> str:
    pairs = [part.partition("=")[::2] for part in query.split("&")]
    encoded = [
        (quote(unquote(name), safe=_UNRESERVED), quote(unquote(value), safe=_UNRESERVED))
        for name, value in pairs
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _mismatch(text: str) -> Refusal:
    return Refusal("InvalidSignatureException", text, 403)


@lru_cache(maxsize=64)
def _epoch(moment: str) -> int | None:
    try:
        return calendar.timegm(time.strptime(moment, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None
