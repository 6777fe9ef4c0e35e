"""Which AWS is spoken to, and how to reach it from the driver and from executors alike.

An :class:`Endpoint` is a value without secrets: it travels to executors, and each process finds
its own credentials through botocore's resolver. The embedded AWS runs as a child process that ends
when we do.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.exceptions

from penstock.config import Settings, endpoint_problem
from penstock.errors import (
    ConfigError,
    CredentialsError,
    PenstockError,
    TemporaryError,
    UsageError,
)
from penstock.storage import is_s3, local_path

if TYPE_CHECKING:
    from botocore.session import Session

#: Codes that say who we are or what we may do is the trouble (facts: reliability, retry rules).
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AccessForbidden",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "403",  # S3's answers to HEAD have no body, and so no code but this
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "UnrecognizedClientException",
    }
)
#: Codes that say the request as it stands is not taken, now or later (API models of SageMaker and
#: its runtime, S3, Glue, IAM, Athena, EMR, EMR Serverless, Kinesis, Scheduler). Quotas, conflicts
#: and what is in use may pass, and so may a code we do not know.
_REFUSED = frozenset(
    {
        "EntityNotFoundException",
        "InvalidArgumentException",
        "InvalidInput",
        "InvalidInputException",
        "InvalidRequestException",
        "MalformedPolicyDocument",
        "NoSuchBucket",
        "NoSuchEntity",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "ValidationError",
        "ValidationException",
    }
)
#: The same codes for what passes: a group that is there and that records are told is not, or that
#: is being changed (service facts §3.5); a role IAM has not told Glue of; a crawler that runs.
_PASSING = re.compile(
    r"ValidationError: Resource Not Found\b|not in status|unable to assume|while running",
    re.IGNORECASE,
)
#: A botocore session makes one client at a time (boto3's guide: sessions are not thread-safe).
_MAKING = threading.Lock()


@dataclass(frozen=True)
class Endpoint:
    """Where AWS is.

    Args:
        region: AWS region.
        url: One endpoint for all services; None means AWS's own.
        credentials_file: An AWS INI file whose default profile is used; None asks botocore's
            resolver.
    """

    region: str
    url: str | None = None
    credentials_file: str | None = None


@lru_cache(maxsize=8)
def session(endpoint: Endpoint) -> Session:
    """One botocore session per endpoint and process; its credentials refresh by themselves."""
    return fresh_session(endpoint)


def fresh_session(endpoint: Endpoint) -> Session:
    """A session that looks its credentials up anew."""
    import botocore.session  # a tenth of the start of a command that does not need it

    made: Any = botocore.session.Session()
    made.register_component("data_loader", _models())
    made.set_config_variable("region", endpoint.region)
    if endpoint.credentials_file is not None:
        # The embedded AWS has a key of its own: what stands in the environment is somebody else's.
        made.set_config_variable("credentials_file", endpoint.credentials_file)
        made.set_config_variable("profile", "default")
    found: Session = made
    return found


@lru_cache(maxsize=1)
def _models() -> Any:
    """Models of services and endpoints, read once a process, whatever sessions there are."""
    import botocore.session

    return botocore.session.Session().get_component("data_loader")


def credentials(endpoint: Endpoint) -> Any:
    """What botocore found; they refresh by themselves.

    Raises:
        CredentialsError: There are none.
    """
    found: Any = session(endpoint).get_credentials()
    if found is None:
        remedy = "Set a profile or role; 'penstock doctor' shows what is seen"
        raise CredentialsError("no AWS credentials were found", remedy)
    return found


def client(endpoint: Endpoint, service: str, *, attempts: int = 5) -> Any:
    """A boto3 client, with standard retries up to ``attempts`` calls.

    Raises:
        CredentialsError: No credentials were found.
        ConfigError: The environment names an endpoint that is neither AWS over https nor loopback.
    """
    credentials(endpoint)
    from botocore.config import Config

    config = Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    made = _boto3(session(endpoint))
    with _MAKING:
        one = made.client(service, endpoint_url=endpoint.url, config=config)
    _check(one.meta.endpoint_url)
    return one


@lru_cache(maxsize=8)
def _boto3(found: Session) -> Any:
    """boto3's session over botocore's, one each: a second one could not make S3's client again.

    Any: the stubs want the names of services literally.
    """
    import boto3

    return boto3.Session(botocore_session=found)


@lru_cache(maxsize=8)
def runtime_url(endpoint: Endpoint) -> str:
    """The address of the runtime API, as botocore finds it for its own clients.

    ``AWS_ENDPOINT_URL``, FIPS and partitions are honoured by that.

    Raises:
        ConfigError: It is neither AWS over https nor loopback.
        CredentialsError: The look-up of credentials, which a client makes, failed.
    """
    found: Any = session(endpoint)
    try:
        one = found.create_client("sagemaker-featurestore-runtime", endpoint_url=endpoint.url)
    except botocore.exceptions.BotoCoreError as error:
        message = f"AWS credentials could not be found: {error}"
        raise CredentialsError(message, "Check the role or profile") from error
    _check(one.meta.endpoint_url)
    return str(one.meta.endpoint_url)


def _check(url: str) -> None:
    problem = endpoint_problem(url)
    if problem is not None:
        remedy = "Set aws.endpoint_url, or unset AWS_ENDPOINT_URL in the environment"
        raise ConfigError(f"an AWS endpoint {problem}", remedy)


def code(error: botocore.exceptions.ClientError) -> str:
    """AWS's code of an error; empty where it has none."""
    return str(error.response["Error"].get("Code", ""))


