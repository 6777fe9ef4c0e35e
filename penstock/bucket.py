"""State on S3: the same interface as a folder, with ``PutObject`` and ``If-None-Match: *``.

S3 answers 412 where the name exists, and 409 where a conflicting write is under way, which then has
to be tried again (AWS: conditional writes). Not verified on AWS: the tests speak to moto.
"""

from __future__ import annotations

import errno
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

import botocore.exceptions
import pyarrow as pa
from boto3.s3.transfer import TransferConfig

from penstock import aws
from penstock.config import Settings
from penstock.errors import ConfigError, TemporaryError
from penstock.packages import PackageStorage, is_packaged
from penstock.storage import LocalStorage, Stamp, Storage, is_s3

ATTEMPTS = 8  # of a conditional put that meets others
AHEAD = 1 << 22  # bytes fetched at once where a file is read in order
TAIL = 1 << 18  # bytes that are fetched with an object's size: a Parquet file's footer is there
BATCH = 1_000  # objects of one DeleteObjects (its limit)
WHOLE = 1 << 30  # bytes up to which an object is copied in one request; the limit is 5 GB
_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
_ELSEWHERE = frozenset(
    {
        "301",
        "AuthorizationHeaderMalformed",
        "InvalidBucketName",
        "NoSuchBucket",
        "PermanentRedirect",
    }
)


@lru_cache(maxsize=8)
def _client(endpoint: aws.Endpoint) -> Any:
    """One client an endpoint and process: it is thread-safe, and does not pickle."""
    return aws.client(endpoint, "s3")


