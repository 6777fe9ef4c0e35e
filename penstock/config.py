"""Where a project runs: ``conf/base.yaml`` + ``conf/<environment>.yaml`` + flags, read once.

Between the two files lies ``conf/<environment>.adopted.yaml`` where ``penstock adopt`` wrote one.

The result is one frozen record; unknown keys, wrong types and missing files end in one line that
names file, line and fix. Every value knows where it came from (:meth:`Settings.origin`). Secrets
are never values here: AWS credentials come from botocore's own resolver.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from penstock.conf_crawler import Crawler
from penstock.conf_deploy import Deploy
from penstock.conf_file import adopted_path, lay, merge, read
from penstock.conf_ledger import Ledger
from penstock.conf_observe import Observe
from penstock.conf_price import Prices
from penstock.conf_record import Record as _Record
from penstock.conf_schedule import Schedule, Scheduler
from penstock.conf_streams import Stream
from penstock.errors import ConfigError

_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SCHEDULE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_SERVICE = "cannot have owner: service together with stores: online or detach_offline"


class Aws(_Record):
    """Which AWS is spoken to."""

    embedded: bool = Field(default=False, description="Use the stand-in that penstock brings.")
    region: str | None = Field(default=None, description="AWS region; None asks botocore.")
    endpoint_url: str | None = Field(
        default=None,
        description="One endpoint for all services: AWS's own over https, or loopback.",
    )
    s3_endpoint_url: str | None = Field(
        default=None, description="The same for S3 alone; beside the embedded AWS as well."
    )

    @field_validator("endpoint_url", "s3_endpoint_url")
    @classmethod
    def _ours(cls, url: str | None) -> str | None:
        problem = None if url is None else endpoint_problem(url)
        if problem is not None:
            raise ValueError(problem)
        return url


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
    expected_write_units_per_s: float | None = Field(
        default=None,
        gt=0,
        description="What all tasks are believed to be allowed: where they begin, and no bound.",
    )
    max_reads_per_s: float | None = Field(
        default=None, gt=0, description="Ceiling of reading over all tasks, in records a second."
    )
    removal_grace_s: float = Field(
        default=60.0,
        ge=0,
        description="Between the removal of a record and its return, for calls that come late.",
    )
    max_reject_ratio: float = Field(
        default=0.01, ge=0, le=1, description="More rejected by the service ends in exit 65."
    )


class Offline(_Record):
    """The offline store."""

    format: Literal["delta", "iceberg", "hive"] = Field(
        default="delta", description="Format of the offline tables."
    )


class Catalog(_Record):
    """The Glue catalogue."""

    register_tables: bool = Field(
        default=True, alias="register", description="Keep Glue tables in step with the contract."
    )
    database: str = Field(
        default="penstock",
        pattern=r"^[a-z_][a-z0-9_]{0,254}$",
        description="Glue database of the offline tables.",
    )
    crawler: Crawler = Crawler()


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
    manage: bool = Field(
        default=True,
        description="Whether provision makes and changes it; false: others do, and it compares.",
    )
    role_arn: str | None = Field(default=None, description="Role the service takes for a store.")
    kms_key: str | None = Field(default=None, description="KMS key of the online store.")
    table: str | None = Field(
        default=None,
        pattern=r"^[a-z_][a-z0-9_]{0,251}$",
        description="Name of its Glue table; unset: the group's, in Glue's letters.",
    )
    storage_type: Literal["Standard", "Standard_V2", "InMemory"] = Field(
        default="Standard", description="Tier of the online store."
    )
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
    ledger: Ledger = Ledger()
    report: bool = Field(default=True, description="Write a report of each run into the lake.")
    observe: Observe = Observe()
    spark: Spark = Spark()
    prices: Prices = Prices()
    schedules: dict[str, Schedule] = Field(default_factory=dict)
    scheduler: Scheduler = Scheduler()
    deploy: Deploy = Deploy()
    streams: dict[str, Stream] = Field(
        default_factory=dict, description="By feature group: where its events come from."
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("schedules")
    @classmethod
    def _check_names(cls, schedules: dict[str, Schedule]) -> dict[str, Schedule]:
        for name in schedules:
            if not _SCHEDULE.fullmatch(name):
                raise ValueError(f"has {name!r}: letters, digits, - and _ are a name, at most 64")
        return schedules

    def origin(self, key: str) -> str:
        """Where the value of a dotted key came from: ``file:line``, ``flag`` or ``default``."""
        return self._origins.get(key, "default")

    def place(self, key: str) -> str:
        """The same as a message says it."""
        found = self.origin(key)
        return "--set" if found == "flag" else found

    def with_folders(self, *, lake: str, state: str) -> Settings:
        """The same settings with other folders."""
        return self.model_copy(update={"lake": lake, "state": state})

    def group(self, name: str) -> Group:
        """Settings of one group; the defaults where ``conf`` says nothing."""
        return self.groups.get(name, Group())


def load(directory: Path, environment: str, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read ``directory``'s base, adopted and environment files and lay flags over them.

    Args:
        directory: The ``conf`` folder.
        environment: Name of the overlay, ``local`` for ``local.yaml``.
        flags: Dotted key to value; wins over both files.

    Raises:
        ConfigError: Missing file, bad YAML, unknown key, wrong type; with file, line and fix.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    adopted = adopted_path(directory, environment)
    between = [adopted] if adopted.is_file() else []
    for path in (directory / "base.yaml", *between, directory / f"{environment}.yaml"):
        merge(values, origins, read(path, directory), path)
    for key, value in (flags or {}).items():
        lay(values, origins, _keys(key), value)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _explain(error, origins, directory / f"{environment}.yaml") from None
    settings._origins.update(origins)  # noqa: SLF001 - our own record's private field
    return settings


def is_entry(key: str) -> bool:
    """Whether a dotted key is an entry of a free mapping, such as ``spark.settings``: text."""
    return len(_keys(key)) <= key.count(".")


def _keys(key: str) -> list[str]:
    """A dotted key as keys of mappings; the name of a free mapping's entry has dots of its own."""
    parts = key.split(".")
    kind: Any = Settings
    for n, part in enumerate(parts[:-1], 1):
        kind = get_args(kind)[1] if get_origin(kind) is dict else _annotation(kind, part)
        if get_origin(kind) is dict and not hasattr(get_args(kind)[1], "model_fields"):
            return [*parts[:n], ".".join(parts[n:])]
    return parts


