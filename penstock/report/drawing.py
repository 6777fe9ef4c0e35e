"""What charts have in common: the frame, the axes, the legend and bars with a tooltip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from penstock.report.markup import Html, escaped, joined
from penstock.report.scale import Scale

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 34

ValueText = Callable[[float], str]


def figure(
    title: str,
    told: str,
    body: Html,
    width: float,
    height: float,
    legend: Html,
    *,
    fixed: bool = False,
) -> Html:
    """A chart under its title.

    Args:
        title: Shown, and the chart's name for who does not see it.
        told: What the chart shows, in words.
        body: What is drawn.
        width: In units of the drawing.
        height: The same.
        legend: Below the chart.
        fixed: Never smaller than it is drawn; it scrolls in its box instead.
    """
    style = f' style="width:{width:.0f}px;max-width:none"' if fixed else ""
    scroll = ' class="scroll" tabindex="0" role="group"' if fixed else ""
    named = f' aria-label="{escaped(title)}"' if fixed else ""
    box = f'viewBox="0 0 {width:.0f} {height:.0f}"'
    return Html(
        f'<figure class="chart"><figcaption>{escaped(title)}</figcaption><div{scroll}{named}>'
        f'<svg {box} role="img"{style}><title>{escaped(title)}</title><desc>{escaped(told)}</desc>'
        f"{body}</svg></div>{legend}</figure>"
    )


def legend(names: Iterable[str]) -> Html:
    """Names beside the colours they are drawn in, at most four."""
    keys = joined(
        Html(f'<li><span class="key s{index}"></span>{escaped(name)}</li>')
        for index, name in enumerate(names)
    )
    return Html(f'<ul class="legend">{keys}</ul>')


def y_axis(marks: Sequence[float], y: Scale, text: ValueText) -> Html:
    """Lines across the chart, and what each stands for."""
    return joined(
        Html(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(one):.1f}" '
            f'y2="{y(one):.1f}"/><text class="tick end" x="{LEFT - 5}" y="{y(one) + 3.5:.1f}">'
            f"{escaped(text(one))}</text>"
        )
        for one in marks
    )


def x_ticks(marks: Sequence[float], x: Scale, text: ValueText) -> Html:
    """Values below the chart, in order; the outermost stay inside it."""
    last = len(marks) - 1
    return joined(
        Html(
            f'<text class="tick {anchor(index, last)}" x="{x(one):.1f}" '
            f'y="{HEIGHT - BOTTOM + 14}">{escaped(text(one))}</text>'
        )
        for index, one in enumerate(dict.fromkeys(marks))
    )


def anchor(index: int, last: int) -> str:
    """The outermost labels stay inside the chart."""
    return "start" if index == 0 else "end" if index == last else "middle"


def x_label(text: str) -> Html:
    """What runs along the bottom."""
    at = f'x="{(WIDTH + LEFT) / 2}" y="{HEIGHT - 5}"'
    return Html(f'<text class="tick middle" {at}>{escaped(text)}</text>') if text else Html("")


def rect(kind: str, x: float, y: float, width: float, height: float, tip: str) -> Html:
    """A bar of a class of the style sheet, with a tooltip."""
    at = f'x="{x:.2f}" y="{y:.2f}" width="{max(0.0, width):.2f}" height="{max(0.0, height):.2f}"'
    return Html(f'<rect class="{kind}" {at}><title>{escaped(tip)}</title></rect>')


def cut(text: str, room: int) -> str:
    """A text that has room for so many characters."""
    return text if len(text) <= room else text[: max(1, room - 1)] + "…"
