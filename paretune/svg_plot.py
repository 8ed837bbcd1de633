"""Charts as inline SVG: marks with error bars and a staircase, or a line; linear or logarithmic axes.

Knows no study. Colours come from the classes of the page that a chart stands in; texts are escaped here.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 84, 20, 16, 56
MARGIN = 0.06
"""Of an axis, free on both sides of the values."""
MOST_TICKS = 6
LEAST_TICKS = 2
RADIUS = 4.5


@dataclass(frozen=True)
class Mark:
    """A point with a tooltip; its deviations are drawn as bars, and `label` beside it."""

    x: float
    y: float
    kind: str
    title: str
    label: str = ""
    x_error: float = 0.0
    y_error: float = 0.0


@dataclass(frozen=True)
class Axis:
    """What an axis is called, and whether it is logarithmic; then all of its values are above zero."""

    title: str
    log: bool = False


@dataclass(frozen=True)
class _Scale:
    """Where values stand between `start` and `end`, in pixels."""

    low: float
    high: float
    log: bool
    start: float
    end: float

    def place(self, value: float) -> float:
        at = _on(value, log=self.log)
        at = min(max(at, self.low), self.high)
        return self.start + (at - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield place and text of each tick."""
        values = list(_decades(self.low, self.high)) if self.log else []
        if len(values) < LEAST_TICKS:
            # Within a decade, round steps are the better ones on a logarithmic axis, too.
            ends = (10**self.low, 10**self.high) if self.log else (self.low, self.high)
            values = list(_round_steps(*ends))
        for value in values:
            yield self.place(value), _written(value)


def scatter(marks: Sequence[Mark], *, x: Axis, y: Axis, stairs: Sequence[tuple[float, float]] = ()) -> str:
    """Return a chart of marks, the later above the earlier; `stairs` are the corners of a staircase."""
    horizontal = _scale([mark.x for mark in marks], log=x.log, start=LEFT, end=WIDTH - RIGHT)
    vertical = _scale([mark.y for mark in marks], log=y.log, start=HEIGHT - BOTTOM, end=TOP)
    drawn = [*_axes(horizontal, vertical, x=x, y=y)]
    if stairs:
        drawn.append(_path(stairs, horizontal, vertical, kind="stairs"))
    for mark in marks:
        drawn += _mark(mark, horizontal, vertical)
    return _svg(drawn, label=f"{y.title} over {x.title}")


def line(points: Sequence[tuple[float, float]], *, x: Axis, y: Axis) -> str:
    """Return a chart of a line through points."""
    horizontal = _scale([point[0] for point in points], log=x.log, start=LEFT, end=WIDTH - RIGHT)
    vertical = _scale([point[1] for point in points], log=y.log, start=HEIGHT - BOTTOM, end=TOP)
    path = _path(points, horizontal, vertical, kind="line")
    return _svg([*_axes(horizontal, vertical, x=x, y=y), path], label=f"{y.title} over {x.title}")


def staircase(points: Sequence[tuple[float, float]], *, rises_late: bool) -> list[tuple[float, float]]:
    """Return the corners between points in the order of x: up to the next x first, or (if not) to its y."""
    corners: list[tuple[float, float]] = []
    for point in sorted(points):
        if corners:
            last = corners[-1]
            corners.append((point[0], last[1]) if rises_late else (last[0], point[1]))
        corners.append(point)
    return corners


def _mark(mark: Mark, horizontal: _Scale, vertical: _Scale) -> Iterator[str]:
    x, y = horizontal.place(mark.x), vertical.place(mark.y)
    if mark.x_error:
        low, high = (horizontal.place(_apart(mark.x, sign * mark.x_error)) for sign in (-1, 1))
        yield f'<line class="bar" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    if mark.y_error:
        low, high = (vertical.place(_apart(mark.y, sign * mark.y_error)) for sign in (-1, 1))
        yield f'<line class="bar" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
    yield (
        f'<circle class="{escape(mark.kind)}" cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}">'
        f"<title>{escape(mark.title)}</title></circle>"
    )
    if mark.label:
        yield f'<text class="near" x="{x + 7:.1f}" y="{y - 7:.1f}">{escape(mark.label)}</text>'


def _apart(value: float, error: float) -> float:
    """Return a value and its error together, above zero if the value is: a bar may end on a log axis."""
    return max(value + error, value * 1e-3) if value > 0 else value + error


def _path(points: Sequence[tuple[float, float]], horizontal: _Scale, vertical: _Scale, *, kind: str) -> str:
    places = " ".join(f"{horizontal.place(x):.1f},{vertical.place(y):.1f}" for x, y in points)
    return f'<polyline class="{kind}" points="{places}"/>'


def _axes(horizontal: _Scale, vertical: _Scale, *, x: Axis, y: Axis) -> Iterator[str]:
    floor = HEIGHT - BOTTOM
    for place, text in horizontal.ticks():
        yield f'<line class="grid" x1="{place:.1f}" x2="{place:.1f}" y1="{TOP}" y2="{floor}"/>'
        yield f'<text class="tick" x="{place:.1f}" y="{floor + 18}" text-anchor="middle">{text}</text>'
    for place, text in vertical.ticks():
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place:.1f}" y2="{place:.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{place + 4:.1f}" text-anchor="end">{text}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text class="title" x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x.title)}</text>'
    half = (TOP + floor) / 2
    yield (
        f'<text class="title" x="18" y="{half}" text-anchor="middle" transform="rotate(-90 18 {half})">'
        f"{escape(y.title)}</text>"
    )


def _svg(drawn: Sequence[str], *, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(drawn)}</svg>'
    )


def _scale(values: Sequence[float], *, log: bool, start: float, end: float) -> _Scale:
    places = [_on(value, log=log) for value in values]
    low, high = min(places), max(places)
    span = high - low or max(abs(high), 1.0) * 0.1
    return _Scale(low - MARGIN * span, high + MARGIN * span, log, start, end)


def _on(value: float, *, log: bool) -> float:
    return math.log10(value) if log else value


def _decades(low: float, high: float) -> Iterator[float]:
    """Yield round numbers of a logarithmic axis: powers of ten, with 2 and 5 where there are few."""
    factors = (1,) if high - low > 2 else (1, 2, 5)
    decades = range(math.floor(low), math.ceil(high) + 1)
    step = max(1, round(len(decades) / MOST_TICKS))
    for decade in decades[::step]:
        for factor in factors:
            value = factor * 10.0**decade
            if low <= math.log10(value) <= high:
                yield value


def _round_steps(low: float, high: float) -> Iterator[float]:
    rough = (high - low) / MOST_TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield number * step


def _written(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"
