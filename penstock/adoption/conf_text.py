"""``conf/ENV.adopted.yaml``: where groups live that were there before; ``adopt`` adds to it.

The file is text that people edit: what stands in it stays, new groups are put under ``groups:``,
its last key. What comes out is read back and compared before it counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penstock.errors import ConfigError

_HEAD = """\
# Feature groups that were there before, as 'penstock adopt' found them. This file lies over
# base.yaml and under {environment}.yaml; adopting again adds to it and changes nothing in it.
groups:
"""
_OWNED = "made elsewhere: compared, never changed. To take it over: true"


@dataclass(frozen=True)
class Entry:
    """One group's place.

    Args:
        values: Keys of :class:`penstock.config.Group`, without ``manage``, which is false.
        remarks: Lines said above it.
    """

    values: Mapping[str, Any]
    remarks: tuple[str, ...] = ()

    @property
    def plain(self) -> dict[str, Any]:
        """The mapping that is read back."""
        return {"manage": False, **self.values}


def added(path: Path, environment: str, entries: Mapping[str, Entry]) -> str:
    """The text of the file with these groups in it, too; writes nothing, idempotent.

    Args:
        path: The file; it need not be there.
        environment: Whose groups they are, for the first line.
        entries: Entry by the contract's name; one that stands in the file stays as it is.

    Raises:
        ConfigError: The file does not end with ``groups:``, so nothing can be added.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    there = _read(text, path)
    groups = there.get("groups") or {}
    new = {name: one for name, one in entries.items() if name not in groups}
    if not new:
        return text
    start = f"{text.rstrip()}\n" if text else _HEAD.format(environment=environment)
    made = start + "".join(_block(name, one) for name, one in new.items())
    wanted = {**there, "groups": {**groups, **{name: one.plain for name, one in new.items()}}}
    if _read(made, path) != wanted:
        raise _unfit(path)
    return made


def _block(name: str, entry: Entry) -> str:
    remarks = "".join(f"  # {' '.join(one.split())}\n" for one in entry.remarks)
    values = "".join(f"    {_line({key: one})}\n" for key, one in entry.values.items())
    return f"{remarks}  {_line({name: None})[:-5]}\n    manage: false  # {_OWNED}\n{values}"


def _line(pair: Mapping[str, Any]) -> str:
    """``key: value`` as YAML on one line, with quotes where they are needed."""
    text = yaml.safe_dump(dict(pair), width=float("inf"))  # ASCII: some breaks of lines are not
    return text.rstrip("\n")


def _read(text: str, path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        raise _unfit(path) from None
    if found is None:
        return {}
    if not isinstance(found, dict) or not isinstance(found.get("groups") or {}, dict):
        raise _unfit(path)
    return found


def _unfit(path: Path) -> ConfigError:
    remedy = "Make 'groups:' its last key, written as a block, or move the file away"
    return ConfigError(f"{path}: groups cannot be added to it", remedy)
