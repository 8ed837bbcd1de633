"""Serves the page at `/` and its files under `/static`. Reads files only: no API, no database.

The page's code talks to the public API with the key that the person gives it; nothing here knows it.
"""

import mimetypes
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import dashboard

STATIC_DIR = Path(dashboard.__file__).parent / "static"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # File names stay the same from one version to the next: ask each time, a 304 costs little.
    "Cache-Control": "no-cache",
}


def mount_dashboard(app: FastAPI) -> None:
    """Add `/` and `/static/...` to the app."""
    # With nosniff a module of another type does not run, and a machine's own table may call it text.
    for suffix in (".js", ".mjs"):
        mimetypes.add_type("text/javascript", suffix)
    app.add_api_route("/", _page, methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/static", _with_headers(StaticFiles(directory=STATIC_DIR)), name="static")


def _page() -> FileResponse:
    return FileResponse(STATIC_DIR / "index.html", headers=HEADERS)


def _with_headers(files: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await files(scope, receive, send_with_headers)

    return answer
