"""Where a project runs: ``conf/base.yaml`` + ``conf/<environment>.yaml`` + flags, read once.

The result is one frozen record; unknown keys, wrong types and missing files end in one line that
names file, line and fix. Every value knows where it came from (:meth:`Settings.origin`). Secrets
are never values here: AWS credentials come from botocore's own resolver.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from penstock.errors import ConfigError

MAX_BYTES = 1 << 20  # a configuration file of a megabyte is a mistake or an attack
MAX_DEPTH = 20  # what is read needs four
_NOT_SERVICE = "cannot have owner: service together with stores: online or detach_offline"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Aws(_Record):
    """Which AWS is spoken to."""

    embedded: bool = Field(default=False, description="Use the stand-in that penstock brings.")
    region: str | None = Field(default=None, description="AWS region; None asks botocore.")
    endpoint_url: str | None = Field(default=None, description="One endpoint for all services.")


class Location(_Record):
    """Where one source lies."""

    format: Literal["csv", "json", "parquet", "delta", "table"] = Field(description="File format.")
    path: str | None = Field(
        default=None,
        description="File, folder, glob or s3:// URI; package:NAME/FILE for a file of a Python "
        "package. .gz, .bz2 and .zip are read as they are.",
    )
    table: str | None = Field(default=None, description="database.table of the Glue catalogue.")
    delimiter: str = Field(default=",", description="Between the columns of a CSV.")
    header: bool = Field(default=True, description="A CSV's first line names its columns.")


class Online(_Record):
    """The online write path."""

    transport: Literal["plain", "fast"] = Field(
        default="fast", description="HTTP client; with a proxy in the way plain is used."
    )
    deletion: Literal["soft", "hard"] = Field(
        default="soft", description="What a tombstone does: soft keeps the time of the deletion."
    )
    api: Literal["auto", "batch", "put"] = Field(
        default="auto", description="BatchWriteRecord, PutRecord, or what the service answers."
    )
    in_flight: int | None = Field(
        default=None,
        ge=1,
        le=512,
        description="Requests in flight per task; unset: by operation.",
    )
    chunk_rows: int = Field(default=1_000, ge=1, le=100_000, description="Rows per marker.")
    max_write_units_per_s: float | None = Field(
        default=None, gt=0, description="Ceiling over all tasks, in write units (1 KB) a second."
    )
    max_reject_ratio: float = Field(
        default=0.01, ge=0, le=1, description="More rejected by the service ends in exit 65."
    )


class Offline(_Record):
    """The offline store."""

    format: Literal["delta"] = Field(default="delta", description="Table format.")


class Catalog(_Record):
    """The Glue catalogue."""

    register_tables: bool = Field(
        default=True, alias="register", description="Keep Glue tables in step with the contract."
    )
    database: str = Field(default="penstock", pattern=r"^[a-z_][a-z0-9_]{0,254}$")


class Quality(_Record):
    """Gates."""

    max_quarantine_ratio: float = Field(
        default=0.05, ge=0, le=1, description="More rows than this aside ends in exit 65."
    )
    future_tolerance_s: float = Field(
        default=3_600, ge=0, description="Seconds an event time may lie ahead of the run's start."
    )
    docs: bool = Field(default=True, description="Render Great Expectations' Data Docs.")


class Spark(_Record):
    """Settings of a session penstock starts itself; under spark-submit the submitter's count."""

    master: str | None = Field(default=None, description="Spark master; None leaves it to Spark.")
    settings: dict[str, str] = Field(default_factory=dict, description="spark.* settings.")


class Group(_Record):
    """Where one feature group lives, if not under its logical name with the defaults."""

    physical: str | None = Field(default=None, description="Name or ARN of the group on AWS.")
    role_arn: str | None = Field(default=None, description="Role the service takes for a store.")
    kms_key: str | None = Field(default=None, description="KMS key of the online store.")
    table: str | None = Field(default=None, pattern=r"^[a-z_][a-z0-9_]{0,251}$")
    storage_type: Literal["Standard", "Standard_V2", "InMemory"] = "Standard"
    stores: Literal["both", "online", "offline"] = Field(
        default="both", description="Which stores the group has."
    )
    owner: Literal["direct", "service"] = Field(
        default="direct", description="Who writes offline: penstock, or the service."
    )
    detach_offline: bool = Field(
        default=False, description="Write directly although the group has an offline store."
    )
    s3_uri: str | None = Field(
        default=None,
        pattern=r"^(https|s3)://([^/]+)/?(.*)$",
        max_length=1024,
        description="Where the service's own offline store is made; owner: service.",
    )

    @model_validator(mode="after")
    def _check_owner(self) -> Group:
        if self.owner == "service" and (self.stores == "online" or self.detach_offline):
            raise ValueError(_NOT_SERVICE)
        return self

    @property
    def is_online(self) -> bool:
        """Whether the group has an online store."""
        return self.stores != "offline"

    @property
    def sends(self) -> bool:
        """Whether records go to the Feature Store API."""
        return self.is_online or self.owner == "service"

    @property
    def own_table(self) -> bool:
        """Whether penstock writes the offline store."""
        return self.stores != "online" and self.owner == "direct"


