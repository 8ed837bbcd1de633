"""Every error as `application/problem+json` (RFC 9457), and its part of the OpenAPI document."""

import re
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg.errors import DiskFull
from pydantic.json_schema import models_json_schema
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from api_schemas.errors import Problem
from service.api.protocol.validation_errors import field_errors
from service.errors import (
    UNFIT,
    DatabaseAway,
    InternalError,
    InvalidRequest,
    MalformedJson,
    MethodNotAllowed,
    NotFound,
    ServiceError,
)
from service.errors.conflicts import InsufficientStorage
from service.runtime.disk_space import refuse_if_full
from service.runtime.request_context import id_header

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
NOT_JSON = "The body must be a JSON object in UTF-8."

PROBLEM_SCHEMAS = models_json_schema(
    [(Problem, "serialization")], ref_template="#/components/schemas/{model}"
)[1]["$defs"]


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of the app with a problem body."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(OperationalError, _database_away)
    app.add_exception_handler(OSError, _os_error)
    app.add_exception_handler(Exception, _crash)
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        document["components"]["schemas"] |= PROBLEM_SCHEMAS
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe error answers for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def problem_response(problem: Problem, *, headers: dict[str, str] | None = None) -> JSONResponse:
    """Answer with a problem."""
    return JSONResponse(
        problem.model_dump(mode="json"), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers
    )


def _service_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)  # noqa: S101  registered for this type only
    return problem_response(error.as_problem(), headers=dict(error.headers))


def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for this type only
    if any(item["type"] == "json_invalid" for item in error.errors()):
        return problem_response(MalformedJson(NOT_JSON).as_problem())
    refused = InvalidRequest(UNFIT, errors=field_errors(request, error))
    return problem_response(refused.as_problem())


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this type only
    status = HTTPStatus(error.status_code)
    errors: dict[HTTPStatus, ServiceError] = {
        HTTPStatus.BAD_REQUEST: MalformedJson(NOT_JSON),
        HTTPStatus.NOT_FOUND: NotFound("There is no such route. /openapi.json lists the routes."),
        HTTPStatus.METHOD_NOT_ALLOWED: MethodNotAllowed("`Allow` lists the methods of this route."),
    }
    # RFC 9457, 4.2.1: a problem that is no more than its status has this type.
    plain = Problem(type="about:blank", title=status.phrase, status=status, detail=status.description)
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers |= _allowed(request)
    return problem_response(errors[status].as_problem() if status in errors else plain, headers=headers)


def _allowed(request: Request) -> dict[str, str]:
    # The router names the methods of the first route that fits, and a path may have several.
    for template, operations in request.app.openapi()["paths"].items():
        pattern = re.sub(r"\\{[^}]*\}", "[^/:]+", re.escape(template))
        if re.fullmatch(pattern, request.scope["path"]):
            return {"Allow": ", ".join(sorted(method.upper() for method in operations))}
    return {}


def _database_away(request: Request, error: Exception) -> JSONResponse:
    log.warning("the database is away", path=request.url.path, reason=type(error).__name__)
    full = isinstance(error, OperationalError) and isinstance(error.orig, DiskFull)
    why = "The database's disk is full; the operator must make room. " if full else ""
    away = DatabaseAway(
        f"{why}The request was not carried out. Trials that run go on; try again in a few seconds."
    )
    return problem_response(away.as_problem(), headers=dict(away.headers))


def _os_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OSError)  # noqa: S101  registered for this type only
    try:
        refuse_if_full(error)
    except InsufficientStorage as refused:
        log.error("the disk is full", path=request.url.path, reason=error.strerror)
        return problem_response(refused.as_problem())
    raise error


def _crash(request: Request, error: Exception) -> JSONResponse:
    log.error("request crashed", path=request.url.path, exc_info=error)
    crash = InternalError("The request was not carried out. Try again; the server's log has the cause.")
    return problem_response(crash.as_problem(), headers=id_header())
