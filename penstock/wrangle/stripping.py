"""Take out of a ``.flow`` file what is no recipe: data it has seen, results, account numbers.

Reports within flows hold samples of the data (facts: wrangler, 3.1: up to 99.6 % of a file), which
then lie in git. What a flow means stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock.errors import UsageError
from penstock.wrangle import data_wrangler
from penstock.wrangle.call import Value

#: AWS's documentation uses this one for nobody's account.
MASK = "111122223333"
#: Where twelve digits are an account: ARNs, bucket names in URIs, SageMaker's buckets, hosts.
_ACCOUNTS = (
    re.compile(r"(?<=:)\d{12}(?=:)"),
    re.compile(r"(?<=sagemaker-)([a-z]{2}(?:-[a-z]+)+-\d-)\d{12}(?!\d)"),
    re.compile(r"(?<!\d)\d{12}(?=\.(?:dkr\.ecr|s3)\b)"),
)
_BUCKET = re.compile(r"(?<=s3://)[^/\s\"']+|(?<=s3a://)[^/\s\"']+|(?<=s3n://)[^/\s\"']+")
_DIGITS = re.compile(r"(?<!\d)\d{12}(?!\d)")
#: What a node has that is a recipe.
_KEPT = {"node_id", "type", "operator", "parameters", "inputs", "outputs", "name"}
_STATE = "trained_parameters"


@dataclass
class Stripped:
    """What was taken out: how many pieces of a kind, and their bytes as compact JSON.

    Args:
        reports: Results of analyses: insight reports, with samples of the data.
        results: Results of queries that sources keep.
        states: What steps learnt; only where that was asked for.
        others: Parts of nodes that are no part of a recipe.
        accounts: Places where an account number stood.
        numbers: Different account numbers.
    """

    reports: list[int] = field(default_factory=list)
    results: list[int] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    accounts: int = 0
    numbers: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        """Bytes that were taken out."""
        return sum(map(sum, (self.reports, self.results, self.states, self.others)))

    @property
    def lines(self) -> list[str]:
        """What was done, a line each; one line where there was nothing."""
        found = [
            f"{len(sizes):,} {word}{'' if len(sizes) == 1 else 's'} removed ({sum(sizes):,} bytes)"
            for sizes, word in (
                (self.reports, "analysis result"),
                (self.results, "query result"),
                (self.states, "learnt state"),
                (self.others, "odd part"),
            )
            if sizes
        ]
        if self.accounts:
            found.append(
                f"{len(self.numbers):,} account number{'' if len(self.numbers) == 1 else 's'} "
                f"masked in {self.accounts:,} place{'' if self.accounts == 1 else 's'}"
            )
        return found or ["nothing to remove"]

    @property
    def figures(self) -> dict[str, int]:
        """The same for programs."""
        parts = {
            "reports": self.reports,
            "results": self.results,
            "states": self.states,
            "others": self.others,
        }
        counts = {name: len(sizes) for name, sizes in parts.items()}
        sizes = {f"{name}_bytes": sum(sizes) for name, sizes in parts.items()}
        return {**counts, **sizes, "accounts": self.accounts, "numbers": len(self.numbers)}


def read(path: Path) -> bytes:
    """A ``.flow`` file as it is.

    Raises:
        UsageError: There is none, or it is our YAML, which has nothing to strip.
    """
    if path.suffix != ".flow":
        raise UsageError(
            f"{path.name}: only .flow files hold what they have seen",
            "A flow in YAML is its recipe alone",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def stripped(text: bytes, name: str, *, states: bool = False) -> tuple[bytes, Stripped]:
    """:func:`strip` of a file's content, laid out as it was: its history shows what went alone.

    Raises:
        UsageError: It is no flow.
    """
    document, found = strip(data_wrangler.document(text, name), name, states=states)
    indent = re.match(rb"\{\s*?\n( *)", text)
    whole = json.dumps(
        document, ensure_ascii=text.isascii(), indent=len(indent[1]) if indent else None
    )
    return whole.encode() + (b"\n" if text.endswith(b"\n") else b""), found


def strip(document: Value, name: str, *, states: bool = False) -> tuple[Value, Stripped]:
    """A copy of a flow's document without what is no recipe, and what that was.

    Idempotent: of what it gives, it takes nothing.

    Args:
        document: Parsed.
        name: The file's, for messages.
        states: Whether what steps learnt goes too; they are fitted anew then.

    Raises:
        UsageError: It is no flow.
    """
    found = Stripped()
    kept = [_node(one, found, states=states) for one in data_wrangler.nodes(document, name)]
    masked = _masked({**document, "nodes": kept}, found)
    return masked, found


def _node(node: Mapping[str, Value], found: Stripped, *, states: bool) -> dict[str, Value]:
    kind, kept = str(node.get("type")), {}
    for key, value in node.items():
        taken = {"VISUALIZATION": found.reports, "SOURCE": found.results}.get(kind)
        if key in _KEPT:
            kept[key] = value
        elif key != _STATE:
            _take(found.others, value)
        elif taken is not None:
            _take(taken, value)
        elif states:
            _take(found.states, value)
        else:
            kept[key] = value
    return kept


def _take(sizes: list[int], value: Value) -> None:
    """Count a part that goes; an empty one goes uncounted."""
    if value:
        sizes.append(len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()))


def _masked(value: Value, found: Stripped) -> Value:
    if isinstance(value, str):
        return _text(value, found)
    if isinstance(value, Mapping):
        return {
            key: _bucket(one, found) if "bucket" in key.lower() else _masked(one, found)
            for key, one in value.items()
        }
    return [_masked(one, found) for one in value] if isinstance(value, list) else value


def _bucket(value: Value, found: Stripped) -> Value:
    """A setting that names a bucket."""
    if not isinstance(value, str):
        return _masked(value, found)
    return _DIGITS.sub(_mask(found), value)


def _text(value: str, found: Stripped) -> str:
    """Text of any kind, code too."""
    mask = _mask(found)
    value = _BUCKET.sub(lambda match: _DIGITS.sub(mask, match[0]), value)
    for pattern in _ACCOUNTS:
        value = pattern.sub(lambda match: _DIGITS.sub(mask, match[0]), value)
    return value


def _mask(found: Stripped) -> Callable[[re.Match[str]], str]:
    def masked(match: re.Match[str]) -> str:
        if match[0] != MASK:
            found.accounts += 1
            found.numbers.add(match[0])
        return MASK

    return masked
