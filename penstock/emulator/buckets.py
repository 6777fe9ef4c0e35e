"""Buckets as folders: ``s3://bucket/key`` is a path under the data folder. No S3 API yet."""

from __future__ import annotations

import re
from pathlib import Path

_URI = re.compile(r"s3a?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)


def folder(data: Path, uri: str) -> Path:
    """Where an S3 location lies.

    Args:
        data: Folder of the embedded AWS.
        uri: ``s3://bucket`` or ``s3://bucket/key``.

    Raises:
        ValueError: Not an S3 location, or a key that would leave its bucket.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise ValueError("not an S3 location")
    parts = [part for part in (match[2] or "").split("/") if part]
    if ".." in match[1] or any(part in {".", ".."} or "\0" in part for part in parts):
        raise ValueError("the location leaves its bucket")
    return data.joinpath("buckets", match[1], *parts)
