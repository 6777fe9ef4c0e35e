"""State stored in ``.flow`` files: whether it still counts, and what is in a stored Spark model.

A model is text: base85 of a zip of the folder that Spark's ``model.save`` writes (facts: wrangler,
3.5). Its metadata are JSON and its data Parquet, so plain values come out without Spark; nothing is
executed and nothing is unpickled.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.wrangle.call import Value
from penstock.wrangle.step import Stale

#: A stored model unpacked, its values, and the places of a vector: more is none of Spark's feature
#: models, and could be a trap. Parquet says values that repeat once, so bytes alone say little.
_MOST_BYTES = 64 * 1024 * 1024
_MOST_VALUES = 4_000_000
_MOST_PLACES = 1 << 22


@dataclass(frozen=True)
class Model:
    """A stored Spark ML model.

    Args:
        kind: Java class, without its package.
        settings: Its parameters, the defaults below those that were set.
        rows: Its data.
    """

    kind: str
    settings: Mapping[str, Value]
    rows: list[dict[str, Value]]


def check_hash(trained: Mapping[str, Value], settings: Value) -> None:
    """State counts only for the very settings it was learnt with.

    Args:
        trained: The block that holds ``_hash``.
        settings: What Data Wrangler hashes for this operator (facts: wrangler, 3.5).

    Raises:
        Stale: Another hash; or a number, as flows of before 2022 hold: it can be compared with
            nothing.
    """
    stored = trained.get("_hash")
    if not isinstance(stored, str):
        raise Stale("its stored state has no hash to compare")
    text = json.dumps(settings, sort_keys=True)
    # SHA-1 is what the format says; nothing is kept safe by it.
    if hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() != stored:
        raise Stale("its stored state is that of other settings")


def per_column(trained: Value, columns: Sequence[str]) -> dict[str, Mapping[str, Value]]:
    """Blocks by column: a list of them, each with ``input_column``; one, where there is one column.

    Raises:
        Stale: A column has none.
    """
    blocks = trained if isinstance(trained, list) else [trained]
    found = {
        str(one.get("input_column", columns[0])): one for one in blocks if isinstance(one, Mapping)
    }
    lacking = [one for one in columns if not found.get(one)]
    if lacking:
        raise Stale(f"no state is stored for {', '.join(lacking)}")
    return {one: found[one] for one in columns}


def model(text: Value) -> Model:
    """Unpack a stored model.

    Raises:
        Stale: It is none, or was edited by hand.
    """
    try:
        packed = base64.b85decode(text)
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            return _read(archive)
    except (
        TypeError,
        ValueError,
        KeyError,
        IndexError,
        binascii.Error,
        zipfile.BadZipFile,
        pa.ArrowException,
        zlib.error,
        lzma.LZMAError,
        OSError,
        RuntimeError,
        NotImplementedError,
        EOFError,
        StopIteration,
    ) as error:
        raise Stale(f"its stored model cannot be read ({type(error).__name__})") from error


def _read(archive: zipfile.ZipFile) -> Model:
    if sum(one.file_size for one in archive.infolist()) > _MOST_BYTES:
        raise ValueError("too large")
    names = sorted(archive.namelist())
    first = next(one for one in names if "metadata/part-" in one and not _hidden(one))
    metadata = json.loads(archive.read(first).decode().splitlines()[0])
    parts = [one for one in names if "data/" in one and one.endswith(".parquet")]
    rows = [row for one in parts for row in _rows(archive.read(one))]
    settings = {**metadata.get("defaultParamMap", {}), **metadata.get("paramMap", {})}
    return Model(metadata["class"].rsplit(".", 1)[-1], settings, rows)


def _rows(parquet: bytes) -> list[dict[str, Value]]:
    # Without threads: where the process ends at once, as after lint, theirs may abort it.
    file = pq.ParquetFile(io.BytesIO(parquet), pre_buffer=False)
    groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
    pieces = [one.column(n) for one in groups for n in range(one.num_columns)]
    values, size = (
        sum(one.num_values for one in pieces),
        sum(one.total_uncompressed_size for one in pieces),
    )
    if values > _MOST_VALUES or size > _MOST_BYTES:
        raise ValueError("too large")
    found: list[dict[str, Value]] = file.read(use_threads=False).to_pylist()
    return found


def _hidden(path: str) -> bool:
    return path.rsplit("/", 1)[-1].startswith((".", "_"))


def dense(vector: Mapping[str, Value]) -> list[float]:
    """A vector as Spark's Parquet holds it: dense (type 1) or sparse (type 0).

    Raises:
        ValueError: A sparse one of more places than any of Spark's feature models has.
    """
    if vector["type"] == 1:
        return [float(one) for one in vector["values"]]
    if int(vector["size"]) > _MOST_PLACES:
        raise ValueError(f"a vector of {vector['size']} places")
    values = [0.0] * int(vector["size"])
    for index, value in zip(vector["indices"], vector["values"], strict=True):
        values[index] = float(value)
    return values
