"""Draw the pictures of docs/concepts.md. They are sketches: no point in them was measured.

    python -m tools.documentation.pictures

Knows nothing of the pages. Colours follow the reader's scheme, dark or light.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import exp
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "concepts"
WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 460, 20, 252

Point = tuple[float, float]
"""Cost and score, each from 0 to 1."""

FRONT: tuple[Point, ...] = ((0.08, 0.22), (0.2, 0.62), (0.42, 0.76), (0.85, 0.88))
DOMINATED: tuple[Point, ...] = ((0.3, 0.4), (0.5, 0.55), (0.62, 0.7), (0.75, 0.5), (0.93, 0.78))
REFERENCE: Point = (0.97, 0.1)

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #3b4452; }
  .axis, .grid { stroke: #6b7686; fill: none; }
  .line { stroke: #0a6ebd; stroke-width: 2; fill: none; }
  .dashed { stroke: #6b7686; stroke-dasharray: 4 4; fill: none; }
  .area { fill: #0a6ebd; opacity: .18; }
  .front { fill: #0a6ebd; } .other { fill: #98a1af; } .marked { fill: #c4600a; }
  .ring { stroke: #c4600a; stroke-width: 2; fill: none; }
  .error { stroke: #6b7686; stroke-width: 1.5; fill: none; }
  @media (prefers-color-scheme: dark) {
    text { fill: #d5dae2; }
    .axis, .grid, .dashed, .error { stroke: #98a1af; }
    .line { stroke: #5cb3f2; } .area { fill: #5cb3f2; opacity: .25; }
    .front { fill: #5cb3f2; } .other { fill: #6b7686; } .marked { fill: #f0a04b; } .ring { stroke: #f0a04b; }
  }"""


def x(share: float) -> float:
    """Return the pixel column of a cost."""
    return round(LEFT + share * (RIGHT - LEFT), 1)


def y(share: float) -> float:
    """Return the pixel row of a score."""
    return round(BOTTOM - share * (BOTTOM - TOP), 1)


def dots(points: Sequence[Point], kind: str = "front") -> str:
    """Return a dot for each point."""
    return "".join(f'<circle class="{kind}" cx="{x(a)}" cy="{y(b)}" r="6"/>' for a, b in points)


def words(place: Point, text: str, *, anchor: str = "start") -> str:
    """Return a text that begins, is centred or ends at a place."""
    return f'<text x="{x(place[0])}" y="{y(place[1])}" text-anchor="{anchor}">{text}</text>'


def line(points: Sequence[Point], kind: str = "line") -> str:
    """Return a line through the points."""
    return f'<polyline class="{kind}" points="{" ".join(f"{x(a)},{y(b)}" for a, b in points)}"/>'


def error(point: Point, deviation: float) -> str:
    """Return the bar of one deviation to either side of a score."""
    column = x(point[0])
    ends = [y(point[1] - deviation), y(point[1] + deviation)]
    caps = "".join(f'<path class="error" d="M{column - 4} {row}h8"/>' for row in ends)
    return f'<path class="error" d="M{column} {ends[0]}V{ends[1]}"/>{caps}'


def staircase(points: Sequence[Point]) -> list[Point]:
    """Return the edge of what the points dominate, from the cheapest on."""
    corners: list[Point] = [points[0]]
    for (_, before), (cost, score) in pairwise(points):
        corners += [(cost, before), (cost, score)]
    return corners


def axes(across: str = "trained parameters (less is better)", up: str = "score (more is better)") -> str:
    """Return both axes with their names."""
    return (
        f'<path class="axis" d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"/>'
        f'<text x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 32}" text-anchor="middle">{across}</text>'
        f'<text transform="translate(24 {(TOP + BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{up}</text>'
    )


def front() -> str:
    """Return the points that nothing beats in both objectives, and those that something does."""
    return (
        axes()
        + line([*staircase(FRONT), (0.97, 0.88)])
        + dots(DOMINATED, "other")
        + dots(FRONT)
        + words((0.24, 0.9), "the Pareto front", anchor="middle")
        + words((0.76, 0.4), "dominated", anchor="middle")
    )


def hypervolume() -> str:
    """Return the area between the front and the reference point."""
    area = [(FRONT[0][0], REFERENCE[1]), *staircase(FRONT), (REFERENCE[0], FRONT[-1][1]), REFERENCE]
    shape = " ".join(f"{x(a)},{y(b)}" for a, b in area)
    return (
        axes()
        + f'<polygon class="area" points="{shape}"/>'
        + line([*staircase(FRONT), (0.97, 0.88)])
        + dots(FRONT)
        + dots([REFERENCE], "marked")
        + words((0.62, 0.4), "hypervolume", anchor="middle")
        + words((0.93, 0.13), "reference point", anchor="end")
    )


