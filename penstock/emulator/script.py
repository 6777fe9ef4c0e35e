"""The fault script as JSON in a file, for servers in other processes.

``{"rules": [{"operation": "PutRecord", "every": 10, "action": {"kind": "failing", "status": 500}}],
"quotas": [{"rate": 1000, "schedule": [[30, 500]]}]}``: the members of ``faults.Rule`` and
``quotas.Quota``, and as an action's kind the name of a function of ``actions`` with its arguments.
A file instead of a port: whoever can write into the data folder owns the server anyhow.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

from penstock.emulator import actions
from penstock.emulator.faults import Faults, Quota, Rule

_NUMBER = (int, float)
#: What a member may be: types, or words.
_VALUES: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(("operation", "group", "identifier", "name", "code", "message"), (str,)),
    **dict.fromkeys(("first", "every", "nth", "seed", "retry_after"), (int,)),
    **dict.fromkeys(("after", "until", "probability", "seconds", "jitter"), _NUMBER),
    **dict.fromkeys(("rate", "burst", "bytes_per_second"), _NUMBER),
    "applied": (bool,),
    "status": (int, "Creating", "Created", "CreateFailed", "Deleting", "DeleteFailed"),
    "shape": get_args(actions.Shape),
    "per": ("all", "group", "identifier"),
    "batch": ("entries", "call"),
}

#: The script's name in a data folder.
NAME = "faults.json"

_ACTIONS: Mapping[str, Callable[..., actions.Action]] = {
    made.__name__: made
    for made in (
        actions.throttled, actions.failing, actions.denied, actions.expired, actions.rotated,
        actions.vanished, actions.turned, actions.garbage, actions.reset_before,
        actions.reset_after, actions.closed, actions.truncated, actions.dripped, actions.hanging,
        actions.delayed, actions.unprocessed, actions.refused,
    )
}  # fmt: skip


class ScriptError(ValueError):
    """The text is no fault script; the message says what is wrong."""


class ScriptFile:
    """A file whose script is in force as soon as it is there, and gone when it goes.

    Args:
        file: Where it lies or will lie.
        faults: What it changes. Rules added in this process go when the file changes.
    """

    def __init__(self, file: Path, faults: Faults) -> None:
        self._file = os.fspath(file)
        self._faults = faults
        self._seen: tuple[int, int, int] | None = None

    def refresh(self) -> None:
        """Read the file if it changed; to be called before each transaction (a stat, no more).

        Raises:
            ScriptError: What is there now is no script; the old one stays in force.
        """
        try:
            found = os.stat(self._file)  # noqa: PTH116 - called for every request: Path costs more
        except FileNotFoundError:
            state = None
        else:
            state = (found.st_ino, found.st_mtime_ns, found.st_size)
        if state == self._seen:
            return
        text = "{}" if state is None else Path(self._file).read_text(encoding="utf-8")
        rules, quotas = parse(text)
        self._faults.replace(rules, quotas)
        self._seen = state


def place(folder: Path, script: Mapping[str, Any]) -> Path:
    """Put a script into a data folder in one step; requests sent from now on meet it.

    Raises:
        ScriptError: It is no script.
    """
    text = json.dumps(script)
    parse(text)
    file = folder / NAME
    aside = folder / f".{NAME}.{secrets.token_hex(8)}"
    aside.write_text(text, encoding="utf-8")
    aside.replace(file)
    return file


def parse(text: str) -> tuple[list[Rule], list[Quota]]:
    """Rules and quotas of a script.

    Raises:
        ScriptError: Not JSON, or a member, kind or value that does not exist.
    """
    try:
        script = json.loads(text)
        if not isinstance(script, dict) or not script.keys() <= {"rules", "quotas"}:
            raise ScriptError("a fault script has the members rules and quotas alone")
        rules = [_rule(dict(one)) for one in script.get("rules", ())]
        quotas = [_quota(dict(one)) for one in script.get("quotas", ())]
    except (TypeError, ValueError, KeyError, re.error) as problem:
        raise ScriptError(f"no fault script: {problem}") from None
    return rules, quotas


def _rule(given: dict[str, Any]) -> Rule:
    action = dict(given.pop("action"))
    kind = action.pop("kind")
    if kind not in _ACTIONS:
        raise ScriptError(f"there is no action {kind!r}; there are {', '.join(_ACTIONS)}")
    _check(action, _VALUES)
    _check(given, _VALUES)
    if given.get("identifier") is not None:
        re.compile(given["identifier"])
    return Rule(_ACTIONS[kind](**action), **given)


def _quota(given: dict[str, Any]) -> Quota:
    steps = tuple((float(at), float(rate)) for at, rate in given.pop("schedule", ()))
    _check(given, _VALUES)
    return Quota(schedule=steps, **given)


def _check(given: Mapping[str, Any], kinds: Mapping[str, tuple[Any, ...]]) -> None:
    """JSON has no types of ours: a wrong one must not be found only when the rule strikes."""
    for name, value in given.items():
        allowed = kinds.get(name, ())
        kind = type(value)
        if kind not in allowed and not (kind is str and value in allowed):
            raise ScriptError(f"{name} cannot be {value!r}")