@dataclass(frozen=True)
class S3Storage:
    """Objects by ``s3://bucket/key``. Holds no client, so it pickles to executors.

    Args:
        endpoint: Where AWS is.
        sleep: Waits so many seconds between two attempts.
    """

    endpoint: aws.Endpoint
    sleep: Callable[[float], None] = time.sleep

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """``If-None-Match: *``.

        Where an answer was lost and the request repeated, the name may be ours: the bytes tell.

        Raises:
            TemporaryError: Others wrote the same name all the time.
        """
        for attempt in range(ATTEMPTS):
            try:
                with _explained(path):
                    self._client.put_object(**_place(path), Body=data, IfNoneMatch="*")
            except botocore.exceptions.ClientError as error:
                if _code(error) == "PreconditionFailed":
                    repeated = attempt or error.response["ResponseMetadata"].get("RetryAttempts")
                    return bool(repeated) and self.read(path) == data
                self.sleep(0.05 * 2**attempt)  # 409 ConditionalRequestConflict
            else:
                return True
        raise TemporaryError(f"{path}: others write it too", "Run the same command again")

    def write(self, path: str, data: bytes) -> None:
        """``PutObject``, which is atomic."""
        with _explained(path):
            self._client.put_object(**_place(path), Body=data)

    def read(self, path: str) -> bytes:
        """All bytes; raises FileNotFoundError."""
        with _explained(path):
            data: bytes = self._client.get_object(**_place(path))["Body"].read()
        return data

    def exists(self, path: str) -> bool:
        """Whether there is an object at ``path``."""
        try:
            with _explained(path):
                self._client.head_object(**_place(path))
        except FileNotFoundError:
            return False
        return True

    def walk(self, folder: str) -> list[str]:
        """Objects below; a request a thousand."""
        return sorted(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """The listing has them; a request a thousand."""
        bucket = _place(folder)["Bucket"]
        return {
            f"s3://{bucket}/{one['Key']}": int(one["Size"])
            for page in self._pages(folder)
            for one in _contents(page)
        }

    def list(self, folder: str) -> list[str]:
        """Objects and folders directly in ``folder``; a request a thousand."""
        bucket = f"s3://{_place(folder)['Bucket']}/"
        found: set[str] = set()
        for page in self._pages(folder, Delimiter="/"):
            found.update(_below(folder, page))
            found.update(bucket + one["Prefix"][:-1] for one in page.get("CommonPrefixes", []))
        return sorted(found)

    def stamp(self, path: str) -> Stamp:
        """``HeadObject``: size and ETag."""
        with _explained(path):
            found = self._client.head_object(**_place(path))
        return Stamp(int(found["ContentLength"]), str(found["ETag"]))

    def open_input(self, path: str) -> pa.NativeFile:
        """Random reads by range; raises FileNotFoundError."""
        return pa.PythonFile(_Object(self._client, path), mode="r")

    def open_bytes(self, path: str) -> IO[bytes]:
        """Reads some MiB ahead."""
        return io.BufferedReader(_Object(self._client, path), AHEAD)

    def create(self, path: str) -> pa.NativeFile:
        """Written to a temporary file here, sent when it is closed."""
        return pa.PythonFile(_Upload(self._client, path), mode="w")

    def remove(self, folder: str) -> None:
        """All below it, as :meth:`delete_all` does."""
        self.delete_all(self.walk(folder))

    def delete(self, path: str) -> None:
        """``DeleteObject``; an absent one is fine."""
        with _explained(path):
            self._client.delete_object(**_place(path))

    def delete_all(self, paths: Sequence[str]) -> None:
        """``DeleteObjects`` in one bucket, a thousand a request. There are no folders to be left.

        Raises:
            TemporaryError: One could not be deleted.
        """
        for n in range(0, len(paths), BATCH):
            places = [_place(one) for one in paths[n : n + BATCH]]
            keys = [{"Key": one["Key"]} for one in places]
            with _explained(paths[n]):
                answer = self._client.delete_objects(
                    Bucket=places[0]["Bucket"], Delete={"Objects": keys, "Quiet": True}
                )
            if answer.get("Errors"):
                failed = answer["Errors"][0]
                message = f"{failed['Key']} could not be deleted: {failed['Code']}"
                raise TemporaryError(message, "Run the same command again")

    def sweep(self, folder: str) -> None:
        """Nothing: an object is there whole or not at all."""

    def move(self, folder: str, target: str) -> None:
        """``CopyObject`` of each, then all are deleted."""
        for path in self.walk(folder):
            with _explained(path):
                self._client.copy_object(
                    **_place(target + path.removeprefix(folder)), CopySource=_place(path)
                )
        self.remove(folder)

    def copy(self, path: str, target: str) -> None:
        """``HeadObject`` and ``CopyObject``; by parts above :data:`WHOLE` bytes.

        A target that exists is replaced by the same bytes.
        """
        config = TransferConfig(multipart_threshold=WHOLE, use_threads=False)
        with _explained(path):
            self._client.copy(_place(path), *_place(target).values(), Config=config)

    def append(self, path: str, data: bytes) -> None:
        """Read, and written anew."""
        try:
            before = self.read(path)
        except FileNotFoundError:
            before = b""
        self.write(path, before + data)

    def options(self) -> dict[str, str]:
        """Region, endpoint and the credentials of now.

        A commit is a put with ``If-None-Match: *``, as object_store has it for S3 by default.

        Raises:
            CredentialsError: There are none.
        """
        frozen = aws.credentials(self.endpoint).get_frozen_credentials()
        told = {
            "AWS_REGION": self.endpoint.region,
            "AWS_ACCESS_KEY_ID": frozen.access_key,
            "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
            "AWS_SESSION_TOKEN": frozen.token,
            "AWS_ENDPOINT_URL": self.endpoint.url,
            "AWS_ALLOW_HTTP": "true" if (self.endpoint.url or "").startswith("http:") else None,
        }
        return {name: one for name, one in told.items() if one is not None}

    @property
    def _client(self) -> Any:
        return _client(self.endpoint)

    def _pages(self, folder: str, **options: str) -> Iterator[Any]:
        place = _place(folder)
        below = f"{place['Key']}/" if place["Key"] else ""
        pages = self._client.get_paginator("list_objects_v2")
        with _explained(folder):
            yield from pages.paginate(Bucket=place["Bucket"], Prefix=below, **options)


class _Object(io.RawIOBase):
    """An object that is read by ranges; its end comes with its size, in the first request."""

    def __init__(self, client: Any, path: str) -> None:
        super().__init__()
        self._client, self._path, self._at = client, path, 0
        self._tail, self._size = self._end()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._at + size, self._size)
        start, self._at = self._at, max(self._at, end)
        held = self._size - len(self._tail)
        if start >= end:
            return b""
        if start >= held:
            return self._tail[start - held : end - held]
        with _explained(self._path):
            answer = self._client.get_object(**_place(self._path), Range=f"bytes={start}-{end - 1}")
            data: bytes = answer["Body"].read()
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _end(self) -> tuple[bytes, int]:
        try:
            with _explained(self._path):
                answer = self._client.get_object(**_place(self._path), Range=f"bytes=-{TAIL}")
                tail = answer["Body"].read()
                # Without a range it is the whole of it: an empty object has none.
                whole = answer.get("ContentRange", f"/{len(tail)}")
                return tail, int(whole.rsplit("/", 1)[1])
        except botocore.exceptions.ClientError as error:
            if _code(error) != "InvalidRange":
                raise
            return b"", 0


