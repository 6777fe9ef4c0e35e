"""Every error penstock raises, and the exit code each one ends a command with.

::

    PenstockError                 70  a defect or a figure that does not add up: never guessed over
    ├── UsageError                 2  the command, the configuration or a contract is wrong
    │   ├── ConfigError            2  … with file and line
    │   └── ContractError          2  … with the feature group
    ├── DataGateError             65  the data failed a gate; nothing was published by that gate
    ├── MismatchError             70  counts that must agree do not
    ├── TemporaryError            75  run the same command again
    └── CredentialsError          77  who we are, or what we may do

An error is one line (what, which) and a remedy (what next). All of them pickle, so that an
executor can raise them to the driver. Exit codes follow sysexits (facts: reliability, failure
model).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from penstock.foreign import advice, said

#: Exit codes, the gravest first: a defect, who we are, the data, the command, time.
GRAVEST = (70, 77, 65, 2, 75)
#: No errors but answers: what was compared differs (``reconcile``, ``flow diff``); all that did was
#: mended.
DIFFERENT, REPAIRED = 3, 4


def gravest(codes: Iterable[int]) -> int:
    """The exit code of a command whose parts ended with these; 0 where none failed."""
    found = set(codes)
    return next((one for one in GRAVEST if one in found), 0)


class PenstockError(Exception):
    """Base of all. ``str(error)`` is one line: message, then the remedy.

    Args:
        message: What happened and to which thing, in one line, without feature values.
        remedy: What the person does next; empty when nothing can be done.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = " ".join(message.split())
        self.remedy = " ".join(remedy.split())
        super().__init__(self.message)

    def __str__(self) -> str:
        # AWS and Spark end theirs with a full stop.
        message = self.message.removesuffix(".")
        return f"{message}. {self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[type[PenstockError], tuple[str, str]]:
        return (type(self), (self.message, self.remedy))


def unknown(error: Exception, remedy: str) -> PenstockError:
    """An error of nobody we know, in one line without values of rows; it is the cause of ours."""
    found = PenstockError(said(error), ". ".join(filter(None, (advice(error), remedy))))
    found.__cause__ = error
    return found


class UsageError(PenstockError):
    """The command or its inputs are wrong. Nothing was touched."""

    exit_code = 2


class ConfigError(UsageError):
    """Configuration that does not parse, has an unknown key, or misses one: says file and line."""


class ContractError(UsageError):
    """A group, pipeline or source is declared wrongly, or a source lacks a declared column."""


class DataGateError(PenstockError):
    """The data tripped a gate; the stage that raised it published nothing."""

    exit_code = 65


class MismatchError(PenstockError):
    """Independently counted figures disagree, or durable state is not what it must be."""

    exit_code = 70


class TemporaryError(PenstockError):
    """Not finished, nothing lost: the same command resumes."""

    exit_code = 75


class CredentialsError(PenstockError):
    """No credentials, expired for good, or not allowed."""

    exit_code = 77
