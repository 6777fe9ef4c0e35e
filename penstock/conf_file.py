"""Configuration files as nodes with lines, laid over one another.

What is read is bounded: a file of a megabyte, aliases and deep nesting are mistakes or attacks.
Every key remembers where its value came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from penstock.errors import ConfigError

MAX_BYTES = 1 << 20
MAX_DEPTH = 20  # what is read needs four


def adopted_path(directory: Path, environment: str) -> Path:
    """Where the groups adopted from an environment's AWS stand: over base, under the environment.

    It is the environment's because roles, keys and physical names are; another one, the embedded
    AWS say, may make groups of its own from the same contracts.
    """
    return directory / f"{environment}.adopted.yaml"


def read(path: Path, directory: Path) -> yaml.Node | None:
    """The file as nodes, which know their lines; None where it is empty.

    Raises:
        ConfigError: No such file, bad YAML, aliases, too large or too deep; with file and line.
    """
    text = _text(path, directory)
    try:
        _refuse_bombs(text, path)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = error.problem or error.context or "does not parse"
        message = f"{path}:{line}: bad YAML: {problem}"
        raise ConfigError(message, "Mend the line; indentation must be spaces") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"{path}:{line}: bad YAML: a control character"
        raise ConfigError(message, "Take it out, or write it as \\x.. in quotes") from None


def _text(path: Path, directory: Path) -> str:
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file", _choice(path, directory))
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(message, "Let this user read it") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes", "Keep data out of conf/")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text", "Save the file as UTF-8") from None


def _choice(path: Path, directory: Path) -> str:
    """What to do about a file that is not there."""
    there = sorted(one.stem for one in directory.glob("*.yaml") if "." not in one.stem)
    if path.stem == "base" or not there:
        return "Name the folder with --conf or --project, or run 'penstock init DIR'"
    return f"--env can be: {', '.join(one for one in there if one != 'base')}"


def _refuse_bombs(text: str, path: Path) -> None:
    """Aliases can grow a small file into gigabytes, depth costs the parser the square of it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{path}:{line}: YAML aliases are not read", "Write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            message = f"{path}:{line}: nested more than {MAX_DEPTH} deep"
            raise ConfigError(message, "Keep data out of conf/")


def merge(
    values: dict[str, Any], origins: dict[str, str], node: yaml.Node | None, path: Path
) -> None:
    """Lay one file over the values so far: mappings key by key, everything else whole."""
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}:1: must hold keys and values", "Write 'key: value' lines")
    _merge_mapping(values, origins, node, path, "")


def _merge_mapping(
    values: dict[str, Any], origins: dict[str, str], node: yaml.MappingNode, path: Path, prefix: str
) -> None:
    seen: set[str] = set()
    for key_node, value_node in node.value:
        key = str(key_node.value)
        line = key_node.start_mark.line + 1
        if key in seen:
            raise ConfigError(f"{path}:{line}: key {key!r} stands twice", "Remove one of the two")
        seen.add(key)
        origins[prefix + key] = f"{path}:{line}"
        if isinstance(value_node, yaml.MappingNode):
            below = values.setdefault(key, {})
            if not isinstance(below, dict):
                below = values[key] = {}
            _merge_mapping(below, origins, value_node, path, f"{prefix}{key}.")
        else:
            values[key] = _value(value_node, path)


def _value(node: yaml.Node, path: Path) -> Any:
    try:
        return yaml.SafeLoader("").construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError):  # ValueError: the 99th of a month, a number of miles
        line = node.start_mark.line + 1
        message = f"{path}:{line}: a value of kind {node.tag} is not read"
        raise ConfigError(message, "Use text, numbers, true or false, lists") from None


def lay(values: dict[str, Any], origins: dict[str, str], keys: Sequence[str], value: Any) -> None:
    """Lay one flag over the values, ``keys`` deep; what it replaces is gone whole."""
    key = ".".join(keys)
    *path, last = keys
    for n, part in enumerate(path, 1):
        below = values.get(part)
        if not isinstance(below, dict):
            below = {}
            origins[".".join(path[:n])] = "flag"
        values[part] = values = dict(below)
    values[last] = value
    for old in [one for one in origins if one.startswith(f"{key}.")]:
        del origins[old]
    _mark(origins, key, value)


def _mark(origins: dict[str, str], key: str, value: Any) -> None:
    origins[key] = "flag"
    if isinstance(value, dict):
        for name, below in value.items():
            _mark(origins, f"{key}.{name}", below)
