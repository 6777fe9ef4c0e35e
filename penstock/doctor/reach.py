"""Whether AWS can be reached, by which way, as whom, and whether its clock agrees with ours."""

from __future__ import annotations

import email.utils
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from botocore.exceptions import BotoCoreError, ClientError

from penstock import aws
from penstock.config import Settings
from penstock.doctor.finding import Finding
from penstock.errors import PenstockError
from penstock.storage import is_s3

PATIENCE_S = 5.0  # of a look-up, a connection, a handshake
SKEW_S = 60.0  # a good clock is off by less than one second
REFUSED_S = 300  # from here on signatures are refused (IAM: signing requests)


@dataclass(frozen=True)
class Caller:
    """Who we are to AWS, and when that was by its clock.

    Args:
        arn: Of user, role or session; None where it was not told.
        skew_s: By how many seconds our clock is ahead; None where AWS told no time.
        problem: Why there is no ARN.
    """

    arn: str | None
    skew_s: float | None
    problem: PenstockError | None = None


def caller(endpoint: aws.Endpoint) -> Caller:
    """Ask STS, which every role may."""
    began = time.time()
    try:
        answer: Any = aws.client(endpoint, "sts", attempts=2).get_caller_identity()
        return Caller(answer["Arn"], _skew(answer, began))
    except ClientError as error:
        return Caller(None, _skew(error.response, began), aws.explained(error))
    except PenstockError as error:
        return Caller(None, None, error)
    except BotoCoreError as error:
        return Caller(None, None, aws.explained(error))


def _skew(answer: Any, began: float) -> float | None:
    """Seconds our clock is ahead of the answer's Date header, which has whole seconds."""
    told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if told is None:
        return None
    try:
        theirs = email.utils.parsedate_to_datetime(told).timestamp()
    except ValueError:
        return None
    now = time.time()
    # The header was written between the two, and cut to a second.
    return max(0.0, began - theirs - 1) or min(0.0, now - theirs)


def credentials(found: Caller, settings: Settings, endpoint: aws.Endpoint) -> Finding:
    """As whom AWS knows us."""
    place = "embedded" if settings.aws.embedded else (endpoint.url or endpoint.region)
    if found.arn is not None:
        return Finding("credentials", ok=True, found=f"{place}, as {found.arn}")
    problem = found.problem
    code = 77 if problem is None else problem.exit_code
    if code == 77:  # noqa: PLR2004 - an exit code
        remedy = "Set AWS_PROFILE, log in again, or give this machine a role"
    else:
        remedy = "See the lines 'endpoint'; in a VPC STS needs an endpoint of its own"
    said = "no answer" if problem is None else problem.message
    return Finding("credentials", ok=False, found=said[:300], remedy=remedy, code=code)


def clock(found: Caller, settings: Settings) -> Finding:
    """Our clock beside AWS's."""
    if settings.aws.embedded:
        return Finding("clock", ok=True, found="the embedded AWS has this machine's")
    if found.skew_s is None:
        return Finding("clock", ok=None, found="AWS told no time")
    skew = abs(found.skew_s)
    if skew < 1:
        return Finding("clock", ok=True, found="agrees with AWS's to a second")
    side = "ahead of" if found.skew_s > 0 else "behind"
    said = f"{skew:,.0f} s {side} AWS's"
    if skew < SKEW_S:
        return Finding("clock", ok=True, found=said)
    remedy = f"Set it by NTP (chrony, systemd-timesyncd): from {REFUSED_S} s on AWS refuses calls"
    return Finding("clock", ok=False, found=said, remedy=remedy)


def addresses(settings: Settings, endpoint: aws.Endpoint) -> dict[str, str]:
    """URL by service, of all services that a run speaks to."""
    services = ["sts", "sagemaker", "sagemaker-featurestore-runtime"]
    services += ["glue"] if settings.catalog.register_tables else []
    found = {one: _url(endpoint, one) for one in services}
    if is_s3(settings.lake) or is_s3(settings.state):
        found["s3"] = _url(aws.storage_endpoint(settings), "s3")
    return found


