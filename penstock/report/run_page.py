"""The page about one run, made of its plain JSON; nothing but that is known here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from penstock.report import charts, page
from penstock.report.feature_page import distributions, drift_table
from penstock.report.markup import Html, escaped, joined
from penstock.report.page import Section
from penstock.report.scale import short

Plain = Mapping[str, Any]

_LONG_S = 100  # from here on, hundredths of a second say nothing
#: Figures in the order of a run, and what they are called; see :mod:`penstock.run.figures`.
_COUNTS = (
    ("produced", "rows the transform gave"),
    ("outside", "outside the window"),
    ("quarantined", "put aside by the feature gate"),
    ("dropped", "dropped by a rule"),
    ("duplicates", "equal to another row"),
    ("ties", "share identifier and event time with another"),
    ("valid", "valid"),
    ("identifiers", "identifiers"),
    ("candidates", "records to send"),
    ("older", "not sent: something newer is known"),
    ("expired", "not sent: time to live is over"),
    ("corrected", "sent as corrections"),
    ("sent", "sent"),
    ("accepted", "accepted"),
    ("skipped", "came too late: something newer was online"),
    ("rejected", "refused by the service"),
    ("repeated", "sent again"),
    ("throttled", "answers that asked to slow down"),
    ("ambiguous", "sendings without an answer"),
    ("calls", "requests"),
    ("offline", "rows committed offline"),
    ("present", "rows that were offline already"),
)
_ALWAYS = frozenset({"produced", "valid", "identifiers", "sent", "accepted", "offline"})


def html(plain: Plain) -> str:
    """The page.

    Args:
        plain: What :mod:`penstock.run.reporting` gathered.
    """
    done = plain["state"] == "done"
    state = "done" if done else f"stopped, exit code {plain['exit_code']}"
    about = (
        f"window {plain['window']}, generation {plain['generation']}, run {plain['run']}, "
        f"ended {plain['at']}"
    )
    sections = [
        Section("How it ended", _ending(plain, state)),
        Section("Counts", _counts(plain), "Each figure is counted where it happens, by itself."),
        Section("Time and rate", _time(plain)),
        Section("Quarantine", _quarantine(plain), "Values are shown by their shape alone."),
        Section("Expectations", _expectations(plain)),
        Section("Drift", drift_table(plain), _against(plain)),
        Section("Features", distributions(plain), _sampled(plain)),
        Section("Freshness", _freshness(plain)),
    ]
    return page.page(f"{plain['group']}: {state}", sections, about=about)


def _ending(plain: Plain, state: str) -> Html:
    figures = plain.get("figures") or {}
    tone: page.Tone = "good" if plain["state"] == "done" else "bad"
    tiles = page.facts(
        [
            ("state", page.badge(state, tone)),
            ("rows read", _count(figures.get("read"))),
            ("put aside", _count(figures.get("all_quarantined"))),
            ("valid", _count(figures.get("valid"))),
            ("accepted online", _count(figures.get("accepted"))),
            ("offline rows", _count(_sum(figures, "offline", "present"))),
            ("seconds", _seconds(figures.get("seconds"))),
        ]
    )
    why = page.note(plain["why"], "bad") if plain.get("why") else Html("")
    notes = joined(page.note(one, "warn") for one in plain.get("notes", ()))
    docs = plain.get("docs")
    beside = Html("")
    if docs:
        beside = Html(f"<p>{page.link('Great Expectations Data Docs of this group', docs)}</p>")
    return joined([why, tiles, notes, beside])


def _counts(plain: Plain) -> Html:
    figures = plain.get("figures")
    if not figures:
        return page.note("The run stopped before its figures were complete.")
    sources = page.table(
        ["source", "read", "passed", "put aside", "dropped", "outside"],
        [
            [one["name"], *(_count(one[name]) for name in _SOURCE)]
            for one in figures.get("sources", ())
        ],
        caption="Source gate",
        numbers=range(1, 6),
    )
    shown = [(name, words) for name, words in _COUNTS if figures.get(name) or name in _ALWAYS]
    rest = page.table(
        ["figure", "rows or records"],
        [[words, _count(figures.get(name))] for name, words in shown],
        caption="From the feature gate to the stores",
        numbers={1},
    )
    codes = page.table(
        ["the service's code", "answers"],
        [[code, _count(count)] for code, count in figures.get("by_code", {}).items()],
        numbers={1},
    )
    return page.beside([rest, joined([sources, codes])])


_SOURCE = ("read", "passed", "quarantined", "dropped", "outside")


def _time(plain: Plain) -> Html:
    steps = [one for one in plain["steps"] if one["seconds"] is not None]
    if not steps:
        return Html("")
    chart = charts.bars(
        [(one["what"], one["seconds"]) for one in steps],
        title="Seconds of each step",
        value_text=lambda value: f"{value:.2f} s",
    )
    table = page.table(
        ["step", "reached", "seconds", "epoch"],
        [
            [one["what"], one["at"], _seconds(one["seconds"]), one["epoch"]]
            for one in plain["steps"]
        ],
        numbers={2, 3},
    )
    rates = list(_rates(plain["progress"]))
    nothing = Html("") if rates else page.note("Nothing was sent in this run.")
    return joined([page.grid([chart, *rates]), nothing, page.folded("Steps as a table", table)])


def _rates(points: Sequence[Plain]) -> Iterator[Html]:
    if not points:
        return
    yield charts.line(
        [charts.Series("accepted", [(one["s"], one["rate"]) for one in points])],
        title="Accepted records a second",
        x_label="seconds since sending began",
        y_label="records a second",
    )
    yield charts.line(
        [
            charts.Series(name, [(one["s"], one[key]) for one in points])
            for name, key in (("median", "p50_ms"), ("99 % kept to", "p99_ms"))
        ],
        title="Time of a call in ms, of all so far",
        x_label="seconds since sending began",
        y_label="milliseconds",
    )
    if points[-1]["throttled"]:
        yield charts.line(
            [charts.Series("throttled", [(one["s"], one["throttled"]) for one in points])],
            title="Answers that asked to slow down, so far",
            x_label="seconds since sending began",
            y_label="answers",
        )


def _quarantine(plain: Plain) -> Html:
    found = plain["quarantine"]
    if not found["rules"]:
        return page.note("No row was put aside.", "good")
    chart = charts.bars(
        [(_rule(one), one["rows"]) for one in found["rules"][:15]], title="Rows by rule"
    )
    rules = page.table(
        ["rule", "stage", "source", "column", "rows"],
        [
            [one["rule"], one["stage"], one["source"], one["column"], _count(one["rows"])]
            for one in found["rules"]
        ],
        numbers={4},
    )
    samples = page.table(
        ["rule", "column", "source", "place", "row, by shape"],
        [
            [
                one["rule"],
                one["column"],
                one["source"],
                _place(one),
                joined(_cells(one["row"])),
            ]
            for one in found["samples"]
        ],
        caption="Some of the rows. 'penstock quarantine show' has them as they came.",
    )
    left = Html("")
    if not found["whole"]:
        left = page.note(f"Of the first {found['counted']:,} rows; there are more.", "warn")
    return joined([left, page.grid([chart]), rules, samples])


def _cells(row: Mapping[str, str]) -> list[Html]:
    return [
        Html(f"{', ' if index else ''}{escaped(name)}: <code>{escaped(value)}</code>")
        for index, (name, value) in enumerate(row.items())
    ]


def _rule(one: Plain) -> str:
    return f"{one['rule']} on {one['column']}" if one["column"] else str(one["rule"])


def _place(one: Plain) -> str | None:
    if one["file"] is None:
        return None
    return str(one["file"]) if one["position"] is None else f"{one['file']}:{one['position']}"


def _expectations(plain: Plain) -> Html:
    tones: dict[str, page.Tone] = {"met": "good", "not met": "bad", "broken": "warn"}
    return page.table(
        ["expectation", "column", "where it fails", "outcome", "rows"],
        [
            [
                one["type"],
                one["column"],
                one["on_fail"],
                page.badge(one["outcome"], tones.get(one["outcome"], "plain")),
                _count(one["rows"]),
            ]
            for one in plain["expectations"]
        ],
        numbers={4},
    )


def _against(plain: Plain) -> str:
    source = plain["drift"]["source"]
    if source is None:
        return "There is no earlier run to compare with, or this one is a replay of bad rows."
    return (
        f"Against run {source['run']} of window {source['window']}, ended {source['at']}: "
        "population stability index in the bins of that run. Below 0.1 a feature is steady, from "
        "0.25 on it has moved."
    )


def _sampled(plain: Plain) -> str:
    found = plain["sample"]
    if found is None:
        return ""
    if found["looked"] == found["total"]:
        return f"Of all {found['total']:,} staged rows."
    return (
        f"Of {found['looked']:,} of {found['total']:,} staged rows, from {found['files']} of "
        f"{found['all_files']} files."
    )


def _freshness(plain: Plain) -> Html:
    found = plain["freshness"]
    if not found:
        return Html("")
    return page.facts(
        [
            ("newest event time", found["newest"]),
            ("behind the end of the run", _span(found["lag_s"])),
            ("window ends", found["window_end"]),
            ("newest change of a source file", found["source_changed"]),
            ("from there to the end of the run", _span(found["source_lag_s"])),
        ]
    )


def instant(at: datetime) -> str:
    """An aware instant as pages write it."""
    return f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def _span(seconds: float | None) -> str | None:
    """A duration in the unit that suits it."""
    if seconds is None:
        return None
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:,.1f} {name}"
    return f"{seconds:.1f} s"


def _count(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _sum(figures: Plain, *names: str) -> int | None:
    found: Sequence[int] = [figures[name] for name in names if name in figures]
    return sum(found) if found else None


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:,.2f}" if value < _LONG_S else short(value)
