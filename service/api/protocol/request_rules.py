"""What every request under /v1 must keep to, whatever its route. Checked after the key."""

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import ParamTypes
from fastapi.routing import APIRoute

from service.api.protocol.body_rules import refuse_unusable_text
from service.errors import UnsupportedMediaType


async def keep_to_rules(request: Request) -> None:
    """Refuse what no route takes; call it once the caller may use the route.

    Raises:
        RequestValidationError: If there is an unknown query parameter.
        UnsupportedMediaType: If a body is declared as something else than JSON.
        ServiceError: If a text of it is none, or it is nested too deeply.
    """
    _refuse_unknown_parameters(request)
    await _refuse_other_media_types(request)
    await refuse_unusable_text(request)


def _refuse_unknown_parameters(request: Request) -> None:
    # A misspelt one would be lost.
    route = request.scope["route"]
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = query_names(route.dependant)
    unknown = sorted(request.query_params.keys() - known)
    if unknown:
        raise RequestValidationError(
            [
                {"type": "extra_forbidden", "loc": ("query", name), "msg": "There is no such parameter"}
                for name in unknown
            ]
        )


def query_names(dependant: Dependant) -> frozenset[str]:
    """Return the query parameters that a route takes.

    The document knows them, too, but takes most of a second to be written for the first time. A field of a
    query that is a schema does not say where it is from; no header, path or cookie here is one.
    """
    return frozenset(
        field.alias
        for field in get_flat_params(dependant)
        if getattr(field.field_info, "in_", ParamTypes.query) is ParamTypes.query
    )


async def _refuse_other_media_types(request: Request) -> None:
    if request.method not in ("POST", "PATCH") or not await request.body():
        return
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        raise UnsupportedMediaType(
            f"The body is {declared or 'of no declared type'}; send it as 'Content-Type: application/json'."
        )
