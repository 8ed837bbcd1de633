"""What is wrong with a request, as pointers and sentences. Knows the OpenAPI document, no route."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from api_schemas.errors import MOST_ERRORS, FieldError
from api_schemas.explanations import JsonSchema, causes, explained, place_in, pointer_of


def field_errors(request: Request, error: RequestValidationError) -> list[FieldError]:
    """Return the first errors of a request, each once."""
    errors = [_field_error(request, item, body=error.body) for item in causes(error.errors()[:MOST_ERRORS])]
    return list(dict.fromkeys(errors))


def _field_error(request: Request, item: Mapping[str, Any], *, body: object) -> FieldError:
    # FastAPI's location begins with body, query or path; a pointer is into the body.
    where, *steps = item["loc"]
    inner = {**item, "loc": tuple(steps)}
    detail = explained(inner, _schema(request, str(where)))
    if where == "body":
        return FieldError(pointer=pointer_of(place_in(body, inner)), detail=detail)
    return FieldError(pointer=f"{where}:{pointer_of(steps)}", detail=detail)


def _schema(request: Request, where: str) -> JsonSchema:
    """Return the schema of what stands in a part of a request, with what it refers to."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return {}
    document = request.app.openapi()
    operation = document["paths"].get(route.path_format, {}).get(request.method.lower(), {})
    if where == "body":
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        return {**content.get("schema", {}), "components": document["components"]}
    named = (item for item in operation.get("parameters", ()) if item["in"] == where)
    return {
        "properties": {item["name"]: item["schema"] for item in named},
        "components": document["components"],
    }
