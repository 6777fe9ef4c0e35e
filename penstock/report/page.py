"""The shell of a page: one HTML file with everything in it.

No script, no outside request (a policy in its head forbids both), light and dark as the reader's
system is, readable from 400 px up; what is wide scrolls inside its own box. Whatever is not
:class:`~penstock.report.markup.Html` is data and is escaped. How to use it::

    from penstock.report import charts, page

    text = page.page(
        "Profile of flights",
        [
            page.Section("Counts", page.facts([("rows", "336,776"), ("columns", "19")])),
            page.Section("Columns", page.table(["name", "nulls"], [["temp", 3]], numbers={1})),
            page.Section("Shapes", page.grid([charts.bars([("a", 1)], title="By rule")])),
        ],
        about="made by penstock profile, 2026-11-29T08:00:00Z",
    )

There is no template language in penstock's own dependencies (Great Expectations brings one, but is
an extra), so pages are made of functions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from penstock.report.markup import Html, escaped, joined
from penstock.report.style import STYLE

__all__ = ["Section", "badge", "beside", "facts", "folded", "grid", "link", "note", "page", "table"]

Tone = Literal["good", "warn", "bad", "plain"]

# Nothing is loaded and nothing runs, whatever a value may have smuggled in.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading; its place in the list of contents.

    Args:
        title: The heading.
        body: What follows it.
        lead: A sentence between the two.
    """

    title: str
    body: Html
    lead: str | Html = ""


def page(title: str, sections: Sequence[Section], *, about: str | Html = "") -> str:
    """A whole page.

    Args:
        title: Heading, and the window's name.
        sections: In order; those without a body are left out.
        about: Under the heading: what this is about, and when it was made.
    """
    shown = [one for one in sections if one.body]
    contents = joined(
        Html(f'<li><a href="#part-{index}">{escaped(one.title)}</a></li>')
        for index, one in enumerate(shown)
    )
    body = joined(_section(index, one) for index, one in enumerate(shown))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="generator" content="penstock">\n'
        f'<link rel="icon" href="data:,">\n<title>{escaped(title)}</title>\n'
        f"<style>{STYLE}</style>\n"
        f"</head>\n<body>\n<header><h1>{escaped(title)}</h1><p>{escaped(about)}</p></header>\n"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n<main>\n{body}</main>\n'
        "</body>\n</html>\n"
    )


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    numbers: Collection[int] = (),
) -> Html:
    """A table in a box of its own that scrolls; the first cell of a row is its heading.

    Args:
        head: Names of the columns.
        rows: Cells; what is not Html is escaped, None is a dash.
        caption: Said above it.
        numbers: Indexes of columns that are aligned at the right.
    """
    top = joined(
        Html(f'<th scope="col"{_side(i, numbers)}>{escaped(t)}</th>') for i, t in enumerate(head)
    )
    lines = joined(Html(f"<tr>{_cells(row, numbers)}</tr>") for row in rows)
    if not lines:
        return Html("")
    named = Html(f"<caption>{escaped(caption)}</caption>") if caption else ""
    label = escaped(caption or ", ".join(head))
    return Html(
        f'<div class="scroll" tabindex="0" role="group" aria-label="{label}"><table>{named}'
        f"<thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def facts(items: Iterable[tuple[str, object]]) -> Html:
    """Name and value pairs as tiles; a value of None is a dash."""
    tiles = joined(
        Html(f"<div><dt>{escaped(name)}</dt><dd>{_shown(value)}</dd></div>")
        for name, value in items
    )
    return Html(f'<dl class="facts">{tiles}</dl>') if tiles else Html("")


def grid(parts: Iterable[Html]) -> Html:
    """Cards side by side, as many as there is room for; charts belong into one."""
    cards = joined(Html(f'<div class="card">{one}</div>') for one in parts if one)
    return Html(f'<div class="cards">{cards}</div>') if cards else Html("")


def beside(parts: Iterable[Html]) -> Html:
    """Tables side by side where there is room."""
    columns = joined(Html(f"<div>{one}</div>") for one in parts if one)
    return Html(f'<div class="beside">{columns}</div>') if columns else Html("")


def note(text: str | Html, tone: Tone = "plain") -> Html:
    """A paragraph that stands out."""
    return Html(f'<p class="note {tone}">{escaped(text)}</p>')


def badge(text: str, tone: Tone = "plain") -> Html:
    """A word that says how something stands; the word says it, the colour only helps."""
    return Html(f'<span class="badge {tone}">{escaped(text)}</span>')


def link(text: str, target: str) -> Html:
    """A link to a place beside the page: a relative path, or a part of the page."""
    return Html(f'<a href="{escaped(target)}">{escaped(text)}</a>')


def folded(title: str, body: Html) -> Html:
    """Something that is opened when it is wanted."""
    return Html(f"<details><summary>{escaped(title)}</summary>{body}</details>") if body else body


def _section(index: int, one: Section) -> Html:
    lead = Html(f"<p>{escaped(one.lead)}</p>") if one.lead else ""
    named = f'aria-labelledby="part-{index}"'
    return Html(
        f'<section {named}><h2 id="part-{index}">{escaped(one.title)}</h2>'
        f"{lead}{one.body}</section>\n"
    )


def _cells(row: Sequence[object], numbers: Collection[int]) -> Html:
    first = Html(f'<th scope="row"{_side(0, numbers)}>{_shown(row[0])}</th>')
    rest = [Html(f"<td{_side(i, numbers)}>{_shown(one)}</td>") for i, one in enumerate(row) if i]
    return joined([first, *rest])


def _side(index: int, numbers: Collection[int]) -> str:
    return ' class="number"' if index in numbers else ""


def _shown(value: object) -> Html:
    if isinstance(value, Mapping):
        return escaped(", ".join(f"{key}: {one}" for key, one in value.items()) or "–")
    return escaped("–" if value is None else value)