class _Upload(io.RawIOBase):
    """A temporary file that becomes an object when it is closed."""

    def __init__(self, client: Any, path: str) -> None:
        super().__init__()
        self._client, self._path = client, path
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def close(self) -> None:
        if not self.closed:
            with self._file, _explained(self._path):
                self._file.seek(0)
                self._client.upload_fileobj(self._file, *_place(self._path).values())
        super().close()


def storage_of(uri: str, settings: Settings) -> Storage:
    """The storage a URI, a folder or ``package:NAME/FILE`` lies on.

    Raises:
        ConfigError: A scheme that is not read, or S3 beside the embedded AWS, which has none.
    """
    if is_s3(uri):
        return S3Storage(aws.storage_endpoint(settings))
    return PackageStorage() if is_packaged(uri) else LocalStorage()


def hadoop(settings: Settings, *places: str) -> dict[str, str]:
    """What Spark must be told to read ``s3://`` through S3A; empty where nothing is there.

    For sessions we start: EMR and Glue have settings of their own. Credentials are what AWS's
    default chain finds, as for boto3.

    Args:
        settings: Names lake, state and sources; a table of AWS's own catalogue lies on S3.
        places: Others that Spark reads or writes.

    Raises:
        ConfigError: Lake, state or one of the places is there, and AWS is the embedded one.
    """
    near = settings.aws.embedded or settings.aws.endpoint_url is not None
    of_sources = [
        ("s3://" if one.table and not near else one.path or "") for one in settings.sources.values()
    ]
    found = [settings.lake, settings.state, *places]
    none = settings.aws.embedded and settings.aws.s3_endpoint_url is None
    if not none:  # else a source that is on S3 is refused where it is read
        found += of_sources
    if not any(one.startswith(("s3://", "s3a://")) for one in found):
        return {}
    endpoint = aws.storage_endpoint(settings)
    told = {
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "fs.AbstractFileSystem.s3.impl": "org.apache.hadoop.fs.s3a.S3A",
        "fs.s3a.endpoint.region": endpoint.region,
    }
    if endpoint.url is not None:
        told["fs.s3a.endpoint"] = endpoint.url
        told["fs.s3a.path.style.access"] = "true"  # no names of buckets before a loopback address
    return {f"spark.hadoop.{name}": one for name, one in told.items()}


def _place(path: str) -> dict[str, str]:
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def _below(folder: str, page: Any) -> Iterator[str]:
    bucket = _place(folder)["Bucket"]
    return (f"s3://{bucket}/{one['Key']}" for one in _contents(page))


def _contents(page: Any) -> Iterator[Any]:
    """Objects of a listing; one whose name ends in a slash stands for a folder and is no file."""
    return (one for one in page.get("Contents", []) if not one["Key"].endswith("/"))


def _code(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code"))


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Errors of botocore as ours; those that :class:`S3Storage` answers itself go through."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        code = _code(error)
        if code in _ABSENT:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        if code in _ELSEWHERE:
            message = f"{path}: there is no such bucket in this region: {code}"
            raise ConfigError(message, "Make it, or correct the place or aws.region") from error
        if code in ("PreconditionFailed", "ConditionalRequestConflict", "InvalidRange"):
            raise
        raise (aws.explained(error) or error) from error
    except botocore.exceptions.ParamValidationError as error:
        message = f"{path}: not a place on S3"
        raise ConfigError(message, "Write s3://BUCKET/FOLDER") from error
    except botocore.exceptions.BotoCoreError as error:
        raise (aws.explained(error) or error) from error