def explained(error: Exception) -> PenstockError | None:
    """A botocore error as ours, or None where it is not botocore's."""
    if isinstance(error, botocore.exceptions.ClientError):
        code = error.response.get("Error", {}).get("Code", "Unknown")
        message = (
            f"{error.operation_name}: {code}: {error.response.get('Error', {}).get('Message')}"
        )
        if code in _DENIED:
            return CredentialsError(message, "Check the role's policy and the clock")
        if code in _REFUSED and not _PASSING.search(message):
            return UsageError(message, "Correct what it names; check aws.region and --env")
        return TemporaryError(message, "Run the same command again")
    if isinstance(
        error, (botocore.exceptions.NoCredentialsError, botocore.exceptions.TokenRetrievalError)
    ):
        return CredentialsError("no AWS credentials were found", "Set a profile or role")
    if isinstance(error, botocore.exceptions.BotoCoreError):
        return TemporaryError(f"AWS did not answer: {error}", "Run the same command again")
    return None


@contextmanager
def connected(settings: Settings) -> Iterator[Endpoint]:
    """The endpoint the settings name; the embedded AWS runs as long as the context.

    Raises:
        ConfigError: No region is known.
        TemporaryError: The embedded AWS did not start.
    """
    if settings.aws.embedded:
        state = ".penstock/state" if is_s3(settings.state) else local_path(settings.state)
        data = Path(state).resolve().parent / "aws"
        with embedded(data, settings.aws.region or "us-east-1") as endpoint:
            yield endpoint
        return
    yield endpoint_of(settings)


def endpoint_of(settings: Settings) -> Endpoint:
    """The endpoint the settings name, where AWS is not the embedded one.

    Raises:
        ConfigError: No region is known.
    """
    return Endpoint(region(settings.aws.region), settings.aws.endpoint_url)


def storage_endpoint(settings: Settings) -> Endpoint:
    """Where S3 is: a place of its own, or where the rest of AWS is.

    Raises:
        ConfigError: No region is known, or AWS is the embedded one, which has no S3.
    """
    url = settings.aws.s3_endpoint_url
    if url is None and settings.aws.embedded:
        message = "the embedded AWS has no S3"
        raise ConfigError(message, "Name folders instead of s3://, or set aws.s3_endpoint_url")
    # Spark and delta-rs are told where it is, and know nothing of variables that boto3 looks at.
    named = (os.environ.get(one) for one in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    own = url or settings.aws.endpoint_url or next(filter(None, named), None)
    return Endpoint(region(settings.aws.region), own)


def region(named: str | None) -> str:
    """The region that was named, or the one botocore finds.

    Raises:
        ConfigError: There is none.
    """
    found: Any = named
    if not found:
        import botocore.session

        found = botocore.session.Session().get_config_variable("region")
    if not found:
        raise ConfigError("no AWS region is set", "Set aws.region in conf, or AWS_REGION")
    return str(found)


@contextmanager
def embedded(data: Path, region: str, port: int = 0) -> Iterator[Endpoint]:
    """Run the embedded AWS on ``data``: a child process that also ends when this one is killed.

    Raises:
        TemporaryError: It did not start.
    """
    command = [sys.executable, "-m", "penstock.emulator", "--data", str(data), "--region", region]
    command += ["--port", str(port), "--exit-with-stdin"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        try:
            yield _announced(child)
        finally:
            if child.stdin is not None:
                child.stdin.close()
            child.wait(timeout=30)


def _announced(child: subprocess.Popen[bytes]) -> Endpoint:
    line = child.stdout.readline() if child.stdout is not None else b""
    if not line:
        raise TemporaryError("the embedded AWS did not start", "Its own message stands above")
    said = json.loads(line)
    return Endpoint(said["region"], f"http://127.0.0.1:{said['port']}", said["credentials"])
