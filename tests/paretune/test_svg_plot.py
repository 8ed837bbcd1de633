"""Charts as inline SVG: well-formed, within their frame, safe with any text."""

import re
from xml.etree import ElementTree

import pytest

from paretune.svg_plot import HEIGHT, WIDTH, Axis, Mark, line, scatter, staircase


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314  ours


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[1.0], [3.0, 3.0], [1e-9, 1e12], [0.7001, 0.7002], [5e5, 7e5]])
def test_any_range_has_ticks_and_stays_in_its_frame(values: list[float], log: bool) -> None:
    """One value, two alike, many decades, two that are close."""
    marks = [Mark(value, value, "front", "a trial", x_error=value / 2, y_error=value * 2) for value in values]
    drawn = parsed(scatter(marks, x=Axis("x", log=log), y=Axis("y", log=log)))
    circles = [item for item in drawn.iter() if item.tag.endswith("circle")]
    assert len(circles) == len(values)
    assert all(0 <= float(item.attrib["cx"]) <= WIDTH for item in circles)
    assert all(0 <= float(item.attrib["cy"]) <= HEIGHT for item in circles)
    assert [item for item in drawn.iter() if item.attrib.get("class") == "tick"]


def test_texts_are_escaped() -> None:
    """Names of parameters are whatever somebody wrote."""
    svg = scatter([Mark(1, 1, "front", "<script>&", label='"<')], x=Axis("<x>"), y=Axis("&"))
    assert "<script>" not in svg
    parsed(svg)


def test_more_is_further_right_and_higher() -> None:
    """As everybody reads a chart."""
    svg = line([(1.0, 1.0), (2.0, 5.0)], x=Axis("x"), y=Axis("y"))
    found = re.search(r'points="([\d.]+),([\d.]+) ([\d.]+),([\d.]+)"', svg)
    assert found is not None
    x0, y0, x1, y1 = map(float, found.groups())
    assert x1 > x0
    assert y1 < y0


def test_a_staircase_goes_over_corners() -> None:
    """First along and then up, or the other way, where more of x is better, too."""
    assert staircase([(3.0, 2.0), (1.0, 1.0)], rises_late=True) == [(1.0, 1.0), (3.0, 1.0), (3.0, 2.0)]
    assert staircase([(1.0, 2.0), (3.0, 1.0)], rises_late=False) == [(1.0, 2.0), (1.0, 1.0), (3.0, 1.0)]
