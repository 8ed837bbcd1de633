"""Authenticate a request before anything else: before a body is read, a thread or a connection is taken.

`scope["caller"]` is the caller, or the error that the route answers with. A path without a route is 404 for
every caller, so the router comes in between; it gets an empty body if the caller was refused.
`scope["study_version"]` says which version the study of the path is at, if it is the caller's.
"""

import math
import re
from typing import NamedTuple

from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_schemas.access import KeyScope
from service.access.callers import CallerReads, Question
from service.access.key_uses import note_use
from service.access.keys import Caller, key_hash
from service.access.rate_limit import RateLimit
from service.errors import MissingScope, ServiceError, TooManyRequests, Unauthorized
from service.runtime import request_context
from service.runtime.loop_local import LoopLocal

PREFIX = "/v1"
READING = frozenset({"GET", "HEAD"})
OF_A_STUDY = re.compile(r"/v1/studies/(std_[0-9a-f]{32})(?:/|$)")


class AdminRoute(NamedTuple):
    """A route that asks for the scope `admin`; `app.state.admin_routes` has them all."""

    methods: frozenset[str]
    path: re.Pattern[str]

    def is_meant(self, scope: Scope) -> bool:
        """Return whether it is the route of a request."""
        return scope["method"] in self.methods and self.path.match(scope["path"]) is not None


class Authentication:
    """ASGI middleware that passes on only the bodies of callers with the right key and scope."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.reads = LoopLocal(CallerReads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the caller of a request under /v1; other paths need none."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            try:
                scope["caller"] = await self._admitted(scope)
            except ServiceError as refusal:
                scope["caller"] = refusal
                receive = _no_body
        await self.app(scope, receive, send)

    async def _admitted(self, scope: Scope) -> Caller:
        study = OF_A_STUDY.match(scope["path"]) if scope["method"] == "GET" else None
        question = Question(key_hash(_secret(scope)), study[1] if study else "")
        caller, scope["study_version"] = await self.reads.get().ask(question)
        if isinstance(caller, str):
            raise Unauthorized(caller)
        request_context.note_key(caller.key_id)
        _take_token(scope["app"].state.rate_limit, caller)
        note_use(caller.key_id)
        check_scope(caller, _needed(scope))
        return caller


def _needed(scope: Scope) -> KeyScope:
    if any(route.is_meant(scope) for route in scope["app"].state.admin_routes):
        return KeyScope.ADMIN
    return KeyScope.READ if scope["method"] in READING else KeyScope.WRITE


def check_scope(caller: Caller, needed: KeyScope) -> None:
    """Check that the key of a caller has a scope.

    Raises:
        MissingScope: If it has not.
    """
    if not caller.scope.includes(needed):
        raise MissingScope(
            f"This needs a key with the scope '{needed}'; yours has '{caller.scope}'. Ask an admin for one."
        )


def _secret(scope: Scope) -> str:
    scheme, secret = get_authorization_scheme_param(Headers(scope=scope).get("Authorization"))
    if scheme.lower() != "bearer" or not secret:
        raise Unauthorized("Send your API key as 'Authorization: Bearer KEY'.")
    return secret


def _take_token(limit: RateLimit | None, caller: Caller) -> None:
    wait = limit.seconds_to_wait(caller.key_id) if limit else 0.0
    if limit and wait:
        raise TooManyRequests(
            f"This API key may make {limit.rate:g} requests per second, {limit.burst} at once. "
            f"Try again in {math.ceil(wait)} s.",
            retry_after_seconds=math.ceil(wait),
        )


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