class Settings(_Record):
    """Everything ``conf/`` says."""

    project: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$", description="Name of the project.")
    lake: str = Field(description="Folder or s3:// URI of offline tables and quarantine.")
    state: str = Field(description="Folder or s3:// URI of ledger, staged files and markers.")
    aws: Aws = Aws()
    sources: dict[str, Location] = Field(default_factory=dict)
    groups: dict[str, Group] = Field(default_factory=dict)
    online: Online = Online()
    offline: Offline = Offline()
    catalog: Catalog = Catalog()
    quality: Quality = Quality()
    spark: Spark = Spark()

    _origins: dict[str, str] = {}

    def origin(self, key: str) -> str:
        """Where the value of a dotted key came from: ``file:line``, ``flag`` or ``default``."""
        return self._origins.get(key, "default")

    def with_folders(self, *, lake: str, state: str) -> Settings:
        """The same settings with other folders."""
        return self.model_copy(update={"lake": lake, "state": state})

    def group(self, name: str) -> Group:
        """Settings of one group; the defaults where ``conf`` says nothing."""
        return self.groups.get(name, Group())


def load(directory: Path, environment: str, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read ``directory``'s base and environment files and lay flags over them.

    Args:
        directory: The ``conf`` folder.
        environment: Name of the overlay, ``local`` for ``local.yaml``.
        flags: Dotted key to value; wins over both files.

    Raises:
        ConfigError: Missing file, bad YAML, unknown key, wrong type; with file, line and fix.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name in ("base", environment):
        path = directory / f"{name}.yaml"
        _merge(values, origins, _read(path, directory), path)
    for key, value in (flags or {}).items():
        _set(values, origins, key, value)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _explain(error, origins, directory / f"{environment}.yaml") from None
    settings._origins.update(origins)  # noqa: SLF001 - our own record's private field
    return settings


def _read(path: Path, directory: Path) -> yaml.Node | None:
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


def _merge(
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


def _set(values: dict[str, Any], origins: dict[str, str], key: str, value: Any) -> None:
    """Lay one flag over the values; what it replaces is gone whole."""
    *path, last = key.split(".")
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


#: Pydantic's type of an error → what must be, and what to do.
_WANTED = {
    "model_type": ("must be keys and values", "Write 'key: value' lines under it"),
    "dict_type": ("must be keys and values", "Write 'key: value' lines under it"),
    "string_type": ("must be text", "Put it in quotes"),
    "int_type": ("must be a whole number", "Write it without quotes or a fraction"),
    "int_from_float": ("must be a whole number", "Write it without quotes or a fraction"),
    "float_type": ("must be a number", "Write it without quotes"),
    "bool_type": ("must be true or false", "Write it without quotes"),
    "finite_number": ("must be a finite number", "Leave the key out for the default"),
}


def _explain(error: ValidationError, origins: Mapping[str, str], default: Path) -> ConfigError:
    """One finding as one line: a misspelt key before the key it leaves missing.

    The place is the nearest key that was written down.
    """
    found = error.errors(include_url=False, include_input=False)
    first = min(found, key=lambda one: one["type"] != "extra_forbidden")
    parts = [str(part) for part in first["loc"]]
    key = ".".join(parts)
    above = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    place = next((origins[one] for one in above if one in origins), f"{default}:1")
    where = "--set" if place == "flag" else place
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{where}: unknown key {key!r}", _suggest(parts))
    if first["type"] == "missing":
        return ConfigError(f"{where}: key {key!r} is missing", f"Add '{parts[-1]}: …'")
    told = first["msg"].replace("Value error, ", "", 1)
    told = told.replace("Input should", "must", 1).replace("String should", "must", 1)
    problem, remedy = _WANTED.get(first["type"], (told, "Correct the value"))
    return ConfigError(f"{where}: {key!r} {problem}", remedy)


def _suggest(parts: list[str]) -> str:
    model: Any = Settings
    for part in parts[:-1]:
        fields = getattr(model, "model_fields", {})
        known = {field.alias or name: field for name, field in fields.items()}
        if part not in known:
            break  # the name of a source or group: its record is the mapping's value
        model = known[part].annotation
        args = getattr(model, "__args__", ())
        model = args[-1] if args and hasattr(args[-1], "model_fields") else model
    names = [field.alias or name for name, field in getattr(model, "model_fields", {}).items()]
    close = difflib.get_close_matches(parts[-1], names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known keys: {', '.join(names)}"
