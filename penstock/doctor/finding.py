"""What was found of one thing that a run needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from penstock import aws
from penstock.errors import PenstockError, gravest, unknown

State = Literal["ok", "missing", "unchecked"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Args:
        what: The thing.
        ok: Whether it is fit; None where that could not be checked.
        found: What was found.
        remedy: What to do; of what is fit, what could be better.
        code: Exit code of a command that fails for it.
    """

    what: str
    ok: bool | None
    found: str
    remedy: str = ""
    code: int = 2

    @property
    def state(self) -> State:
        """In a word."""
        return "unchecked" if self.ok is None else "ok" if self.ok else "missing"

    def plain(self) -> dict[str, Any]:
        """A JSON form."""
        shown = {"what": self.what, "ok": self.ok, "state": self.state, "found": self.found}
        return {**shown, "remedy": self.remedy}


Check = Callable[[], "Finding | list[Finding]"]


def exit_code(findings: Iterable[Finding]) -> int:
    """0 where nothing is missing, else that of the gravest; what is unchecked is no failure."""
    return gravest(one.code for one in findings if one.ok is False)


def looked(what: str, check: Check) -> list[Finding]:
    """What a check found; whatever it raises is a finding as well."""
    try:
        found = check()
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what was asked for
        ours = error if isinstance(error, PenstockError) else aws.explained(error)
        ours = ours or unknown(error, "")
        code = ours.exit_code if ours.exit_code in (75, 77) else 2
        return [Finding(what, ok=False, found=ours.message[:300], remedy=ours.remedy, code=code)]
    return found if isinstance(found, list) else [found]
