"""Options that commands share, and the workspace they lead to: settings, project, log."""

from __future__ import annotations

import functools
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import yaml

from penstock import aws, config, foreign
from penstock.conf_archive import conf_folder
from penstock.config import Settings
from penstock.errors import UsageError
from penstock.progress import Progress, Silent, progress
from penstock.project import Project, load_project
from penstock.storage import is_s3, local_path
from penstock.timetable import duration

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from penstock.run.context import Context

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Workspace:
    """What a command works with.

    Args:
        root: The project's folder.
        conf: Folder of the configuration.
        environment: Name of the overlay.
        settings: What both say, with ``--set`` laid over.
        as_json: Results as JSON on standard output, nothing else there.
        debug: Spark's own output and stack traces on the screen.
    """

    root: Path
    conf: Path
    environment: str
    settings: Settings
    as_json: bool
    debug: bool

    @functools.cached_property
    def project(self) -> Project:
        """The pipelines of the project."""
        return load_project(self.root)

    @functools.cached_property
    def progress(self) -> Progress:
        """Whom the engine tells."""
        return Silent() if self.as_json else progress(sys.stderr)


#: Of every command that sends records.
online_option = click.option(
    "--online",
    type=click.Choice(["latest", "each", "never"]),
    default="latest",
    show_default=True,
    help="What goes to the online store: of each identifier the newest row, or one row of each "
    "event time, or nothing.",
)
correct_option = click.option(
    "--correct",
    type=click.Choice(["update", "delete-put"]),
    help="New values at event times that are written already: correct both stores, online by "
    "updates, or where these cannot by removing records and putting them anew.",
)
tag_option = click.option(
    "--tag", help="The groups that bear this tag: FeatureGroup(…, tags=('daily',)) in schemas/."
)
takeover_option = click.option(
    "--takeover", is_flag=True, help="Do not wait for the lease of another run."
)


def age_of(text: str) -> timedelta:
    """What ``--older-than`` says.

    Raises:
        UsageError: It is no duration.
    """
    try:
        return duration(text)
    except ValueError as error:
        raise UsageError(f"--older-than {text!r} {error}", "Nothing was done") from None


def new_file(path: Path) -> Path:
    """A file a command is to write, known to have a place before the work begins.

    Raises:
        UsageError: Its folder is not there.
    """
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}", "Make it first")
    return path


def workspace_options(command: _Command) -> _Command:
    """Adds the shared options; the command gets a :class:`Workspace` as its first argument."""
    return _with_workspace(command, config.load)


def anywhere_options(command: _Command) -> _Command:
    """The same for commands that need no project; what they leave is in ``.penstock`` here."""
    return _with_workspace(command, _load_if_there)


def _load_if_there(place: Path, environment: str, flags: dict[str, Any]) -> Settings:
    if flags or (place / "base.yaml").is_file():
        return config.load(place, environment, flags)
    # No command that needs no project speaks to AWS; a region has to be named all the same.
    aws_ = config.Aws(region=os.environ.get("AWS_REGION") or "us-east-1")
    return Settings(project="flows", lake=".penstock/lake", state=".penstock/state", aws=aws_)


def _with_workspace(command: _Command, load: Callable[..., Settings]) -> _Command:
    @click.option(
        "--project",
        "root",
        type=click.Path(path_type=Path, file_okay=False),
        default=".",
        help="Folder of the project.",
    )
    @click.option("--conf", type=click.Path(path_type=Path), help="Folder of the configuration.")
    @click.option(
        "--env",
        "environment",
        default="local",
        show_default=True,
        help="conf/ENV.yaml to lay over.",
    )
    @click.option(
        "--set",
        "flags",
        multiple=True,
        metavar="KEY=VALUE",
        help="One setting, for example online.api=put; wins over conf/.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Results as JSON on standard output.")
    @click.option(
        "--debug", is_flag=True, help="Stack traces and Spark's own output on the screen."
    )
    @functools.wraps(command)
    def wrapped(
        *,
        root: Path,
        conf: Path | None,
        environment: str,
        flags: tuple[str, ...],
        as_json: bool,
        debug: bool,
        **others: Any,
    ) -> Any:
        place = conf or conf_folder(root)
        settings = load(place, environment, dict(_flag(one) for one in flags))
        settings = _absolute(settings, root)
        _start_log(settings, root, debug=debug)
        workspace = Workspace(root, place, environment, settings, as_json, debug)
        return command(workspace, **others)

    return wrapped  # type: ignore[return-value]  # click hands over other arguments than it is given


