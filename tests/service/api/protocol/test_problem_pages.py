"""Every `type` of a problem leads to a page that says what to do."""

import re

import pytest
from fastapi.testclient import TestClient

from service.api.protocol.problem_pages import problems
from service.catalogue.backbones.by_name import HUB_NAME, LOCAL_NAME
from service.errors import ServiceError, UnknownBackbone


def tree(error: type[ServiceError]) -> list[type[ServiceError]]:
    return [below for child in error.__subclasses__() for below in (child, *tree(child))]


def test_a_problem_that_there_is_not_is_one(client: TestClient) -> None:
    """404, as a problem."""
    response = client.get("/problems/bad-luck")
    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


def test_each_problem_has_a_type_of_its_own() -> None:
    """Two errors under one `type` could not be told apart."""
    assert len(problems()) == len(tree(ServiceError))


def test_each_problem_has_a_page(client: TestClient) -> None:
    """With its title and its status, and the index leads to it."""
    index = client.get("/problems").text
    for slug, error in problems().items():
        page = client.get(f"/problems/{slug}")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert f"status {error.status}" in page.text
        assert f'href="/problems/{slug}"' in index


@pytest.mark.parametrize("error", problems().values())
def test_each_problem_says_what_to_do(error: type[ServiceError]) -> None:
    """After its title, which is a sentence."""
    title, empty, *cure = (error.__doc__ or "").splitlines()
    assert title.endswith(".")
    assert empty == ""
    assert " ".join(cure).strip()


def test_the_names_that_the_page_about_backbones_gives_are_names() -> None:
    """What it tells to write is understood, for a folder and for the hub."""
    named = re.findall(r"`([^`]+)`", UnknownBackbone.__doc__ or "")
    assert [bool(LOCAL_NAME.match(name)) for name in named] == [True, False]
    assert [bool(HUB_NAME.match(name)) for name in named] == [False, True]
