"""Pages and charts: whatever data says, it stays data; colours can be read; nothing is loaded."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.report import charts, page
from penstock.report.markup import Html, escaped
from penstock.report.scale import Scale, short, ticks
from penstock.report.style import DARK, LIGHT

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>&'`</title></svg>"
NUMBERS = st.floats(-1e300, 1e300)


def _tree(markup: str) -> ET.Element:
    """It is well-formed, so no text has become a tag."""
    return ET.fromstring(f"<div>{markup}</div>")


@given(st.text())
def test_what_is_escaped_reads_as_it_was(text: str) -> None:
    """But for characters that no page may have."""
    found = "".join(_tree(escaped(text)).itertext())
    wanted = "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text)
    assert found == wanted


def test_evil_texts_stay_text() -> None:
    """In every place that takes a text."""
    parts = [
        charts.histogram([0, 1], [1], title=EVIL, x_label=EVIL, previous=[1], names=(EVIL, EVIL)),
        charts.line([charts.Series(EVIL, [(0, 1)])] * 2, title=EVIL, x_label=EVIL, y_label=EVIL),
        charts.bars([(EVIL, 1)], title=EVIL),
        charts.heat_map([EVIL], [EVIL], [[1]], title=EVIL),
        charts.scatter([(1, 1)], title=EVIL, x_label=EVIL, y_label=EVIL),
        page.table([EVIL], [[EVIL]], caption=EVIL),
        page.facts([(EVIL, EVIL)]),
        page.note(EVIL),
        page.badge(EVIL),
        page.folded(EVIL, page.note(EVIL)),
        page.link(EVIL, EVIL),
    ]
    whole = page.page(EVIL, [page.Section(EVIL, page.grid(parts), EVIL)], about=EVIL)
    for one in parts:
        names = {element.tag for element in _tree(one).iter()}
        assert not names & {"script", "img"}
    assert "<script" not in whole
    assert "<img" not in whole
    assert whole.count("</title>") == whole.count("<title>")


def test_a_page_asks_for_nothing() -> None:
    """A policy forbids it, there is no script, and no address in it but places beside it."""
    text = page.page("Title", [page.Section("Part", page.note("x"))], about="made")
    assert "default-src 'none'" in text
    for word in ("<script", "http://", "https://", "@import", "url(", "src="):
        assert word not in text


def test_empty_parts_are_left_out() -> None:
    """A table without rows, and a section without a body."""
    assert page.table(["a"], []) == ""
    text = page.page("Title", [page.Section("Gone", Html("")), page.Section("Here", Html("x"))])
    assert "Gone" not in text
    assert text.count("Here") == 2  # in the contents, and as a heading


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_colours_can_be_told_from_the_card(colours: dict[str, str]) -> None:
    """Text 4.5:1 and marks 3:1 (WCAG 2.1, 1.4.3 and 1.4.11)."""
    for name in ("text", "soft", "link", "good", "warn", "bad"):
        for ground in ("card", "ground"):
            assert _contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for name in ("s0", "s1", "s2", "s3"):
        assert _contrast(colours[name], colours["card"]) >= 3, name
        # A heat map's cell is at most half of a colour; the text over it stays readable.
        assert _contrast(colours["text"], _mixed(colours[name], colours["card"])) >= 4.5, name


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mixed(one: str, other: str) -> str:
    pairs = ((int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{(a + b) // 2:02x}" for a, b in pairs)


@given(NUMBERS, NUMBERS)
def test_ticks_cover_their_range(one: float, other: float) -> None:
    """In order, the first not above the range, the last not below, few of them."""
    low, high = sorted((one, other))
    found = ticks(low, high)
    assert found == sorted(found)
    assert 2 <= len(found) <= 21
    slack = 1e-6 * max(abs(low), abs(high)) + 1e-299
    assert found[0] <= low + slack
    assert found[-1] >= high - slack


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20))
def test_charts_of_any_numbers_are_drawings(points: list[tuple[float, float]]) -> None:
    """No number that floats can be makes a place that is none."""
    shapes = [
        charts.line([charts.Series("a", sorted(points))], title="a"),
        charts.scatter(points, title="b"),
        charts.bars([("x", abs(y)) for _, y in points], title="c"),
    ]
    for one in shapes:
        _tree(one)
        assert "nan" not in one.replace("middle", "")
        assert 'inf"' not in one


def test_a_histogram_has_a_bar_a_bin() -> None:
    """With what each stands for as a tooltip, open ends among them."""
    made = charts.histogram([-math.inf, 0, 5, math.inf], [1, 20, 3], title="t", previous=[2, 40, 6])
    bars = [one for one in _tree(made).iter("rect") if one.get("class") == "s0"]
    tips = [one.findtext("title") for one in bars]
    assert tips == ["below 0: 1", "0 to 5: 20", "5 and above: 3"]
    heights = [float(str(one.get("height"))) for one in bars]
    assert heights[0] < heights[2] < heights[1]
    assert len(list(_tree(made).iter("path"))) == 1


def test_a_line_breaks_where_a_value_is_missing() -> None:
    """It is not drawn as if there were one."""
    made = charts.line([charts.Series("a", [(0, 1.0), (1, None), (2, 3.0)])], title="t")
    (path,) = _tree(made).iter("path")
    assert str(path.get("d")).count("M") == 2


def test_more_series_than_colours_are_refused() -> None:
    """Nobody could tell them apart."""
    with pytest.raises(ValueError, match="at most 4"):
        charts.line([charts.Series("a", [])] * 5, title="t")


def test_a_place_of_no_range_is_the_middle() -> None:
    """A constant is drawn, not divided by nothing."""
    assert Scale(3, 3, 0, 100)(3) == 50


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234, "1,234"), (12_345, "12.3k"), (4_560_000, "4.56M"), (0.5, "0.5"), (-3, "-3")],
)
def test_numbers_in_few_characters(value: float, text: str) -> None:
    """As a person reads them."""
    assert short(value) == text
    assert short(None) == "–"
