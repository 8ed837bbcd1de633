"""The pictures of the concepts."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tools.documentation.pictures import FOLDER, FRONT, PICTURES, drawing, staircase


@pytest.mark.parametrize("name", PICTURES)
def test_the_committed_picture_is_the_drawn_one(name: str) -> None:
    """`python -m tools.documentation.pictures` writes them; each has a title for who cannot see it."""
    drawn = drawing(name)
    assert (FOLDER / f"{name}.svg").read_text(encoding="utf-8") == drawn
    assert ElementTree.fromstring(drawn).findtext("{http://www.w3.org/2000/svg}title")  # noqa: S314  our own


def test_the_staircase_goes_through_every_point() -> None:
    """To the right first: what costs more and scores no better is dominated."""
    corners = staircase(FRONT)
    assert set(FRONT) <= set(corners)
    assert all(before[0] <= after[0] for before, after in pairwise(corners))
