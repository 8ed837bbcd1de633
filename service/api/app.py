"""The HTTP application: routes, error bodies, what runs beside them, the dashboard. Never loads torch.

Start it with `uvicorn service.app:create_app --factory`.
"""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import cache

from fastapi import Depends, FastAPI, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from service.access.rate_limit import configured_rate_limit
from service.api.dependencies import admin_routes, authenticate
from service.api.health import router as health_router
from service.api.metrics import HttpMetrics
from service.api.metrics import router as metrics_router
from service.api.protocol.admission_control import AdmissionControl
from service.api.protocol.authentication import Authentication
from service.api.protocol.conditional_requests import ConditionalReads
from service.api.protocol.http_requests import HttpRequests
from service.api.protocol.problem_pages import mount_problem_pages
from service.api.protocol.problems import add_problem_handlers, documented
from service.api.protocol.work_queue import WorkQueue
from service.api.routes import task_files
from service.api.routes.access import router as access_router
from service.api.routes.artifacts import router as artifacts_router
from service.api.routes.ask_and_tell import router as runners_router
from service.api.routes.catalogue import router as catalogue_router
from service.api.routes.dashboard import mount_dashboard
from service.api.routes.events import router as events_router
from service.api.routes.studies import router as studies_router
from service.api.routes.webhooks import router as webhooks_router
from service.events.feed import EventFeed
from service.events.listener import listen
from service.events.shutdown import closed_by_signals
from service.runtime.allocator import share_arenas
from service.runtime.logs import configure_logs
from service.runtime.loop_local import LoopLocal
from service.runtime.open_files import raise_open_files
from service.runtime.telemetry import is_probe, start_telemetry, stop_telemetry
from service.settings import settings
from service.trials.sweeper import sweep, sweep_until
from service.webhooks.sender import send_webhooks

# Before any other dependency takes a thread or a connection.
FIRST = [Depends(authenticate, scope="function")]


def create_app() -> FastAPI:
    """Build the application."""
    configure_logs()
    app = FastAPI(
        title="Paretune",
        version="1",
        summary="Multi-objective search of parameter-efficient fine-tuning configurations",
        lifespan=_with_background_work,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        telemetry={"operation_spans": False, "exclude": is_probe},
    )
    app.state.http_metrics = HttpMetrics()
    app.state.event_feed = EventFeed()
    app.state.rate_limit = configured_rate_limit()
    # The last is the first that a request meets.
    app.add_middleware(
        AdmissionControl,
        queues=LoopLocal(WorkQueue),
        max_bytes=settings().max_body_bytes,
        streamed_prefix=f"{task_files.PREFIX}/",
    )
    app.add_middleware(ConditionalReads)
    app.add_middleware(Authentication)
    app.add_middleware(HttpRequests, metrics=app.state.http_metrics)
    add_problem_handlers(app)
    app.include_router(health_router)
    app.include_router(metrics_router)
    v1 = (
        studies_router,
        artifacts_router,
        runners_router,
        events_router,
        task_files.router,
        catalogue_router,
        access_router,
        webhooks_router,
    )
    for router in v1:
        app.include_router(router, dependencies=FIRST, responses=documented(403, 408, 413, 429))
    mount_dashboard(app)
    mount_problem_pages(app)
    _mount_document(app)
    _complete_routes(app)
    app.state.admin_routes = admin_routes(app)
    return app


def _mount_document(app: FastAPI) -> None:
    @cache
    def written() -> bytes:
        # For each request anew it took 6 ms of the event loop.
        return bytes(JSONResponse(app.openapi()).body)

    async def document() -> Response:
        return Response(written(), media_type="application/json")

    app.add_api_route("/openapi.json", document, include_in_schema=False)


def _complete_routes(app: FastAPI) -> None:
    # FastAPI puts routes together when a request first looks for one: 0.26 s of that request. Meanwhile it
    # changes the warning filters of the process, which no other thread may do at the same time.
    anything: Scope = {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []}
    for route in app.routes:
        route.matches(anything)


@asynccontextmanager
async def _with_background_work(app: FastAPI) -> AsyncIterator[None]:
    share_arenas(2)
    raise_open_files()
    start_telemetry("paretune-api")
    # At once and before the first request: with it the service is ready.
    await run_in_threadpool(sweep)
    stopped = threading.Event()
    sweeper = threading.Thread(target=sweep_until, args=(stopped,), name="sweeper", daemon=True)
    sweeper.start()
    feed: EventFeed = app.state.event_feed
    # What is there now stays: looking through it again and again would cost a large answer a third more.
    gc.freeze()
    # A page of trials is thousands of objects that are dropped together: best looked through once, not often.
    gc.set_threshold(20_000, 20, 20)
    with closed_by_signals(feed):
        async with _running(listen(feed), send_webhooks()):
            yield
    gc.unfreeze()
    stopped.set()
    sweeper.join(timeout=5)
    await run_in_threadpool(stop_telemetry)


@asynccontextmanager
async def _running(*coroutines: Coroutine[None, None, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
