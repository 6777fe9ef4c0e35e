"""Tell the story of one schedule: ``python -m tests.model SETTING SEED [RULE]``."""

from __future__ import annotations

import sys
from dataclasses import replace

from tests.model.mutants import mutants
from tests.model.rules import PROTOCOL
from tests.model.schedule import run
from tests.model.settings import SETTINGS


def main(setting: str, seed: str, *broken: str) -> int:
    """Write the story; 1 where a promise is broken.

    Args:
        setting: Name of a setting, or of a rule for the setting it is tried in.
        seed: Of the schedule.
        broken: Rules that do not hold.
    """
    rules = replace(PROTOCOL, **dict.fromkeys(broken, False))
    tried = {name: one for name, (_, one) in mutants().items()}
    outcome = run((SETTINGS | tried)[setting], int(seed), rules, tell=True)
    sys.stdout.write("\n".join([*outcome.story, f"violation: {outcome.violation}", ""]))
    return 0 if outcome.violation is None else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
