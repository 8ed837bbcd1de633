"""Conditional reads: every JSON answer under /v1 carries a strong ETag; a client that sends it gets a 304.

The ETag of a study's resource is compared before the request reaches a route, with the version that was read
together with the key (`access.callers`), and an answer of that version is taken from `kept_answers`: that
makes reads cheap. Every valid key may read. The ETag of anything else is compared once its answer is built.
"""

import re
from http import HTTPStatus
from types import SimpleNamespace

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.keys import Caller
from service.api.protocol.entity_tags import matches_weakly, tag_of_body, tag_of_version
from service.api.protocol.kept_answers import KeptAnswer, KeptAnswers, Making
from service.runtime.loop_local import LoopLocal

PREFIX = "/v1/"
# Resources of a study that its version does not identify: streams, logs, and files that never change.
WITHOUT_VERSION = re.compile(r"/events$|/logs$|/artifacts/")
# Clients keep the answer but revalidate each time: a 304 costs little.
CACHE_CONTROL = "no-cache"
UNCHANGED = SimpleNamespace(path_format="/v1/studies/{study_id} unchanged")
"""The route in the metrics of requests that were answered before any route."""


class ConditionalReads:
    """ASGI middleware that answers 304 where the client has the current answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.answers = LoopLocal(KeptAnswers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Compare first if the current tag is known; else pass the request on and compare its answer."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(PREFIX):
            await self.app(scope, receive, send)
            return
        known = ", ".join(Headers(scope=scope).getlist("if-none-match"))
        tag = _current_tag(scope)
        if tag is None:
            await self.app(scope, receive, _Answer(send, known).pass_on)
        elif tag in known:
            scope["route"] = UNCHANGED
            await _send_not_modified(send, tag)
        else:
            await self._give(scope, receive, _Answer(send, known))

    async def _give(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        address = f"{scope['path']}?{scope['query_string'].decode('latin-1')}"
        answers = self.answers.get()
        kept = await answers.find(address, scope["study_version"])
        if kept is not None:
            scope["route"] = kept.route
            await answer.pass_on({"type": "http.response.start", "status": 200, "headers": [*kept.headers]})
            await answer.pass_on({"type": "http.response.body", "body": kept.body})
            return
        with answers.making(address) as making:
            await self.app(scope, receive, _Copy(answer, making, scope).pass_on)


def _current_tag(scope: Scope) -> str | None:
    version = scope.get("study_version")
    if version is None or WITHOUT_VERSION.search(scope["path"]) or not isinstance(scope["caller"], Caller):
        return None
    query = scope["query_string"].decode("latin-1")
    return tag_of_version(scope["path"], query, study_version=version)


class _Answer:
    """An answer on its way out; the start of a JSON answer is held until its tag is known."""

    def __init__(self, send: Send, known: str) -> None:
        self.send = send
        self.known = known
        self.held: Message | None = None
        self.body = bytearray()
        self.replaced = False

    async def pass_on(self, message: Message) -> None:
        """Take a message from the application."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self.held is not None:
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                start, self.held = self.held, None
                await self._begin_with(start, tag_of_body(bytes(self.body)))
                await self._go_on({"type": "http.response.body", "body": bytes(self.body)})
        else:
            await self._go_on(message)

    async def _begin(self, start: Message) -> None:
        headers = Headers(raw=start["headers"])
        tag = headers.get("etag")
        if start["status"] not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            await self.send(start)
        elif tag is not None:
            await self._begin_with(start, tag)
        elif headers.get("content-type", "").startswith("application/json"):
            self.held = start
        else:
            await self.send(start)

    async def _begin_with(self, start: Message, tag: str) -> None:
        if self.known and matches_weakly(self.known, tag):
            self.replaced = True
            await _send_not_modified(self.send, tag)
            return
        headers = MutableHeaders(scope=start)
        headers["ETag"] = tag
        headers.setdefault("Cache-Control", CACHE_CONTROL)
        await self.send(start)

    async def _go_on(self, message: Message) -> None:
        if not self.replaced:
            await self.send(message)


class _Copy:
    """Copies a passing response into `kept_answers` if it is tagged with a version of a study."""

    def __init__(self, answer: _Answer, making: Making, scope: Scope) -> None:
        self.answer = answer
        self.making = making
        self.scope = scope
        self.version: int | None = None
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        self.body = bytearray()

    async def pass_on(self, message: Message) -> None:
        """Take a message from the application."""
        if message["type"] == "http.response.start":
            self.headers = tuple(message["headers"])
            self.version = self.scope.get("shown_version")
            if self.version is None or message["status"] != HTTPStatus.OK:
                self.version = None
                self.making.give_up()
        elif self.version is not None:
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                kept = KeptAnswer(self.version, self.headers, bytes(self.body), self.scope.get("route"))
                self.making.end(kept)
        await self.answer.pass_on(message)


async def _send_not_modified(send: Send, tag: str) -> None:
    headers = [(b"etag", tag.encode("latin-1")), (b"cache-control", CACHE_CONTROL.encode())]
    await send({"type": "http.response.start", "status": HTTPStatus.NOT_MODIFIED, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
