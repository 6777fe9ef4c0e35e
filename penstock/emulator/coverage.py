"""``docs/emulator-coverage.md``: what the embedded AWS does as AWS does, rule by rule.

``python -m penstock.emulator.coverage > docs/emulator-coverage.md`` writes it; a test fails when
the file is older than the rules.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from penstock.emulator.control_rules import CONTROL_RULES
from penstock.emulator.rules import RULES, Rule

_HEAD = """\
# What the embedded AWS emulates

A test double, not a store. It answers real AWS clients on 127.0.0.1 and behaves as AWS documents;
where documents disagree or say nothing, the last column says what it does. **No rule was verified
on AWS yet**: `PENSTOCK_TEST_AWS=1 make test` runs the same assertions on a real account
(`tests/aws`).

Each rule that is emulated is named by a test (`@pytest.mark.rule`). "Inferred" means that no
document says it. This file is generated: `python -m penstock.emulator.coverage`.
"""
_COLUMNS = ("rule", "emulated", "source", "verified on AWS", "remarks")


def rules() -> tuple[Rule, ...]:
    """All rules: of the runtime, the control plane, the offline store and the catalogue."""
    return RULES + CONTROL_RULES


def document() -> str:
    """The whole file, ending in a line feed."""
    found = rules()
    kept = sum(one.emulated for one in found)
    count = f"{kept} of {len(found)} rules are emulated.\n"
    operations = dict.fromkeys(one.operation for one in found)
    sections = [
        _section(operation, [one for one in found if one.operation == operation])
        for operation in operations
    ]
    return "\n".join([_HEAD, count, *sections])


def _section(operation: str, found: Iterable[Rule]) -> str:
    lines = [f"## {operation}", "", _row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
    lines += [
        _row((one.rule, "yes" if one.emulated else "no", one.source, "not verified on AWS",
              one.note))
        for one in found
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(document())