@contextmanager
def spark_context(
    workspace: Workspace, *places: str, takeover: bool = False, kafka: bool = False
) -> Iterator[Context]:
    """What a run needs: AWS reached or embedded, Spark started when it is asked for.

    Args:
        workspace: The project.
        places: Where Spark reads or writes, beside what ``conf`` names.
        takeover: Do not wait for the lease of another run.
        kafka: Whether Spark reads Kafka's topics.
    """
    from penstock.bucket import hadoop
    from penstock.run.context import Context
    from penstock.session import quiet, spark_session

    def start() -> SparkSession:
        workspace.progress.step("penstock", "starting Spark")
        settings = workspace.settings
        s3 = hadoop(settings, *places)
        spark = spark_session(settings.spark, f"penstock {settings.project}", s3, kafka=kafka)
        if not workspace.debug:
            quiet(spark)
        return spark

    with _jvm_output(workspace), aws.connected(workspace.settings) as endpoint:
        yield Context(
            start,
            endpoint,
            workspace.settings,
            workspace.root.absolute(),
            workspace.progress,
            takeover=takeover,
        )


def log_path() -> Path | None:
    """The log file of this process, once there is one."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler) and handler.get_name() == _LOG:
            return Path(handler.baseFilename)
    return None


_LOG = "penstock"


class _Log(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Where the log cannot be written, the one line on the screen says why: nothing beside."""


def _flag(text: str) -> tuple[str, Any]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise UsageError(f"--set {text!r} is not KEY=VALUE", "Write for example online.in_flight=8")
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return key, value
    return key, value if config.is_entry(key) and not isinstance(read, str) else read


def _absolute(settings: Settings, root: Path) -> Settings:
    """Relative folders are relative to the project, wherever the command is started."""
    folders = {}
    for key in ("lake", "state"):
        value = getattr(settings, key)
        plain = "://" not in value and not value.startswith("/")
        folders[key] = str((root / value).absolute()) if plain else value
    return settings.with_folders(**folders)


def _start_log(settings: Settings, root: Path, *, debug: bool) -> None:
    if log_path() is not None:
        return
    folder = _log_folder(settings, root)
    name = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    handler = _Log(folder / name, encoding="utf-8", delay=True)
    handler.set_name(_LOG)
    formatter = logging.Formatter if debug else foreign.Formatter
    handler.setFormatter(formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    whole = logging.getLogger()
    whole.addHandler(handler)
    whole.setLevel(logging.INFO if debug else logging.WARNING)


def _log_folder(settings: Settings, root: Path) -> Path:
    """Beside the state; where that is on S3, in the project's folder, or in a temporary one.

    A job that was shipped may have a working folder it cannot write into.
    """
    if not is_s3(settings.state):
        folder = Path(local_path(settings.state)) / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = root / ".penstock" / "logs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="penstock-logs-"))
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="penstock-logs-"))


@contextmanager
def _jvm_output(workspace: Workspace) -> Iterator[None]:
    """What the JVM says, on the output it inherits when it starts, goes to the log.

    With --debug it goes to standard error: standard output is for results alone, and Spark 3.5
    prints to it while it resolves packages.
    """
    path = log_path()
    with ExitStack() as stack:
        if workspace.debug or path is None:
            stack.enter_context(_redirected("stdout", 2))
        else:
            log = stack.enter_context(path.open("ab"))
            stack.enter_context(_redirected("stdout", log.fileno()))
            stack.enter_context(_redirected("stderr", log.fileno()))
        yield


@contextmanager
def _redirected(name: str, target: int) -> Iterator[None]:
    """Child processes write a standard stream to ``target``, Python to where it went before."""
    number = {"stdout": 1, "stderr": 2}[name]
    before = getattr(sys, name)
    before.flush()
    ours = os.dup(number)
    screen = os.fdopen(os.dup(number), "w", encoding="utf-8", buffering=1)
    os.dup2(target, number)
    setattr(sys, name, screen)
    try:
        yield
    finally:
        setattr(sys, name, before)
        os.dup2(ours, number)
        os.close(ours)
        screen.close()
