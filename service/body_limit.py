"""Refuse bodies over a limit with 413, whether or not they declare their length.

What is PUT to a path that streams its bodies is passed on as it comes; it knows a limit of its own.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BodyTooLarge
from service.problems import problem_response


class BodyLimit:
    """ASGI middleware that reads a body up to `max_bytes` before the application sees it."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, streamed_prefix: str) -> None:
        self.app = app
        self.streamed_prefix = streamed_prefix
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass small bodies on; answer 413 for large ones."""
        if scope["type"] != "http" or self._streams(scope):
            await self.app(scope, receive, send)
            return
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self.max_bytes:
                await self._refuse(scope, receive, send)
                return
            if message["type"] != "http.request" or not message.get("more_body", False):
                break

        async def replay() -> Message:
            return messages.pop(0) if messages else await receive()

        await self.app(scope, replay, send)

    def _streams(self, scope: Scope) -> bool:
        return bool(scope["method"] == "PUT" and scope["path"].startswith(self.streamed_prefix))

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = BodyTooLarge(
            f"The limit is {self.max_bytes:,} bytes. A study needs no more; data goes to /v1/task_files."
        )
        response = problem_response(refused.as_problem(), headers=dict(refused.headers))
        await response(scope, receive, send)
