"""A page for every problem `type`, made from the tree of errors itself. Knows no route that raises them."""

from html import escape
from inspect import cleandoc

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from service.errors import NotFound, ServiceError

HEADERS = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}


def mount_problem_pages(app: FastAPI) -> None:
    """Add `/problems` and `/problems/{slug}` to the app."""
    app.add_api_route("/problems", _index, include_in_schema=False)
    app.add_api_route("/problems/{slug}", _page, include_in_schema=False)


def problems() -> dict[str, type[ServiceError]]:
    """Return every error that can leave the service, by the last part of its `type`."""
    errors: dict[str, type[ServiceError]] = {}
    waiting = ServiceError.__subclasses__()
    while waiting:
        error = waiting.pop()
        errors[error.slug] = error
        waiting.extend(error.__subclasses__())
    return dict(sorted(errors.items()))


async def _index() -> HTMLResponse:
    items = "".join(
        f'<li><a href="/problems/{slug}">{slug}</a> ({error.status}): {escape(_described(error)[0])}</li>'
        for slug, error in problems().items()
    )
    return _html("Problems", f"<ul>{items}</ul>")


async def _page(slug: str) -> HTMLResponse:
    error = problems().get(slug)
    if error is None:
        raise NotFound(f"No problem is called '{slug}'. /problems lists them.")
    title, cure = _described(error)
    return _html(
        title,
        f"<p>{escape(cure)}</p><p>Type <code>/problems/{slug}</code>, "
        f"status {error.status} {error.status.phrase}.</p>",
    )


def _described(error: type[ServiceError]) -> tuple[str, str]:
    title, _, cure = cleandoc(error.__doc__ or "").partition("\n")
    return title, " ".join(cure.split())


def _html(title: str, content: str) -> HTMLResponse:
    shown = escape(title)
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{shown}</title></head>'
        f"<body><h1>{shown}</h1>{content}</body></html>",
        headers=HEADERS,
    )
