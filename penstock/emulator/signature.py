"""AWS Signature Version 4, checked over the raw request.

Written on hashlib and hmac because botocore's signer builds request objects we do not have; the
tests hold it against botocore's signer. Signing keys are kept per date and service: they depend on
nothing else.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from functools import lru_cache
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
        self._keys: dict[tuple[str, str], bytes] = {}

    def service(self, request: Request) -> str:
        """Service name of the credential scope.

        Raises:
            Refusal: 403; not signed, unknown key, other region, too old, or the signature differs.
        """
        header = request.headers.get("authorization")
        if header is None:
            text = "Missing Authentication Token"
            raise Refusal("MissingAuthenticationTokenException", text, 403)
        match = _AUTHORIZATION.fullmatch(header)
        if match is None:
            text = "Authorization header is not AWS Signature Version 4."
            raise Refusal("IncompleteSignatureException", text, 403)
        key, date, region, service, names, signature = match.groups()
        if key != self._access_key or "x-amz-security-token" in request.headers:
            text = "The security token included in the request is invalid."
            raise Refusal("UnrecognizedClientException", text, 403)
        if region != self._region:
            text = f"Credential should be scoped to a valid region. Expected: {self._region}."
            raise Refusal("InvalidSignatureException", text, 403)
        moment = self._moment(request, date)
        expected = self._sign(request, moment, f"{date}/{region}/{service}", names)
        if not hmac.compare_digest(expected, signature):
            text = (
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method."
            )
            raise Refusal("InvalidSignatureException", text, 403)
        return service

    def _moment(self, request: Request, date: str) -> str:
        moment = request.headers.get("x-amz-date", "")
        seconds = _epoch(moment)
        if seconds is None or not moment.startswith(date):
            text = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date."
            raise Refusal("InvalidSignatureException", text, 403)
        if abs(seconds - self._clock()) > MAX_SKEW:
            raise Refusal("InvalidSignatureException", f"Signature expired: {moment}.", 403)
        return moment

    def _sign(self, request: Request, moment: str, scope: str, names: str) -> str:
        canonical = canonical_request(request, names)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}/aws4_request\n{digest}"
        date, _, service = scope.split("/")
        return hmac.new(self._key(date, service), text.encode(), hashlib.sha256).hexdigest()

    def _key(self, date: str, service: str) -> bytes:
        found = self._keys.get((date, service))
        if found is None:
            found = f"AWS4{self._secret_key}".encode()
            for part in (date, self._region, service, "aws4_request"):
                found = hmac.new(found, part.encode(), hashlib.sha256).digest()
            self._keys[date, service] = found
        return found


def canonical_request(request: Request, names: str) -> str:
    """The text that is hashed and signed; the path is encoded a second time, as for all but S3.

    Raises:
        Refusal: 403; a signed header is missing, or host or x-amz-date is not signed.
    """
    signed = names.split(";")
    headers = request.headers
    if "host" not in signed or "x-amz-date" not in signed or any(n not in headers for n in signed):
        text = "'Host' and 'X-Amz-Date' must be signed and every signed header must be sent."
        raise Refusal("InvalidSignatureException", text, 403)
    lines = [request.method, quote(request.path, safe="/~"), _canonical_query(request.query)]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in signed]
    lines += ["", names, hashlib.sha256(request.body).hexdigest()]
    return "\n".join(lines)


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = [part.partition("=")[::2] for part in query.split("&")]
    encoded = [
        (quote(unquote(name), safe=_UNRESERVED), quote(unquote(value), safe=_UNRESERVED))
        for name, value in pairs
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


@lru_cache(maxsize=64)
def _epoch(moment: str) -> int | None:
    try:
        return calendar.timegm(time.strptime(moment, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None
