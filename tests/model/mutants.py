"""The protocol without one of its rules, for each of them.

That a mutant is caught shows two things: the rule is needed, and the invariants can see what it
prevents.
"""

from __future__ import annotations

from dataclasses import fields, replace

from tests.model.rules import PROTOCOL, Rules
from tests.model.settings import SETTINGS, Setting

_PLAIN, _RESTATED = SETTINGS["plain"], SETTINGS["restated"]
_FORGETTING, _OVERLAPPING = SETTINGS["forgetting"], SETTINGS["overlapping"]
_ARRIVALS = SETTINGS["arrivals"]
_CROWDED = replace(_PLAIN, windows=4, crowd=4, takeover=0.6, naps=0.1)
_RESTLESS = replace(_ARRIVALS, windows=3, feeds=6, pace=0.1)
_CROSSED = replace(_FORGETTING, windows=5, feeds=3, takeover=0.6, mixed=True)

#: Where a rule is broken: a setting that brings about what the rule is there for, often enough; all
#: others are broken in ``plain``.
_TRIED_IN = {
    "remembers": replace(_PLAIN, fatal=("cp11", "cp11 unknown")),
    "manifest_stands": _CROWDED,
    "chunks_fixed": replace(_PLAIN, identifiers=20, takeover=0.4, kills=0.05),
    "fenced": replace(_RESTATED, takeover=0.5, naps=0.08),
    "looks_after_claim": replace(
        _PLAIN,
        windows=3,
        feeds=6,
        crowd=4,
        takeover=0.04,
        kills=0.005,
        nap=400,
        slow=("cp00", "cp03", "manifest made"),
    ),
    "answers_for_itself": replace(
        _PLAIN,
        windows=2,
        feeds=8,
        crowd=4,
        takeover=0.01,
        kills=0.005,
        pace=0.1,
        nap=200,
        slow=("manifest made",),
    ),
    "guarded": _FORGETTING,
    "selects_anew": replace(_CROSSED, fatal=("selection made",), slow=("cp07",)),
    "selection_checked": replace(
        _CROSSED,
        windows=8,
        identifiers=10,
        feeds=1,
        crowd=6,
        takeover=0.5,
        kills=0.005,
        nap=200,
        slow=("selecting", "selected"),
    ),
    "compares": _RESTATED,
    "compares_with_current": _RESTLESS,
    "finishes_first": replace(_OVERLAPPING, windows=8, fatal=("cp05", "after STAGED")),
    "exclusive": replace(_OVERLAPPING, windows=8, crowd=6, slow=("cp03", "cp04", "manifest made")),
    "corrects": _ARRIVALS,
    "update_checks": replace(
        _ARRIVALS,
        windows=4,
        crowd=6,
        feeds=5,
        fresh=3,
        lost=0.7,
        late=0.02,
        slow=("selection made",),
    ),
    "puts_where_gone": replace(_ARRIVALS, windows=4, identifiers=40, feeds=2),
    "offline_only_adds": replace(_ARRIVALS, feeds=6, identifiers=12, pace=0.1),
    "graceful": replace(_RESTLESS, identifiers=16, lost=0.7, late=0.01),
    "clocks_agree": _RESTATED,
    "sends_every": SETTINGS["service"],
    "collects_lost": replace(_CROWDED, windows=2, feeds=3, nap=300, slow=("cp04", "manifest made")),
}


def mutants() -> dict[str, tuple[Rules, Setting]]:
    """The protocol without one rule, and the setting to try it in, by the rule's name."""
    return {
        one.name: (
            replace(PROTOCOL, **{one.name: False}),
            _TRIED_IN.get(one.name, _PLAIN),
        )
        for one in fields(Rules)
    }
