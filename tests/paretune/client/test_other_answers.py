"""Whatever else may listen at an address is told from a Paretune server, in a sentence."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from paretune.client import AsyncClient, Client
from paretune.errors import AnswerNotUnderstood, ParetuneError, RequestRefused

STUDY = f"std_{'0' * 32}"


@contextmanager
def stranger(status: int, headers: dict[str, str], body: bytes) -> Iterator[str]:
    """A server that answers everything alike; gives its address."""

    class Answer(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = answer  # noqa: N815  the names that the library looks for

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _list(address: str, file: Path) -> None:
    with Client(address, api_key="k") as client:
        list(client.studies())


def _list_asynchronously(address: str, file: Path) -> None:
    async def ask() -> None:
        async with AsyncClient(address, api_key="k") as client:
            [study async for study in client.studies()]

    asyncio.run(ask())


def _upload(address: str, file: Path) -> None:
    with Client(address, api_key="k") as client:
        client.upload_task_file(file)


@pytest.mark.parametrize("ask", [_list, _list_asynchronously, _upload])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"<html>Welcome</html>"),
        ({}, b'{"status": "ok"}'),
        ({}, b""),
        ({}, b"\xff\xfe"),
        ({}, b"[" * 100_000),
        ({"Content-Encoding": "gzip"}, b"no gzip"),
    ],
)
def test_an_answer_of_something_else_is_a_sentence(
    ask: Callable[[str, Path], None], headers: dict[str, str], body: bytes, tmp_path: Path
) -> None:
    """A page, another API, nothing, bytes that are no text, and a broken encoding."""
    file = tmp_path / "rows.csv"
    file.write_text("text,label\na,b\n", encoding="utf-8")
    with stranger(200, headers, body) as address, pytest.raises(AnswerNotUnderstood, match=address):
        ask(address, file)


def test_a_redirection_says_where_to() -> None:
    """As from http:// to https://; a key is sent nowhere that nobody named."""
    with (
        stranger(301, {"Location": "https://lab.example/"}, b"") as address,
        pytest.raises(RequestRefused, match=r"https://lab\.example/"),
    ):
        _list(address, Path())


def test_a_page_in_place_of_events_ends_the_following() -> None:
    """It would be asked for again and again."""

    async def follow(address: str) -> None:
        async with AsyncClient(address, api_key="k") as client:
            await anext(aiter(client.events(STUDY)))

    with stranger(200, {"Content-Type": "text/html"}, b"<html>") as address:
        with Client(address, api_key="k") as client, pytest.raises(ParetuneError, match="right address"):
            next(iter(client.events(STUDY)))
        with pytest.raises(ParetuneError, match="right address"):
            asyncio.run(follow(address))