def _annotation(model: Any, name: str) -> Any:
    """Type of a record's field, of one that may be None that of its record; None: there is none."""
    fields = getattr(model, "model_fields", {})
    found = next((one.annotation for key, one in fields.items() if name in (key, one.alias)), None)
    if get_origin(found) is dict:
        return found
    return next((one for one in get_args(found) if hasattr(one, "model_fields")), found)


#: Pydantic's type of an error → what must be, and what to do.
_WANTED = {
    "model_type": ("must be keys and values", "Write 'key: value' lines under it"),
    "dict_type": ("must be keys and values", "Write 'key: value' lines under it"),
    "string_type": ("must be text", "Put it in quotes"),
    "int_type": ("must be a whole number", "Write it without quotes or a fraction"),
    "int_from_float": ("must be a whole number", "Write it without quotes or a fraction"),
    "tuple_type": ("must be a list", "Write '[a, b]', or '- a' lines under it"),
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
        model = next((one for one in args if hasattr(one, "model_fields")), model)
    names = [field.alias or name for name, field in getattr(model, "model_fields", {}).items()]
    close = difflib.get_close_matches(parts[-1], names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known keys: {', '.join(names)}"


def endpoint_problem(url: str) -> str | None:
    """Why records and signatures must not be sent to a URL; None where they may.

    Allowed are AWS's own names over https and loopback: anything else is a mistake, or somebody
    who wants what we send (reliability facts F86).
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        return "is not an http or https URL"
    if parts.username is not None or parts.query or parts.fragment:
        return "has a user, a query or a fragment in it"
    if host in _LOOPBACK:
        return None
    if parts.scheme == "https" and host.endswith(_AWS_HOSTS):
        return None
    return "is neither AWS over https nor loopback"
