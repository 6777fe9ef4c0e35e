"""Charts as inline SVG: no script, no outside request, colours from the page's style sheet.

Each function takes plain numbers and answers an HTML ``<figure>`` with a title, a text for who does
not see it, and the values as tooltips. Every text is escaped here. Charts are drawn 360 units wide,
so that letters stay readable on a page of 400 px; put several side by side with
:func:`penstock.report.page.grid`. Their style is that of :func:`penstock.report.page.page`::

    from penstock.report import charts, page

    one = charts.histogram([0, 10, 20, 30], [5, 9, 1], title="temp", x_label="°F")
    two = charts.line([charts.Series("sent", [(0, 0), (1, 950)])], title="Rate", x_label="s")
    three = charts.bars([("TYPE", 12), ("FUTURE", 3)], title="Put aside, by rule")
    four = charts.heat_map(["a", "b"], ["a", "b"], [[1, -0.4], [-0.4, 1]], title="Correlation")
    five = charts.scatter([(1, 2), (3, 5)], title="a against b", x_label="a", y_label="b")
    html = page.page("Profile", [page.Section("Columns", page.grid([one, two, three, four, five]))])

Bins whose first or last edge is infinite are drawn as wide as the others; the tooltip says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.report import drawing
from penstock.report.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, ValueText
from penstock.report.markup import Html, escaped, joined
from penstock.report.scale import Scale, short, spread, ticks

_ROW = 34  # of horizontal bars: a line of text and the bar under it
_CELL = 34  # of a heat map
_NAME = 18  # characters of a name beside a heat map
_LETTER = 7.4  # width of a letter at the size of labels, at most on the whole
_MOST_POINTS = 2_000  # a page stays small
_SERIES = 4  # colours the style sheet has


@dataclass(frozen=True)
class Series:
    """One line of a line chart.

    Args:
        name: For the legend.
        points: x and y in order of x; a y of None leaves a gap.
    """

    name: str
    points: Sequence[tuple[float, float | None]]


def histogram(
    edges: Sequence[float],
    counts: Sequence[float],
    *,
    title: str,
    x_label: str = "",
    previous: Sequence[float] | None = None,
    names: tuple[str, str] = ("this run", "the run before"),
    value_text: ValueText = short,
) -> Html:
    """Bars of equal width, one a bin.

    Args:
        edges: Ascending, one more than ``counts``; the outermost may be infinite.
        counts: Rows of each bin, or shares.
        title: Above the chart.
        x_label: Below it, say the unit.
        previous: Counts of another data set in the same bins; drawn as a line over the bars, scaled
            to the same total, so that shapes are compared.
        names: What the bars and the line are, for the legend.
        value_text: Writes a count in a tooltip and beside the axis.
    """
    others = _scaled(previous, sum(counts)) if previous is not None else []
    highest = max([*counts, *others, 0]) or 1
    marks = ticks(0, highest)
    y = Scale(0, marks[-1], HEIGHT - BOTTOM, TOP)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(counts))
    parts = [drawing.y_axis(marks, y, value_text)]
    for index, count in enumerate(counts):
        tip = f"{_bin(edges, index)}: {value_text(count)}"
        parts.append(_bar(LEFT + index * step, y(count), step, y(0) - y(count), tip))
    if others:
        parts.append(_steps(others, step, y))
    parts.append(_edge_labels(edges, step))
    parts.append(drawing.x_label(x_label))
    body = joined(parts)
    legend = drawing.legend(names) if others else Html("")
    told = f"Histogram of {len(counts)} bins, the highest {value_text(max([*counts, 0]))}"
    return drawing.figure(title, told, body, WIDTH, HEIGHT, legend)


def line(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    x_text: ValueText = short,
    y_text: ValueText = short,
) -> Html:
    """Values over time, or over anything else that has an order; from zero up.

    Args:
        series: At most four; more have no colour of their own and are refused.
        title: Above the chart.
        x_label: Below it.
        y_label: Said in the text beside the chart and before the values in tooltips.
        x_text: Writes an x, say an instant.
        y_text: Writes a y.

    Raises:
        ValueError: More than four series.
    """
    if len(series) > _SERIES:
        raise ValueError(f"{len(series)} series on one chart: at most {_SERIES} can be told apart")
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points if y is not None]
    (low, high), marks = spread(xs), ticks(*spread(ys, zero=True))
    x = Scale(low, high, LEFT, WIDTH - RIGHT)
    y = Scale(marks[0], marks[-1], HEIGHT - BOTTOM, TOP)
    parts = [
        drawing.y_axis(marks, y, y_text),
        drawing.x_ticks([low, (low + high) / 2, high], x, x_text),
    ]
    for index, one in enumerate(series):
        parts.append(_path(one, index, x, y, (x_text, y_text, y_label)))
    parts.append(drawing.x_label(x_label))
    legend = drawing.legend([one.name for one in series]) if len(series) > 1 else Html("")
    told = f"Line chart of {y_label or 'values'}, highest {y_text(max(ys, default=0))}"
    return drawing.figure(title, told, joined(parts), WIDTH, HEIGHT, legend)


def bars(
    items: Sequence[tuple[str, float]],
    *,
    title: str,
    value_text: ValueText = short,
    highest: float | None = None,
) -> Html:
    """Horizontal bars with their names above them, in the order given.

    Args:
        items: Name and value, none below 0.
        title: Above the chart.
        value_text: Writes a value.
        highest: The value of a bar as wide as the chart; unset: the largest.
    """
    top = highest or max((value for _, value in items), default=0) or 1
    x = Scale(0, top, 0, WIDTH)
    parts = []
    for index, (name, value) in enumerate(items):
        y, text = index * _ROW, value_text(value)
        room = int((WIDTH - _LETTER * len(text)) / _LETTER) - 2
        parts.append(
            Html(
                f'<text class="label" x="0" y="{y + 13}">{escaped(drawing.cut(name, room))}</text>'
            )
        )
        parts.append(
            Html(f'<text class="label end" x="{WIDTH}" y="{y + 13}">{escaped(text)}</text>')
        )
        parts.append(Html(f'<rect class="track" x="0" y="{y + 18}" width="{WIDTH}" height="8"/>'))
        width = max(0.0, min(float(WIDTH), x(value)))
        parts.append(drawing.rect("s0", 0, y + 18, width, 8, f"{name}: {text}"))
    told = "; ".join(f"{name}: {value_text(value)}" for name, value in items[:20])
    return drawing.figure(title, told, joined(parts), WIDTH, max(_ROW, len(items) * _ROW), Html(""))


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    *,
    title: str,
    value_text: ValueText = lambda value: f"{value:.2f}".replace("0.", ".", 1),
    strongest: float = 1.0,
) -> Html:
    """Cells whose colour is the sign and whose strength is the size; the value is written in each.

    Args:
        rows: Names down the side.
        columns: Names along the top.
        values: A row each; None is an empty cell.
        title: Above the chart.
        value_text: Writes a value into its cell, in four or five characters.
        strongest: Size of a value in full colour.
    """
    left = 8 + _LETTER * min(_NAME, max(map(len, rows), default=0))
    top = 8 + _LETTER * min(_NAME, max(map(len, columns), default=0))
    parts = []
    for index, name in enumerate(columns):
        x = left + index * _CELL + _CELL / 2 + 4
        at = f'x="{x:.1f}" y="{top - 6:.1f}" transform="rotate(-90 {x:.1f} {top - 6:.1f})"'
        parts.append(Html(f'<text class="label" {at}>{escaped(drawing.cut(name, _NAME))}</text>'))
    for number, name in enumerate(rows):
        y = top + number * _CELL
        middle = f'x="{left - 6:.1f}" y="{y + _CELL / 2 + 4:.1f}"'
        parts.append(
            Html(f'<text class="label end" {middle}>{escaped(drawing.cut(name, _NAME))}</text>')
        )
        for index, value in enumerate(values[number]):
            tip = f"{name}, {columns[index]}: {'–' if value is None else value_text(value)}"
            parts.append(_cell(left + index * _CELL, y, value, strongest, tip, value_text))
    width, height = left + len(columns) * _CELL + 2, top + len(rows) * _CELL + 2
    told = f"Heat map of {len(rows)} by {len(columns)}"
    return drawing.figure(title, told, joined(parts), width, height, Html(""), fixed=True)


def scatter(
    points: Sequence[tuple[float, float]],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    x_text: ValueText = short,
    y_text: ValueText = short,
) -> Html:
    """Points; of more than 2,000 every n-th is drawn, and the text beside the chart says so.

    Args:
        points: Finite x and y.
        title: Above the chart.
        x_label: Below it.
        y_label: Said in the text beside the chart.
        x_text: Writes an x.
        y_text: Writes a y.
    """
    every = max(1, math.ceil(len(points) / _MOST_POINTS))
    drawn = points[::every]
    marks_x = ticks(*spread([x for x, _ in drawn]))
    marks_y = ticks(*spread([y for _, y in drawn]))
    x = Scale(marks_x[0], marks_x[-1], LEFT, WIDTH - RIGHT)
    y = Scale(marks_y[0], marks_y[-1], HEIGHT - BOTTOM, TOP)
    dots = joined(
        Html(f'<circle class="dot" cx="{x(one):.1f}" cy="{y(other):.1f}" r="2.2"/>')
        for one, other in drawn
    )
    parts = [
        drawing.y_axis(marks_y, y, y_text),
        drawing.x_ticks(marks_x[:: max(1, len(marks_x) // 4)], x, x_text),
    ]
    told = f"Scatter plot of {len(drawn)} of {len(points)} points, {x_label} across, {y_label} up"
    return drawing.figure(
        title, told, joined([*parts, dots, drawing.x_label(x_label)]), WIDTH, HEIGHT, Html("")
    )


def _edge_labels(edges: Sequence[float], step: float) -> Html:
    """First, middle and last finite edge; a bin that is open has no edge to write."""
    finite = [(index, one) for index, one in enumerate(edges) if math.isfinite(one)]
    if not finite:
        return Html("")
    chosen = [finite[0], finite[len(finite) // 2], finite[-1]]
    y = HEIGHT - BOTTOM + 14
    return joined(
        Html(
            f'<text class="tick {drawing.anchor(place, 2)}" x="{LEFT + index * step:.1f}" y="{y}">'
            f"{escaped(short(one))}</text>"
        )
        for place, (index, one) in enumerate(dict.fromkeys(chosen))
    )


def _bin(edges: Sequence[float], index: int) -> str:
    low, high = edges[index], edges[index + 1]
    if math.isinf(low):
        return f"below {short(high)}"
    return f"{short(low)} and above" if math.isinf(high) else f"{short(low)} to {short(high)}"


def _bar(x: float, y: float, width: float, height: float, tip: str) -> Html:
    gap = min(1.0, width * 0.1)
    return drawing.rect("s0", x + gap / 2, y, width - gap, height, tip)


def _steps(counts: Sequence[float], step: float, y: Scale) -> Html:
    """The outline of bars."""
    points = [f"M{LEFT:.1f},{y(0):.1f}"]
    for index, count in enumerate(counts):
        points.append(f"V{y(count):.1f}H{LEFT + (index + 1) * step:.1f}")
    return Html(f'<path class="line s1" d="{"".join(points)}V{y(0):.1f}"/>')


def _scaled(counts: Sequence[float], total: float) -> list[float]:
    whole = sum(counts)
    return [one * total / whole if whole else 0.0 for one in counts]


def _path(
    one: Series, index: int, x: Scale, y: Scale, texts: tuple[ValueText, ValueText, str]
) -> Html:
    """A line with breaks where a value is missing, and a dot a point where there are few."""
    x_text, y_text, label = texts
    parts, pen = [], "M"
    for at, value in one.points:
        if value is None or not math.isfinite(value):
            pen = "M"
            continue
        parts.append(f"{pen}{x(at):.1f},{y(value):.1f}")
        pen = "L"
    known = [(at, value) for at, value in one.points if value is not None]
    every = max(1, len(known) // 60)
    dots = joined(
        Html(
            f'<circle class="s{index}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="2"><title>'
            f"{escaped(f'{one.name}, {x_text(at)}: {label} {y_text(value)}')}</title></circle>"
        )
        for at, value in known[::every]
        if math.isfinite(value)
    )
    return Html(f'<path class="line s{index}" d="{"".join(parts)}"/>{dots}')


def _cell(
    x: float, y: float, value: float | None, strongest: float, tip: str, text: ValueText
) -> Html:
    if value is None or not math.isfinite(value):
        return drawing.rect("track", x + 1, y + 1, _CELL - 2, _CELL - 2, tip)
    strength = min(1.0, abs(value) / strongest) if strongest else 0.0
    kind = "s1" if value < 0 else "s0"
    # At most half of full colour, so that the text over it keeps its contrast.
    style = f'style="fill-opacity:{strength * 0.5:.2f}"'
    at = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{_CELL - 2}" height="{_CELL - 2}"'
    middle = f'x="{x + _CELL / 2:.1f}" y="{y + _CELL / 2 + 4:.1f}"'
    return Html(
        f'<rect class="{kind}" {at} {style}><title>{escaped(tip)}</title></rect>'
        f'<text class="label middle" {middle}>{escaped(text(value))}</text>'
    )
