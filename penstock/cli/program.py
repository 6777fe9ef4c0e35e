"""The ``penstock`` command and how it ends: an exit code, and one line where something is wrong."""

from __future__ import annotations

import logging
import shlex
import sys
import traceback

import click

from penstock.cli import misuse
from penstock.cli.commands import Commands
from penstock.cli.failures import told
from penstock.errors import PenstockError

LOG = logging.getLogger("penstock")
LOG.addHandler(logging.NullHandler())  # before there is a log file, Python would print instead

_HELP = """Spark pipelines into Amazon SageMaker Feature Store.

A project is a folder with conf/ (where it runs), schemas/ (feature groups and pipelines) and
transforms/ (how features are computed). Start one with 'penstock init DIR'.

\b
  penstock adopt                contracts and conf from feature groups that exist
  penstock provision            create the feature groups
  penstock ingest               read, transform, validate, send, write, register
  penstock plan GROUP           a range of windows: what would be done, and what it costs
  penstock backfill GROUP       run them, several at a time
  penstock stream GROUP         feed a group from a stream, until it is stopped
  penstock status               what is done
  penstock get GROUP ID         one record, online beside offline
  penstock reconcile GROUP      online beside offline, all records, and mended
  penstock query latest GROUP   one of the four queries
  penstock schedule show        what runs by itself, and when
  penstock crawler show         a Glue crawler over the offline tables, and its role
  penstock deploy TARGET        bring the project to EMR Serverless, EMR or Glue
  penstock submit TARGET -- …   run a command there; then: logs RUN, cancel RUN
  penstock ledger verify        whether the ledger is whole
  penstock compact              small files of the offline tables into large ones
  penstock expire               files of older versions go
  penstock forget GROUP ID      remove every trace of a record
  penstock replay SOURCE        send a file's rows to Kafka or Kinesis
  penstock flow run FLOW        a data-preparation flow, ours or Data Wrangler's
  penstock profile FILE         what is in a data set, on one page

Exit codes: 0 done, 2 wrong usage or configuration, 3 what was compared differs, 4 it did and was
mended, 65 the data failed a gate, 70 figures that do not agree, 75 run the same command again,
77 credentials.
"""


@click.group(cls=Commands, help=_HELP)
@click.version_option(package_name="penstock")
def cli() -> None:
    """The group of all commands."""


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


def submitted(arguments: list[str]) -> list[str]:
    """The arguments of a job as those of its command.

    Glue hands a script pairs only, and its own among them (AWS: Glue job parameters); there ours
    are the words of one value: ``--penstock 'flight_status --env aws'``. Without it none of what
    Glue hands over is ours.
    """
    if "--penstock" in arguments[:-1]:
        return shlex.split(arguments[arguments.index("--penstock") + 1])
    return [] if "--JOB_NAME" in arguments else arguments


def job(command: str) -> None:
    """What a script of ``jobs/`` does: the command of its name with the arguments it was given.

    Returns where it ended well: wrappers of scripts may take any ``SystemExit`` for a failure.

    Raises:
        SystemExit: It did not; with the command's exit code.
    """
    code = run([command, *submitted(sys.argv[1:])])
    if code:
        sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code. Never raises, but for an interrupt of the process."""
    debug = "--debug" in arguments
    try:
        answer = cli.main(arguments, prog_name="penstock", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        return _misused(error)
    except (click.Abort, KeyboardInterrupt):
        return _failed("interrupted; the same command goes on where it stopped", 75)
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line, not a stack trace
        return _ended(told(error), error, debug=debug)
    return int(answer or 0)


def _misused(error: click.ClickException) -> int:
    if not misuse.is_help(error):
        return _failed(str(misuse.told(error)), 2)
    error.show()
    return 2


def _ended(error: PenstockError, cause: BaseException, *, debug: bool) -> int:
    LOG.error("exit %d: %s", error.exit_code, error, exc_info=cause)
    if debug:
        traceback.print_exception(cause)
    return _failed(str(error), error.exit_code)


def _failed(text: str, code: int) -> int:
    click.echo(f"penstock: {text}", err=True)
    return code
