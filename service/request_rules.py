"""What every request under /v1 must keep to, whatever its route: checked once, for all of them."""

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from service.errors import UnsupportedMediaType


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse query parameters that the OpenAPI document does not name: a misspelt one would be lost.

    Raises:
        RequestValidationError: If there is one.
    """
    route = request.scope["route"]
    if not request.query_params or not isinstance(route, APIRoute):
        return
    operation = request.app.openapi()["paths"][route.path_format][request.method.lower()]
    known = {item["name"] for item in operation.get("parameters", []) if item["in"] == "query"}
    unknown = sorted(request.query_params.keys() - known)
    if unknown:
        raise RequestValidationError(
            [
                {"type": "extra_forbidden", "loc": ("query", name), "msg": "There is no such parameter"}
                for name in unknown
            ]
        )


async def refuse_other_media_types(request: Request) -> None:
    """Refuse a body of a posted or patched resource that is not declared as JSON.

    Raises:
        UnsupportedMediaType: If it is declared as something else, or not at all.
    """
    if request.method not in ("POST", "PATCH") or not await request.body():
        return
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        raise UnsupportedMediaType(
            f"The body is {declared or 'of no declared type'}; send it as 'Content-Type: application/json'."
        )