def _url(endpoint: aws.Endpoint, service: str) -> str:
    session: Any = aws.session(endpoint)
    # No credentials are needed to know the address.
    made = session.create_client(
        service,
        endpoint_url=endpoint.url,
        aws_access_key_id="-",
        aws_secret_access_key="-",  # noqa: S106 - nothing is signed with it
    )
    return str(made.meta.endpoint_url)


def endpoints(urls: Sequence[tuple[str, str]]) -> list[Finding]:
    """Each address: name, connection, TLS.

    Args:
        urls: Service and URL.
    """
    seen: dict[str, Finding] = {}
    found = []
    for service, url in urls:
        if url not in seen:
            seen[url] = _reached(service, url)
        one = seen[url]
        found.append(Finding(f"endpoint {service}", one.ok, one.found, one.remedy, one.code))
    return found


def _reached(service: str, url: str) -> Finding:
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    proxy = None if proxy_bypass(host) else getproxies().get(parts.scheme)
    if proxy:
        return _by_proxy(service, host, proxy)
    began = time.monotonic()
    try:
        there = _resolved(host, port)
    except OSError:
        remedy = f"Set aws.region, or DNS; in a VPC: {_vpc(service)} with private DNS"
        return Finding(service, ok=False, found=f"{host}: no such name", remedy=remedy, code=75)
    try:
        with socket.create_connection((host, port), PATIENCE_S) as plain:
            how = f"{there}"
            if secure:
                how += f", {_handshake(plain, host)}"
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", None) or error.reason or "no TLS"
        remedy = "Name your authorities in AWS_CA_BUNDLE, or take the proxy out of the way"
        return Finding(service, ok=False, found=f"{host}: TLS: {reason}", remedy=remedy)
    except OSError as error:
        said = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        remedy = f"Open TCP {port} outwards (security group, NAT); in a VPC: {_vpc(service)}"
        return Finding(service, ok=False, found=f"{host}:{port}: {said}", remedy=remedy, code=75)
    took = (time.monotonic() - began) * 1000
    return Finding(service, ok=True, found=f"{host}: {how}, {took:.0f} ms")


def _by_proxy(service: str, host: str, proxy: str) -> Finding:
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    place = f"{parts.hostname}:{parts.port or 80}"  # never the user and password in it
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), PATIENCE_S):
            pass
    except OSError as error:
        said = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        remedy = f"Correct HTTPS_PROXY, or add {host} to NO_PROXY"
        found = f"proxy {place}: {said}"
        return Finding(service, ok=False, found=found, remedy=remedy, code=75)
    remedy = "What lies behind the proxy was not looked at; credentials and permissions tell"
    return Finding(service, ok=None, found=f"{host} by the proxy {place}", remedy=remedy)


def _resolved(host: str, port: int) -> str:
    """Public, or private as behind a VPC endpoint."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    address = ipaddress.ip_address(str(found[0][4][0]))
    if address.is_loopback:
        return "loopback"
    return "private address" if address.is_private else "public address"


def _handshake(plain: socket.socket, host: str) -> str:
    bundle = os.environ.get("AWS_CA_BUNDLE")
    context = ssl.create_default_context(cafile=bundle or _authorities())
    with context.wrap_socket(plain, server_hostname=host) as secured:
        return secured.version() or "TLS"


def _authorities() -> str | None:
    """What botocore trusts."""
    try:
        import certifi
    except ImportError:
        import botocore.httpsession

        return str(botocore.httpsession.DEFAULT_CA_BUNDLE)
    return str(certifi.where())


def _vpc(service: str) -> str:
    names = {
        "sagemaker": "sagemaker.api",
        "sagemaker-featurestore-runtime": "sagemaker.featurestore-runtime",
        "s3": "s3 (a gateway endpoint)",
    }
    return f"an endpoint for {names.get(service, service)}"
