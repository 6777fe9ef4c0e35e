"""From values to places on a chart, and to short texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_SIZES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_PLAIN = 10_000  # below, a number is written out
_LAST_UNIT = 1e3  # from here on the greatest unit has no greater one to take
_DIGITS = 300  # beyond, a double has none, and round fails
_SMALL = 1e-3  # below, it is written with an exponent
_MOST = 1e300  # size of a value that can be drawn
_SAME = 1e-9  # a range less than this share of its values is none
_NICE = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """A linear map of values ``[low, high]`` to places ``[start, end]``.

    Args:
        low: Smallest value; of an empty range the map's middle is its place.
        high: Largest.
        start: Place of ``low``.
        end: Place of ``high``; may be less than ``start``, as heights on a screen are.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Place of a value."""
        span = self.high - self.low
        share = 0.5 if not span > 0 or math.isinf(span) else (value - self.low) / span
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round values that cover ``[low, high]``: the first not above it, the last not below.

    Args:
        low: Finite; beyond 1e300 it counts as that.
        high: Likewise; equal to ``low``, one step is made above it.
        count: About how many steps.
    """
    low, high = _bounded(low), _bounded(high)
    span = high - low
    if span <= _SAME * max(abs(low), abs(high)):  # too near for a float to stand between
        span = max(abs(low), abs(high)) or 1.0
    rough = span / count
    power = 10.0 ** max(-300, math.floor(math.log10(rough))) if rough > 0 else 1e-300
    step = next((one * power for one in _NICE if one * power >= rough * (1 - 1e-9)), power)
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    return [_rounded(index * step, step) for index in range(first, min(last, first + 20) + 1)]


def spread(values: Sequence[float], *, zero: bool = False) -> tuple[float, float]:
    """Smallest and largest finite value, 0 among them where asked; (0, 1) where there is none.

    Beyond 1e300 a value counts as that: differences of more are no floats.
    """
    finite = [_bounded(one) for one in values if math.isfinite(one)]
    if zero:
        finite.append(0.0)
    return (min(finite), max(finite)) if finite else (0.0, 1.0)


def short(value: float | None) -> str:
    """A number in few characters: ``1,234``, ``12.3k``, ``4.56M``, ``0.012``; ``-`` for None."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= _PLAIN:
        unit, name = next((one for one in _SIZES if size >= one[0]), _SIZES[-1])
        scaled = value / unit
        return f"{scaled:.3g}{name}" if abs(scaled) < _LAST_UNIT else f"{scaled:,.0f}{name}"
    if size and size < _SMALL:
        return f"{value:.1e}"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"


def _bounded(value: float) -> float:
    return max(-_MOST, min(_MOST, value))


def _rounded(value: float, step: float) -> float:
    """Without the digits that a float has beyond its step."""
    digits = 2 - math.floor(math.log10(step))
    return round(value, digits) if abs(digits) < _DIGITS else value