def reference_point() -> str:
    """Return two reference points: the farther one also rewards the ends of the front."""
    near = (0.7, 0.3)
    return (
        axes()
        + line([(FRONT[0][0], REFERENCE[1]), REFERENCE, (REFERENCE[0], FRONT[-1][1])], "dashed")
        + line([(FRONT[1][0], near[1]), near, (near[0], FRONT[2][1])], "dashed")
        + line([*staircase(FRONT), (0.97, 0.88)])
        + dots(FRONT)
        + dots([near, REFERENCE], "marked")
        + words((0.68, 0.33), "only two points count", anchor="end")
        + words((0.94, 0.13), "all four count", anchor="end")
    )


def noise() -> str:
    """Return two distributions of scores: the observed best may be the lucky one."""
    bells = [(0.42, 0.11), (0.56, 0.11)]

    def bell(centre: float, deviation: float) -> list[Point]:
        places = [step / 60 for step in range(61)]
        return [(at, 0.72 * exp(-(((at - centre) / deviation) ** 2) / 2)) for at in places]

    return (
        axes("score of one training", "how often")
        + line(bell(*bells[0]), "dashed")
        + line(bell(*bells[1]))
        + line([(0.46, 0.476), (0.26, 0.56)], "error")
        + line([(0.62, 0.138), (0.78, 0.3)], "error")
        + dots([(0.62, 0.138)], "other")
        + dots([(0.46, 0.476)])
        + words((0.3, 0.8), "LoRA 8", anchor="middle")
        + words((0.7, 0.8), "truly better", anchor="middle")
        + words((0.79, 0.31), "lucky seed")
        + words((0.25, 0.57), "unlucky seed", anchor="end")
    )


def replicate() -> str:
    """Return seeds of two trials, and their means with standard errors."""
    seeds = {0.3: (0.5, 0.62, 0.44), 0.7: (0.7, 0.58, 0.76)}
    drawn = axes("trial", "score")
    for column, (place, scores) in enumerate(seeds.items()):
        mean = sum(scores) / len(scores)
        drawn += dots([(place, score) for score in scores], "other") + error((place + 0.08, mean), 0.06)
        drawn += dots([(place + 0.08, mean)]) + words((place, 0.26), f"trial {column + 1}", anchor="middle")
    return (
        drawn
        + words((0.32, 0.82), "three seeds")
        + words((0.72, 0.88), "mean ± standard error", anchor="middle")
    )


def race() -> str:
    """Return the bars of four trials that shrink round by round, while two drop out."""
    starts = ((0.42, 3), (0.5, 1), (0.56, 3), (0.6, 2))
    drawn = axes("round", "believed score")
    for number in range(3):
        for at, (score, rounds) in enumerate(starts):
            if number < rounds:
                place = (0.14 + 0.3 * number + 0.05 * at, score)
                kind = "marked" if at == 0 else "front"
                drawn += error(place, 0.2 / (number + 1)) + dots([place], kind)
    return (
        drawn
        + words((0.03, 0.92), "each round: one new seed for those who are left")
        + words((0.15, 0.1), "the default (orange) stays")
    )


def knee() -> str:
    """Return the point that lies farthest beyond the line between the ends of the front."""
    (a, b), best = (FRONT[0], FRONT[-1]), FRONT[1]
    share = ((best[0] - a[0]) * (b[0] - a[0]) + (best[1] - a[1]) * (b[1] - a[1])) / (
        (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2
    )
    foot = (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))
    return (
        axes()
        + line([a, b], "dashed")
        + line([best, foot])
        + dots(FRONT)
        + f'<circle class="ring" cx="{x(best[0])}" cy="{y(best[1])}" r="11"/>'
        + words((0.17, 0.72), "knee", anchor="middle")
        + words((0.66, 0.3), "line through the best of each objective", anchor="middle")
    )


PICTURES: dict[str, tuple[Callable[[], str], str]] = {
    "front": (front, "Four points on a Pareto front and five that are dominated"),
    "hypervolume": (hypervolume, "The area between a front and its reference point"),
    "reference-point": (reference_point, "A near and a far reference point"),
    "noise": (
        noise,
        "Two bell curves that overlap: the worse one's lucky seed beats the better one's unlucky seed",
    ),
    "replicate": (replicate, "Three seeds of two trials with mean and standard error"),
    "race": (race, "Four trials in three rounds: error bars shrink, two trials drop out"),
    "knee": (knee, "The point of a front that is farthest from the line between its ends"),
}


def drawing(name: str) -> str:
    """Return a picture as SVG."""
    draw, title = PICTURES[name]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img">'
        f"<title>{title}</title><style>{STYLE}\n</style>{draw()}</svg>\n"
    )


def main() -> None:
    """Write every picture."""
    for name in PICTURES:
        (FOLDER / f"{name}.svg").write_text(drawing(name), encoding="utf-8")


if __name__ == "__main__":
    main()
